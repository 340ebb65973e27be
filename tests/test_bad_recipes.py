"""What ``check`` says about recipes that are wrong, word for word: the pages of ``bad_recipes`` are the table."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
from bad_recipes_pages import Case, cases, marked, output, rewrite
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from croissant_recipes import check
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode

CASES = tuple(cases())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.page}: {c.title}")
def test_table(case: Case, folder: Path) -> None:
    found = case.check(folder)
    assert output(found) == case.output
    assert marked(found) == case.marked
    assert case.output, "every recipe of the table has something wrong with it"


def test_titles_are_unique() -> None:
    titles = [(c.page, c.title) for c in CASES]
    assert len(titles) == len(set(titles)) >= 70


def test_every_code_that_check_can_give_is_in_the_table() -> None:
    given = {code for code in Code for case in CASES if f"[{code.value}]" in case.output}
    offline = {code for code in Code if code.value.startswith(("CR1", "CR2"))}
    assert offline - given == {Code.FILE}, "files that cannot be read are below"


def test_a_recipe_with_ten_errors_has_them_all_reported_in_file_order(folder: Path) -> None:
    (case,) = (c for c in CASES if c.title == "ten errors at once")
    places = [(d.span.line, d.span.column) for d in case.check(folder) if d.span and d.is_error]
    assert len(places) == 10
    assert places == sorted(places)


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert _said("none.yaml") == [
        "none.yaml:1:1: error[CR101]: the recipe cannot be read: No such file or directory\n"
        "  hint: give the path of a recipe file"
    ]


def test_a_folder(folder: Path) -> None:
    (folder / "recipes").mkdir()
    assert _said("recipes") == [
        "recipes:1:1: error[CR101]: the recipe cannot be read: Is a directory\n  hint: give the path of a recipe file"
    ]


def test_a_file_in_another_encoding(folder: Path) -> None:
    (folder / "recipe.yaml").write_bytes("recipe: 1\nname: Ångström\n".encode("latin-1"))
    assert _said("recipe.yaml") == ["recipe.yaml:2:7: error[CR101]: the file is not UTF-8\n  hint: save it as UTF-8"]


def test_a_byte_order_mark_and_windows_line_ends_change_no_position(folder: Path) -> None:
    (folder / "recipe.yaml").write_bytes("\ufeffrecipe: 1\r\nnmae: x\r\n".encode())
    assert "recipe.yaml:2:1: error[CR104]: unknown key 'nmae'\n  hint: did you mean 'name'?" in _said("recipe.yaml")


def test_a_split_file_in_another_encoding(folder: Path) -> None:
    (folder / "splits.csv").write_bytes("split,run\ntrain,Å\n".encode("latin-1"))
    (case,) = (c for c in CASES if c.title == "a split file that is not there")
    assert output(case.check(folder)).splitlines()[0] == "recipe.yaml:1:16: error[CR212]: splits.csv is not UTF-8"


def test_the_command_says_the_same_and_ends_with_2(folder: Path) -> None:
    case = next(c for c in CASES if c.settings)
    found = case.check(folder)
    settings = [word for name, value in case.settings.items() for word in ("--set", f"{name}={value}")]
    result = CliRunner().invoke(main, ["check", "recipe.yaml", *settings])
    assert result.stderr == output(found)
    assert result.stdout == f"recipe.yaml: {len(found)} error\n"
    assert result.exit_code == ExitCode.INVALID


# Recipes that nobody wrote

GOOD = {
    "recipe": 1,
    "name": "example",
    "params": {"voxel": 10.0},
    "dataset": {
        "name": "A",
        "description": "B",
        "version": "1.0.0",
        "license": "MIT",
        "date_published": "2026-01-15",
        "url": "https://example.org",
        "keywords": ["a"],
        "creators": [{"name": "C", "orcid": "0000-0002-1825-0097"}],
        "rai": {"data_collection": "by hand", "data_biases": ["a"]},
    },
    "output": {"project_root": "out", "base_url": "https://example.org", "fs_args": {"anon": True}, "parquet": True},
    "sources": {
        "lab": {"copick": {"config": "lab.json"}},
        "portal": {"portal": {"datasets": [10000]}},
        "old": {"croissant": {"url": "metadata.json"}},
    },
    "objects": {"ribosome": {"label": 1, "color": [0, 255, 0, 255], "radius": 130}},
    "layers": [
        {"export": "portal", "picks": {"where": {"method_type": "hybrid"}, "authors": ["A"]}, "session_id": "{id:06d}"},
        {"append": "lab", "tomograms": ["wbp@${voxel}"], "rename": {"objects": {"a": "b"}}, "others": "exclude"},
        {"append": "old", "runs": "re:TS_.*", "segmentations": "all", "split": {"train": ["TS_1"]}},
    ],
    "splits": {
        "assign": {"train": ["1001"], "val": "1002"},
        "random": {"ratios": {"train": 0.5, "val": 0.5}, "seed": 7, "group": "re:(.*)_1"},
        "unassign": ["x"],
    },
    "expect": {"runs": ">= 1", "picks": {"ribosome": 3}, "splits": {"train": "1..2"}},
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["${voxel}", "${", "{id", "{{ id", "a:b:c", "re:(", "all", "https://x", "2026-01-15", "1..0", "\0"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*path, key))


def replaced(value: object, path: tuple[str | int, ...], new: object) -> object:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)  # type: ignore[call-overload]
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def checked_text(text: str) -> None:
    """Check a text as a recipe: the result is a recipe or errors, all of which can be told, at places in the file."""
    Path("any.yaml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    (result,) = check("any.yaml", params={"voxel": "1"} if "voxel" in text else None)
    assert (result.recipe is None) == (not result.ok)
    lines = 1 + len(re.findall("\r\n|[\r\n\x85\u2028\u2029]", text))
    for diagnostic in result.diagnostics:
        assert str(diagnostic).encode()
        assert json.dumps(diagnostic.to_json())
        assert diagnostic.span is not None
        assert 1 <= diagnostic.span.line <= lines
        assert diagnostic.span.column >= 1


def test_the_good_recipe_is_good(folder: Path) -> None:
    Path("good.yaml").write_text(json.dumps(GOOD), encoding="utf-8")
    (result,) = check("good.yaml")
    assert [str(d) for d in result.diagnostics if d.is_error] == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80) | st.text("recipe: 1\nams[]{}'\"-#&*!|>\t", max_size=80))
@example(text='recipe: 1\nlayers: [{export: "\\ud800"}]')
def test_any_text_is_a_recipe_or_has_errors(folder: Path, text: str) -> None:
    checked_text(text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(list(paths(GOOD))), new=ANYTHING)
def test_a_recipe_with_anything_anywhere_is_a_recipe_or_has_errors(
    folder: Path, path: tuple[str | int, ...], new: object
) -> None:
    checked_text(json.dumps(replaced(GOOD, path, new)))


def _said(path: str) -> list[str]:
    (checked,) = check(path)
    assert checked.recipe is None
    return [str(d) for d in checked.diagnostics]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        rewrite(Path(scratch))
