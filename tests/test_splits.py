"""Which run is in which split: names, patterns, files, layers, chance, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml
from compiling import HEADER, artifacts, inventory, plan, recipe, with_code
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import splits
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity
from croissant_recipes.language import recipe_edits
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.sources.base import Inventory

ONE_LAYER = "layers:\n  - export: lab\n"
TWO_LAYERS = "layers:\n  - export: lab\n  - append: other\n"


def of_runs(names: Sequence[str], kept: dict[str, str] | None = None) -> Inventory:
    kept = kept or {}
    return inventory(runs=tables.artifacts("runs", {"name": list(names), "split": [kept.get(n, "") for n in names]}))


def assigned(
    checked: CheckedRecipe, *layers: Sequence[str], kept: dict[str, str] | None = None
) -> tuple[dict[str, str], list[Diagnostic]]:
    """Splits of the runs that layers of the given runs come to."""
    found = plan(checked, *(of_runs(names, kept) for names in layers))
    runs = found.content.tables["runs"]
    problems = [d for d in found.diagnostics if d.code in (Code.SPLIT_RUN, Code.SPLIT_CONFLICT)]
    return dict(zip(runs["name"], runs["split"], strict=True)), problems


def split_of(folder: Path, body: str, *layers: Sequence[str], kept: dict[str, str] | None = None) -> dict[str, str]:
    found, problems = assigned(recipe(folder, body), *layers, kept=kept)
    assert problems == []
    return found


def test_runs_that_no_layer_takes_are_told_apart_from_runs_that_are_not_there(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, runs: 'A_*'}\n"
    body += "splits:\n  assign: {train: 'B_[1]', val: 'A_1, A_2', test: A_11}\n"
    _, problems = assigned(recipe(tmp_path, body), ["A_1", "A_2", "B_1"])
    assert [d.hint for d in problems] == [
        "source 'lab' has it, but layer 1 (export lab) does not take it",
        "a list is written [A_1, A_2]",
        "did you mean 'A_1'?",
    ]


def test_names_and_patterns(tmp_path: Path) -> None:
    body = ONE_LAYER + "splits:\n  assign:\n    train: ['10*', TS_1]\n    val: 're:TS_[23]$'\n    test: TS_4?\n"
    found = split_of(tmp_path, body, ["1001", "1002", "TS_1", "TS_2", "TS_3", "TS_30", "TS_41", "left"])
    assert found == {
        "1001": "train",
        "1002": "train",
        "TS_1": "train",
        "TS_2": "val",
        "TS_3": "val",
        "TS_30": "",
        "TS_41": "test",
        "left": "",
    }


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text('split,run\ntrain,0042\nval,"a,b"\ntrain, 5\n')
    found = split_of(tmp_path, ONE_LAYER + "splits: {file: splits.csv}\n", ["0042", "42", "a,b", " 5", "5"])
    assert found == {"0042": "train", "42": "", "a,b": "val", " 5": "train", "5": ""}


def test_a_run_of_the_file_that_is_not_there_is_an_error_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("split,run\ntrain,TS_1\nval,TS_9\n")
    _, problems = assigned(recipe(tmp_path, ONE_LAYER + "splits: {file: splits.csv}\n"), ["TS_1", "TS_2"])
    (problem,) = problems
    assert problem.code is Code.SPLIT_RUN
    assert str(problem) == (
        f"{tmp_path / 'splits.csv'}:3:1: error[CR405]: there is no run 'TS_9'\n  hint: did you mean 'TS_2' or 'TS_1'?"
    )


def test_a_layer_splits_its_own_runs(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, split: {train: '*'}}\n  - {append: other, split: {val: '*'}}\n"
    assert split_of(tmp_path, body, ["TS_1"], ["TS_2"]) == {"TS_1": "train", "TS_2": "val"}


def test_a_layer_cannot_split_runs_of_another(tmp_path: Path) -> None:
    body = "layers:\n  - export: lab\n  - {append: other, split: {val: [TS_1]}}\n"
    _, problems = assigned(recipe(tmp_path, body), ["TS_1"], ["TS_2"])
    line = HEADER.count("\n") + 3
    assert str(problems[0]) == (
        f"{tmp_path / 'recipe.yaml'}:{line}:35: error[CR405]: layer 2 (append other) has no run 'TS_1'\n"
        "  hint: did you mean 'TS_2'?"
    )


@pytest.mark.parametrize("text", ["TS_9", "'9*'", "'re:nine'"])
def test_a_name_or_pattern_without_a_run_is_an_error(tmp_path: Path, text: str) -> None:
    _, problems = assigned(recipe(tmp_path, ONE_LAYER + f"splits: {{assign: {{train: [{text}]}}}}\n"), ["TS_1"])
    assert [(p.code, p.severity) for p in problems] == [(Code.SPLIT_RUN, Severity.ERROR)]
    assert f"there is no run {text if text.startswith(chr(39)) else repr(text)}" in problems[0].message


def test_a_run_in_two_splits_by_patterns_is_an_error(tmp_path: Path) -> None:
    body = ONE_LAYER + "splits:\n  assign:\n    train: ['TS_*']\n    val: ['*_2']\n"
    _, problems = assigned(recipe(tmp_path, body), ["TS_1", "TS_2"])
    (problem,) = problems
    first = HEADER.count("\n") + 5
    assert problem.code is Code.SPLIT_CONFLICT
    assert problem.message == "run 'TS_2' is in the splits 'train' and 'val'"
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (first + 1, 11)
    assert f"recipe.yaml:{first}:13" in str(problem.hint)


def test_a_run_in_the_same_split_twice_is_no_conflict(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("split,run\ntrain,TS_1\n")
    body = "layers:\n  - {export: lab, split: {train: [TS_1]}}\n"
    body += "splits:\n  assign: {train: ['TS_*', TS_1]}\n  file: splits.csv\n"
    assert split_of(tmp_path, body, ["TS_1"]) == {"TS_1": "train"}


def test_a_run_written_into_two_splits_is_a_value_error(tmp_path: Path) -> None:
    """As it is for copick, so that code which caught copick's goes on to work."""
    with pytest.raises(ValueError, match="'TS_1' is in the splits 'train' and 'val'") as caught:
        recipe(tmp_path, ONE_LAYER + "splits: {assign: {train: TS_1, val: TS_1}}\n")
    assert isinstance(caught.value, DiagnosticError)
    assert [d.code for d in caught.value.diagnostics] == [Code.SPLIT_CONFLICT]


def test_layers_files_and_assign_conflict_with_each_other(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("split,run\ntest,TS_1\n")
    body = "layers:\n  - {export: lab, split: {train: ['TS_?']}}\n"
    body += "splits:\n  assign: {val: ['TS_*']}\n  file: splits.csv\n"
    _, problems = assigned(recipe(tmp_path, body), ["TS_1"])
    assert [p.message for p in problems] == [
        "run 'TS_1' is in the splits 'train' and 'val'",
        "run 'TS_1' is in the splits 'train' and 'test'",
    ]


def test_splits_that_runs_have_are_kept_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    body = ONE_LAYER + "splits: {assign: {val: [TS_2]}}\n"
    kept = {"TS_1": "train", "TS_2": "train"}
    assert split_of(tmp_path, body, ["TS_1", "TS_2", "TS_3"], kept=kept) == {"TS_1": "train", "TS_2": "val", "TS_3": ""}


def test_unassign_comes_last(tmp_path: Path) -> None:
    body = ONE_LAYER + "splits:\n  assign: {train: '*'}\n  unassign: [TS_1, 'B*']\n"
    assert split_of(tmp_path, body, ["TS_1", "TS_2", "B_1"]) == {"TS_1": "", "TS_2": "train", "B_1": ""}
    body = ONE_LAYER + "splits:\n  random: {ratios: {train: 1.0}, seed: 1}\n  unassign: TS_1\n"
    assert split_of(tmp_path, body, ["TS_1", "TS_2"], kept={"TS_1": "val"}) == {"TS_1": "", "TS_2": "train"}


def test_unassigning_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    _, problems = assigned(recipe(tmp_path, ONE_LAYER + "splits: {unassign: [TS_9]}\n"), ["TS_1"])
    assert [p.code for p in problems] == [Code.SPLIT_RUN]


# By what is known of runs

LAB, CDP = ["TS_1", "TS_2"], {"257": ("TS_1", 10440), "258": ("TS_8", 10440), "9": ("258", 10446)}


def of_portal(runs: dict[str, tuple[str, int]]) -> Inventory:
    """Runs by id, each with its portal name and dataset."""
    columns = {
        "name": list(runs),
        "portal_run_id": list(runs),
        "run_alias": [name for name, _ in runs.values()],
    }
    table = tables.artifacts("runs", columns)
    table["run.dataset_id"] = pd.Series([dataset for _, dataset in runs.values()], dtype=object)
    table["run.name"] = pd.Series([name for name, _ in runs.values()], dtype=object)
    return inventory(runs=table)


PORTAL_HEADER = HEADER.replace("other: {copick: {config: other.json}}", "other: {portal: {datasets: [10440, 10446]}}")


def known(
    folder: Path, splits: str, *, of_layer: str = "", lab: Sequence[str] = LAB
) -> tuple[dict[str, set[str]], list[Diagnostic]]:
    """The runs of each split, and what is wrong, of a layer of a project and one of a portal."""
    body = f"layers:\n  - export: lab\n  - {{append: other, others: exclude, picks: all{of_layer}}}\n{splits}"
    found = plan(recipe(folder, body, PORTAL_HEADER), of_runs(lab), of_portal(CDP))
    runs = found.content.tables["runs"]
    problems = [d for d in found.diagnostics if d.code in (Code.SPLIT_RUN, Code.SPLIT_CONFLICT)]
    return {s: set(runs["name"][runs["split"] == s]) for s in found.content.splits}, problems


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("{where: {dataset_id: 10440}}", {"257", "258"}),
        ("{where: {dataset_id: '10446'}}", {"9"}),
        ("{where: {dataset_id: 10440, name: TS_8}}", {"258"}),
        ("{source: lab}", {"TS_1", "TS_2"}),
        ("{source: other}", {"257", "258", "9"}),
        ("{source: other, where: {dataset_id: 10446}}", {"9"}),
        ("[TS_2, {where: {name: TS_1}}, {source: other, where: {dataset_id: 10446}}]", {"TS_2", "257", "9"}),
        # By id; by portal name; by the portal name of one run and the output's name of another, which is the one meant.
        ("['257']", {"257"}),
        ("TS_8", {"258"}),
        ("TS_1", {"TS_1"}),
        ("'258'", {"258"}),
        ("'TS_*'", {"TS_1", "TS_2", "257", "258"}),
    ],
)
def test_runs_by_anything_known_of_them(tmp_path: Path, chosen: str, expected: set[str]) -> None:
    assert known(tmp_path, f"splits: {{assign: {{test: {chosen}}}}}\n") == ({"test": expected}, [])
    # The same runs, whoever names them.
    rest = {*LAB, *CDP} - expected
    unassigned = f"splits: {{assign: {{test: '*'}}, unassign: {chosen}}}\n"
    assert known(tmp_path, unassigned) == ({"test": rest} if rest else {}, [])


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("{where: {dataset_id: 10440}}", {"257", "258"}), ("[{source: other}]", {*CDP}), ("TS_1", {"257"})],
)
def test_a_layer_knows_its_own_runs(tmp_path: Path, chosen: str, expected: set[str]) -> None:
    assert known(tmp_path, "", of_layer=f", split: {{test: {chosen}}}") == ({"test": expected}, [])


def test_runs_answer_to_portal_id_and_name_after_they_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("split,run\nval,TS_8\nval,9\n")
    body = "splits: {assign: {test: ['257']}, file: splits.csv}\n"
    found = known(tmp_path, body, of_layer=", run_name: 'cdp-{name}'")
    assert found == ({"test": {"cdp-TS_1"}, "val": {"cdp-TS_8", "cdp-258"}}, [])


def test_a_run_of_two_sources_is_brought_by_both(tmp_path: Path) -> None:
    found, problems = known(
        tmp_path, "splits: {assign: {train: {source: lab}, test: {source: other}}}\n", lab=["TS_1", "257"]
    )
    assert [d.message for d in problems] == ["run '257' is in the splits 'train' and 'test'"]
    assert found == {"train": {"TS_1", "257"}, "test": {"258", "9"}}


@pytest.mark.parametrize(
    ("chosen", "message", "hint"),
    [
        ("{where: {dataset_id: 10445}}", "there is no run with dataset_id: 10445", "did you mean '10446' or '10440'?"),
        ("{where: {name: TS_2}}", "there is no run with name: TS_2", "did you mean 'TS_8' or 'TS_1'?"),
        (
            "{source: other, where: {dataset_id: 10446, name: TS_1}}",
            "there is no run of source 'other' with dataset_id: 10446 and name: TS_1",
            "each of it holds for some run, and all of it for none",
        ),
        ("'2571'", "there is no run '2571'", "did you mean '257'?"),
    ],
)
def test_conditions_that_no_run_meets_are_errors(tmp_path: Path, chosen: str, message: str, hint: str) -> None:
    for key in ("assign: {test: CHOSEN}", "unassign: CHOSEN"):
        _, problems = known(tmp_path, f"splits: {{{key.replace('CHOSEN', chosen)}}}\n")
        assert [(d.code, d.message, d.hint) for d in problems] == [(Code.SPLIT_RUN, message, hint)]
        assert problems[0].span is not None


# By chance

RATIOS = "{train: 0.8, val: 0.1, test: 0.1}"


def drawn(
    folder: Path, names: Sequence[str], *, seed: int = 7, group: str = "", ratios: str = RATIOS
) -> dict[str, str]:
    random = f"{{ratios: {ratios}, seed: {seed}{group and f', group: {group!r}'}}}"
    return split_of(folder, ONE_LAYER + f"splits:\n  random: {random}\n", names)


def test_every_run_is_drawn_and_the_ratios_hold(tmp_path: Path) -> None:
    found = Counter(drawn(tmp_path, [f"TS_{i:04d}" for i in range(3000)]).values())
    assert set(found) == {"train", "val", "test"}
    assert found["train"] == pytest.approx(2400, rel=0.05)
    assert found["val"] == pytest.approx(300, rel=0.2)
    assert found["test"] == pytest.approx(300, rel=0.2)


def test_the_draw_is_known(tmp_path: Path) -> None:
    """The same for ever: a published split must not move with a version of Python or of this tool. The expected splits
    follow from the rule alone, SHA-256 of seed, NUL and run, its first 16 hex digits as a number from 0 to 1."""
    found = drawn(tmp_path, [f"TS_{i}" for i in range(12)], ratios="{train: 0.5, val: 0.3, test: 0.2}")
    by_split = {split: [n for n in found if found[n] == split] for split in ("train", "val", "test")}
    assert by_split == {
        "train": ["TS_1", "TS_10", "TS_11", "TS_3", "TS_5", "TS_6", "TS_7"],
        "val": ["TS_8", "TS_9"],
        "test": ["TS_0", "TS_2", "TS_4"],
    }


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=40), st.sets(st.integers(0, 10_000), max_size=40))
@settings(max_examples=25, deadline=None)
def test_a_new_run_never_moves_an_old_one(
    tmp_path_factory: pytest.TempPathFactory, old: set[int], new: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("draw")
    before = drawn(folder, sorted(f"TS_{i}" for i in old))
    after = drawn(folder, sorted(f"TS_{i}" for i in old | new))
    assert {name: after[name] for name in before} == before


def test_neither_the_order_of_ratios_nor_one_of_zero_moves_a_run(tmp_path: Path) -> None:
    names = [f"TS_{i}" for i in range(200)]
    found = drawn(tmp_path, names)
    assert drawn(tmp_path, names, ratios="{test: 0.1, train: 0.8, val: 0.1}") == found
    assert drawn(tmp_path, names, ratios="{aaa: 0, train: 0.8, val: 0.1, test: 0.1}") == found


def test_another_seed_draws_otherwise(tmp_path: Path) -> None:
    names = [f"TS_{i}" for i in range(200)]
    assert drawn(tmp_path, names, seed=8) != drawn(tmp_path, names)


def test_folds_are_equal_ratios(tmp_path: Path) -> None:
    names = [f"TS_{i}" for i in range(60)]
    body = ONE_LAYER + "splits:\n  random: {folds: 3, seed: 7}\n"
    found = split_of(tmp_path, body, names)
    third = 1 / 3
    assert found == drawn(tmp_path, names, ratios=f"{{fold-1: {third!r}, fold-2: {third!r}, fold-3: {third!r}}}")
    assert set(found.values()) == {"fold-1", "fold-2", "fold-3"}


def test_runs_of_a_group_stay_together(tmp_path: Path) -> None:
    names = [f"grid{g}_{i}" for g in range(60) for i in range(5)]
    found = drawn(tmp_path, names, group="re:(.*)_[0-9]+")
    by_group: dict[str, set[str]] = {}
    for name, split in found.items():
        by_group.setdefault(name.split("_")[0], set()).add(split)
    assert all(len(group) == 1 for group in by_group.values())
    assert {s for group in by_group.values() for s in group} == {"train", "val", "test"}
    # The group is what is drawn: any one of its runs alone is drawn the same.
    assert drawn(tmp_path, [names[0]], group="re:(.*)_[0-9]+") == {names[0]: found[names[0]]}


def test_a_run_outside_every_group_is_a_group_of_its_own(tmp_path: Path) -> None:
    names = [f"TS{i}" for i in range(100)]
    assert drawn(tmp_path, names, group="re:(.*)_[0-9]+") == drawn(tmp_path, names)


def test_only_runs_not_yet_assigned_are_drawn(tmp_path: Path) -> None:
    names = [f"TS_{i}" for i in range(50)]
    body = ONE_LAYER + f"splits:\n  assign: {{held-out: ['TS_?']}}\n  random: {{ratios: {RATIOS}, seed: 7}}\n"
    found = split_of(tmp_path, body, names)
    assert {n for n, s in found.items() if s == "held-out"} == {f"TS_{i}" for i in range(10)}
    free = drawn(tmp_path, names)
    assert all(found[n] == free[n] for n in names[10:])


def test_a_group_torn_by_assign_is_pointed_out(tmp_path: Path) -> None:
    body = ONE_LAYER + "splits:\n  assign: {val: [grid1_1]}\n"
    body += "  random: {ratios: {train: 1.0}, seed: 1, group: 're:(.*)_[0-9]+'}\n"
    found, problems = assigned(recipe(tmp_path, body), ["grid1_1", "grid1_2", "grid2_1"])
    assert found == {"grid1_1": "val", "grid1_2": "train", "grid2_1": "train"}
    (problem,) = problems
    assert problem.severity is Severity.WARNING
    assert problem.message == "runs of a group are in more than one split: 'grid1'"


def test_splits_of_the_croissant(tmp_path: Path) -> None:
    """The distinct names are the Croissant's splits; without any there are none."""
    body = ONE_LAYER + "splits: {assign: {val: [TS_2], train: [TS_1]}}\n"
    found = plan(recipe(tmp_path, body), of_runs(["TS_1", "TS_2", "TS_3"]))
    assert found.content.splits == ("train", "val")
    assert plan(recipe(tmp_path, ONE_LAYER), of_runs(["TS_1"])).content.splits == ()
    assert splits.names_in_order({"TS_1": "val", "TS_2": "", "TS_3": "train"}) == ("train", "val")


def test_runs_are_split_by_their_output_names(tmp_path: Path) -> None:
    """A name of the source that a layer does not take is no run of the output."""
    body = "layers:\n  - {export: lab, runs: [TS_1]}\nsplits: {assign: {train: [TS_2]}}\n"
    picks = artifacts("picks", ("TS_1", "alice", "1", "ribosome"), ("TS_2", "alice", "1", "ribosome"))
    found = plan(recipe(tmp_path, body), inventory(picks=picks))
    (problem,) = with_code(found.diagnostics, Code.SPLIT_RUN)
    assert problem.message == "there is no run 'TS_2'"


def test_a_run_is_added_beside_a_condition() -> None:
    """As ``adopt`` does with a split that somebody gave a run."""
    text = "splits:\n  assign:\n    test: {source: lab}  # of the lab\n"
    found = yaml.safe_load(recipe_edits.edited(text, recipe_edits.Edits(assign={"test": ["TS_1"]})))
    assert found == {"splits": {"assign": {"test": [{"source": "lab"}, "TS_1"]}}}
