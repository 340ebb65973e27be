"""Stratified splits: every split gets its share of each object, as near as whole runs allow, the same everywhere."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from compiling import DATASET, HEADER, artifacts, inventory, plan, recipe
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import PickableObject, Picks, ProjectSpec, Run, write_project

from croissant_recipes import api
from croissant_recipes.codes import Code
from croissant_recipes.compiler import drawing, shares, stratifying
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.render import as_json, share_table

Rows = dict[str, dict[str, int]]
"""Rows by run and object."""

RATIOS = {"train": 0.5, "val": 0.25, "test": 0.25}


def body(random: str, more: str = "") -> str:
    return f"layers:\n  - export: lab\nsplits:\n{more}  random: {random}\n"


STRATIFIED = body(f"{{ratios: {json.dumps(RATIOS)}, seed: 7, stratify: picks}}")


def drawn(
    checked: CheckedRecipe, rows: Mapping[str, Mapping[str, int]], *, kept: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[Diagnostic]]:
    """Splits of runs that have picks, in the order given, and what is said of them."""
    kept = kept or {}
    runs = artifacts("runs", *([name] for name in rows)).assign(split=[kept.get(name, "") for name in rows])
    runs["split"] = runs["split"].astype("str")
    picks = [(run, f"u{i}", "1", name) for run, of in rows.items() for name, n in of.items() for i in range(n)]
    found = plan(checked, inventory(runs=runs, picks=artifacts("picks", *picks)))
    table = found.content.tables["runs"]
    told = [d for d in found.diagnostics if d.code in (Code.SPLIT_CONFLICT, Code.SPLIT_EMPTY)]
    return dict(zip(table["name"], table["split"], strict=True)), told


def off(rows: Mapping[str, Mapping[str, int]], splits: Mapping[str, str], shares: Mapping[str, float]) -> float:
    """How far the parts of runs and of each object are from the shares of the splits: the sum of the squares."""
    counted = {run: {**of, "": 1} for run, of in rows.items()}
    total: dict[str, int] = {}
    for of in counted.values():
        for name, n in of.items():
            total[name] = total.get(name, 0) + n
    return sum(
        (sum(counted[run].get(name, 0) for run in rows if splits[run] == split) / total[name] - share) ** 2
        for name in total
        for split, share in shares.items()
    )


OBJECTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), max_size=4)
RUNS = st.dictionaries(st.integers(0, 60).map("TS_{}".format), OBJECTS, min_size=1, max_size=14)


@given(RUNS, st.randoms(use_true_random=False), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_the_order_of_what_is_there_moves_no_run(rows: Rows, chance: random.Random, seed: int) -> None:
    counted = {run: {**of, stratifying.RUNS: 1} for run, of in rows.items()}
    first = stratifying.stratified(counted, RATIOS, {}, seed)
    names, ratios = list(counted), list(RATIOS.items())
    chance.shuffle(names)
    chance.shuffle(ratios)
    again = {name: dict(reversed(counted[name].items())) for name in names}
    assert stratifying.stratified(again, dict(ratios), {}, seed) == first
    assert first.keys() == rows.keys()


def test_no_other_division_is_much_nearer_to_the_shares() -> None:
    """Of small cases every division can be tried. Most are the best there is, and what is missed is little."""
    chance, missed, cases = random.Random(5), [], 40
    for _ in range(cases):
        rows = {
            f"TS_{i}": {name: chance.randint(1, 4) for name in "abc" if chance.random() < 0.7}
            for i in range(chance.randint(2, 6))
        }
        ratios = chance.choice([{"train": 0.5, "test": 0.5}, {"train": 0.8, "test": 0.2}, RATIOS])
        counted = {run: {**of, stratifying.RUNS: 1} for run, of in rows.items()}
        ours = off(rows, stratifying.stratified(counted, ratios, {}, 7), ratios)
        every = itertools.product(ratios, repeat=len(rows))
        missed.append(ours - min(off(rows, dict(zip(rows, s, strict=True)), ratios) for s in every))
    assert sum(m < 1e-9 for m in missed) >= 0.85 * cases
    assert max(missed) < 0.15


@given(st.integers(20, 60), st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_with_many_runs_every_split_has_nearly_its_share_of_everything(n: int, seed: int) -> None:
    """Off by no more than a run of each object would change."""
    chance = random.Random(seed)
    rows = {f"TS_{i}": {name: chance.randint(1, 3) for name in "abcdef" if chance.random() < 0.6} for i in range(n)}
    counted = {run: {**of, stratifying.RUNS: 1} for run, of in rows.items()}
    splits = stratifying.stratified(counted, RATIOS, {}, seed)
    for name in "abcdef":
        whole = sum(of.get(name, 0) for of in rows.values())
        for split, share in RATIOS.items():
            part = sum(of.get(name, 0) for run, of in rows.items() if splits[run] == split)
            assert abs(part - share * whole) <= max(3, 0.1 * whole)


def test_through_a_plan_whatever_the_order_of_rows(tmp_path: Path) -> None:
    rows = {f"TS_{i}": {"ribosome": 1 + i % 3, **({"proteasome": 1} if i % 4 == 0 else {})} for i in range(16)}
    checked = recipe(tmp_path, STRATIFIED)
    found, told = drawn(checked, rows)
    assert told == []
    assert off(rows, found, RATIOS) < 0.01
    assert drawn(checked, dict(reversed(rows.items())))[0] == found
    # A rare object is in every split that can have it, which chance alone would not see to.
    of_proteasome = [found[run] for run in rows if "proteasome" in rows[run]]
    assert sorted(of_proteasome) == ["test", "train", "train", "val"]
    assert drawn(recipe(tmp_path, STRATIFIED.replace("seed: 7", "seed: 8")), rows)[0] != found


def test_the_stratified_draw_is_known(tmp_path: Path) -> None:
    """The same for ever: a published split must not move with a version of Python, numpy or this tool."""
    rows = {f"TS_{i}": {"a": 1 + i % 3, "b": i % 2} for i in range(8)}
    found, _ = drawn(recipe(tmp_path, STRATIFIED), {r: {o: n for o, n in of.items() if n} for r, of in rows.items()})
    by_split = {split: sorted(n for n in found if found[n] == split) for split in RATIOS}
    assert by_split == {
        "train": ["TS_0", "TS_2", "TS_3", "TS_7"],
        "val": ["TS_5", "TS_6"],
        "test": ["TS_1", "TS_4"],
    }


@pytest.mark.parametrize("how", ["assign", "file", "kept"])
def test_runs_that_have_a_split_stay_and_count(how: str, tmp_path: Path) -> None:
    """All of the test set is given: what is drawn is shared out among the others."""
    rows = {f"TS_{i}": {"ribosome": 1} for i in range(8)}
    given = {"TS_0": "test", "TS_5": "test", "TS_7": "train"}
    (tmp_path / "splits.csv").write_text("split,run\n" + "".join(f"{s},{r}\n" for r, s in given.items()))
    more = {"assign": "  assign: {test: [TS_0, TS_5], train: TS_7}\n", "file": "  file: splits.csv\n", "kept": ""}[how]
    text = body("{ratios: {train: 0.5, val: 0.25, test: 0.25}, seed: 7, stratify: picks}", more)
    found, told = drawn(recipe(tmp_path, text), rows, kept=given if how == "kept" else None)
    assert told == []
    assert {run: found[run] for run in given} == given
    assert sorted(found.values()) == ["test"] * 2 + ["train"] * 4 + ["val"] * 2


def test_runs_of_a_split_that_is_not_drawn_do_not_count(tmp_path: Path) -> None:
    rows = {f"TS_{i}": {"ribosome": 1} for i in range(8)}
    text = body("{folds: 2, seed: 7, stratify: picks}", "  assign: {holdout: [TS_0, TS_1]}\n  unassign: [TS_2, TS_3]\n")
    found, told = drawn(recipe(tmp_path, text), rows)
    assert told == []
    assert sorted(found.values()) == ["", "", *["fold-1"] * 2, *["fold-2"] * 2, "holdout", "holdout"]
    assert found["TS_2"] == found["TS_3"] == ""


def test_whole_groups_are_shared_out_and_follow_what_is_given(tmp_path: Path) -> None:
    rows = {f"grid{g}_{i}": {"ribosome": 1 + g % 2} for g in range(8) for i in range(3)}
    random = "{ratios: {train: 0.5, test: 0.5}, seed: 7, stratify: picks, group: 're:(.*)_[0-9]+'}"
    found, told = drawn(recipe(tmp_path, body(random, "  assign: {test: grid3_1}\n")), rows)
    assert told == []
    by_group = {run.split("_")[0]: {found[r] for r in rows if r.startswith(run.split("_")[0])} for run in rows}
    assert all(len(splits) == 1 for splits in by_group.values())
    assert by_group["grid3"] == {"test"}
    assert off(rows, found, {"train": 0.5, "test": 0.5}) < 1e-9


def test_folds_are_of_one_size(tmp_path: Path) -> None:
    rows = {f"TS_{i}": {"ribosome": 1} for i in range(10)}
    found, told = drawn(recipe(tmp_path, body("{folds: 5, seed: 1, stratify: picks}")), rows)
    assert told == []
    assert sorted(found.values()) == sorted(f"fold-{i}" for i in range(1, 6) for _ in range(2))


@pytest.mark.parametrize(
    ("random", "runs", "said"),
    [
        (
            "{folds: 5, seed: 1, stratify: picks}",
            3,
            ("have no run", "3 runs to draw cannot fill 5 splits"),
        ),
        ("{folds: 5, seed: 1}", 1, ("have no run", "1 run to draw cannot fill 5 splits")),
        (
            "{folds: 5, seed: 1}",
            5,
            ("no run", "it is left to chance: try another seed, or `stratify: picks`, which gives each its share"),
        ),
    ],
)
def test_more_folds_than_runs_is_a_warning(random: str, runs: int, said: tuple[str, str], tmp_path: Path) -> None:
    rows: Rows = {f"TS_{i}": {"ribosome": 1} for i in range(runs)}
    _, (told,) = drawn(recipe(tmp_path, body(random)), rows)
    assert (told.code, told.severity, told.hint) == (Code.SPLIT_EMPTY, Severity.WARNING, said[1])
    assert said[0] in told.message
    assert told.span is not None
    assert told.span.line == HEADER.count("\n") + 4


def test_nothing_to_stratify_by_is_a_warning_and_runs_are_shared_out(tmp_path: Path) -> None:
    rows: Rows = {f"TS_{i}": {"ribosome": 1} for i in range(8)}
    text = body("{folds: 2, seed: 1, stratify: segmentations}")
    found, (told,) = drawn(recipe(tmp_path, text), rows)
    assert told.message == "there are no segmentations to stratify by"
    assert sorted(found.values()) == ["fold-1"] * 4 + ["fold-2"] * 4


def test_many_runs_take_no_time() -> None:
    """Without exchanging: their square is never made."""
    chance = random.Random(3)
    rows = {f"TS_{i}": {"": 1, **{n: 1 for n in "abcde" if chance.random() < 0.3}} for i in range(3000)}
    found = stratifying.stratified(rows, {"train": 0.8, "val": 0.1, "test": 0.1}, {}, 1)
    assert off(rows, found, {"train": 0.8, "val": 0.1, "test": 0.1}) < 1e-4


# What a new run moves


def test_only_drawn_runs_that_leave_a_split_move() -> None:
    before = {"a": "train", "b": "train", "c": "", "d": "val", "gone": "val"}
    after = {"a": "val", "b": "val", "c": "val", "d": "val", "new": "train"}
    assert drawing.moved({"a", "c", "d", "new"}, before, after) == {"a": ("train", "val")}


def write(folder: Path, names: Sequence[str], random: str) -> Path:
    """A project with runs of these names, and a recipe over it."""
    shutil.rmtree(folder / "lab", ignore_errors=True)
    runs = tuple(
        Run(n, picks=(Picks("u", "1", "a"), *((Picks("u", "1", "b"),) * (i % 3 == 0)))) for i, n in enumerate(names)
    )
    spec = ProjectSpec(runs=runs, objects=(PickableObject("a", label=1), PickableObject("b", label=2)))
    lab = write_project(folder / "lab", spec)
    (folder / "recipe.yaml").write_text(
        f"recipe: 1\nname: small\n{DATASET}output: {{project_root: out}}\n"
        f"sources: {{lab: {{copick: {{config: {lab.config}}}}}}}\n" + body(random, "  assign: {test: TS_1}\n")
    )
    return folder / "recipe.yaml"


def test_a_plan_says_which_runs_a_new_one_moves(tmp_path: Path) -> None:
    names = [f"TS_{i}" for i in range(6)]
    random = f"{{ratios: {json.dumps(RATIOS)}, seed: 1, stratify: picks}}"
    (built,) = api.build(write(tmp_path, names, random))
    assert built.written
    assert built.report.split_moves == {}
    before = built.report.runs_of_splits
    (again,) = api.plan(write(tmp_path, [*names, *(f"TS_{i}" for i in range(6, 11))], random))
    old, new = (
        {run: split for split, runs in (of or {}).items() for run in runs}
        for of in (before, again.report.runs_of_splits)
    )
    expected = {run: (split, new[run]) for run, split in old.items() if new[run] != split}
    assert expected, "the new runs move some"
    assert again.report.split_moves == expected
    assert new["TS_1"] == "test"
    (told,) = (d for d in again.diagnostics if d.code is Code.SPLIT_MOVES)
    assert told.severity is Severity.WARNING
    assert told.notes == tuple(f"~ {run}: {a} -> {b}" for run, (a, b) in sorted(expected.items()))
    assert told.span is not None
    document = json.loads(as_json.reports([again.report]))["recipes"][0]
    assert document["split_moves"] == {run: {"before": a, "after": b} for run, (a, b) in expected.items()}
    # A plain draw moves none.
    plain = f"{{ratios: {json.dumps(RATIOS)}, seed: 1}}"
    api.build(write(tmp_path, names, plain))
    (again,) = api.plan(write(tmp_path, [*names, *(f"TS_{i}" for i in range(6, 11))], plain))
    assert again.report.split_moves == {}


# What the plan shows


def test_shares_are_of_every_object_in_every_split(tmp_path: Path) -> None:
    rows = {"TS_0": {"a": 3}, "TS_1": {"a": 1, "b": 2}, "TS_2": {"b": 1}, "TS_3": {"a": 2}}
    checked = recipe(tmp_path, "layers:\n  - export: lab\nsplits: {assign: {train: TS_0, val: [TS_1, TS_2]}}\n")
    segmentations = artifacts(
        "segmentations", *(["TS_1", 10.0, "u", "1", "membrane", t] for t in ("binary", "instance"))
    )
    picks = [(run, f"u{i}", "1", name) for run, of in rows.items() for name, n in of.items() for i in range(n)]
    content = plan(checked, inventory(picks=artifacts("picks", *picks), segmentations=segmentations)).content
    found = list(shares.of(content.tables, content.splits))
    assert found == [
        shares.ObjectShares("picks", "a", {"train": 3, "val": 1}, 2),
        shares.ObjectShares("picks", "b", {"train": 0, "val": 3}, 0),
        shares.ObjectShares("segmentations", "membrane", {"train": 0, "val": 2}, 0),
    ]
    assert list(share_table.lines(found, verbose=False)) == [
        "  picks    train       val  none",
        "  a      3 (75%)   1 (25%)     2",
        "  b            0  3 (100%)     0",
        "  segmentations  train       val",
        "  membrane           0  2 (100%)",
    ]
    assert list(shares.of(content.tables, ())) == []


def test_a_table_fits_80_columns_and_says_what_it_leaves_out() -> None:
    splits = [f"fold-{i}" for i in range(1, 21)]
    many = [
        shares.ObjectShares("picks", f"a-very-long-name-of-an-object-{i}", dict.fromkeys(splits, i), i)
        for i in range(14)
    ]
    lines = list(share_table.lines(many, verbose=False))
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:2] == ["picks", "fold-1"]
    assert lines[-1] == "  and 4 more objects and 15 more columns (-v shows all)"
    whole = list(share_table.lines(many, verbose=True))
    assert len(whole) == 15
    assert whole[0].split() == ["picks", *splits, "none"]
    assert whole[-1].split()[0] == "a-very-long-name-of-an-object-13"
