"""The page on pull requests shows what is really posted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from repositories import Repo

from croissant_recipes.cli import main
from croissant_recipes.codes import ExitCode

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs/pull-requests.md"
EDITS = (('["ribosome:*/*"]', '["ribosome:curator/*"]'), ("version: 1.0.0", "version: 1.1.0"))


def _shown(name: str) -> str:
    found = re.search(rf"<!-- the {name} -->\n```\w+\n(.*?)```\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_comment_and_the_annotations_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "curation")
    made = shutil.ignore_patterns("Croissant", ".croissant-recipe.lock")
    shutil.copytree(REPOSITORY / "recipes/sample", repo.folder / "recipes/sample", ignore=made)
    recipe = repo.folder / "recipes/quickstart.yaml"
    shutil.copy(REPOSITORY / "recipes/quickstart.yaml", recipe)
    repo.commit("Start")
    text = recipe.read_text(encoding="utf-8")
    for old, new in EDITS:
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(text, encoding="utf-8")
    monkeypatch.chdir(repo.folder)
    words = ["plan", "--exit-code", "--against", "HEAD", "--report", "plan.md", "--format", "github"]
    done = CliRunner().invoke(main, [*words, "recipes/quickstart.yaml"])
    assert done.exit_code == ExitCode.BREAKING
    comment = Path("plan.md").read_text(encoding="utf-8")
    annotations = "".join(line for line in done.stdout.splitlines(keepends=True) if line.startswith("::"))
    assert (_shown("comment"), _shown("annotations")) == (comment, annotations), (
        "write these into docs/pull-requests.md:\n" + comment + annotations
    )
