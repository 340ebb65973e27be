"""What ``check`` says about recipes that are wrong, word for word: the pages of ``bad_recipes`` are the table."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
from bad_recipes_pages import Case, cases, marked, output, rewrite
from click.testing import CliRunner

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


def _said(path: str) -> list[str]:
    (checked,) = check(path)
    assert checked.recipe is None
    return [str(d) for d in checked.diagnostics]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        rewrite(Path(scratch))
