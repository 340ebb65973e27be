"""Expectations of what is at the output, of points and of arrays, through plan and build."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Picks, ProjectSpec, Run, write_project
from samples import DATASET

from croissant_recipes import Options, Planned, build, plan
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import exit_code


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))


def write_recipe(folder: Path, expect: str, *, more: str = "layers: [{export: lab}]\n") -> Path:
    path = folder / "recipe.yaml"
    source = "sources: {lab: {copick: {config: filesystem.json}}}\noutput: {project_root: out}\n"
    path.write_text(f"recipe: 1\nname: lab\n{DATASET}{source}{more}expect:\n{expect}", encoding="utf-8")
    return path


def told(planned: Planned) -> list[str]:
    """What is expected and does not hold, with the line of the recipe after ``expect:``."""
    assert planned.plan is not None
    first = planned.plan.checked.document.key_span("expect").line
    found = [d for d in planned.diagnostics if d.code in (Code.EXPECTATION,)]
    return [f"{d.span.line - first if d.span else None}: {d.severity}: {d.message}" for d in found]


# Beside what is at the output


BESIDE = """\
  runs: {warn: "== +0"}
  picks:
    ribosome: ">= -25%"
    vlp: {warn: "<= +1", fail: "<= 5"}
  splits: {train: {picks: "== +0"}, test: "<= +0"}
  each_run: {picks: "<= +1"}
  segmentations: ">= -5%"
"""


def picks(run: str, *sessions: str, name: str = "ribosome") -> Run:
    return Run(run, picks=tuple(Picks("ann", session, name) for session in sessions))


def test_counts_beside_what_is_at_the_output(tmp_path: Path) -> None:
    more = "layers: [{export: lab, allow_empty: true}]\nsplits: {assign: {train: TS_1, test: TS_2}}\n"
    (tmp_path / "old").mkdir()
    write_project(tmp_path / "old", ProjectSpec((picks("TS_1", *"abcd"), picks("TS_2", name="vlp"))))
    (tmp_path / "filesystem.json").symlink_to("old/filesystem.json")
    recipe = write_recipe(tmp_path, BESIDE, more=more)
    # Nothing is there yet.
    assert told(plan(recipe)[0]) == []
    assert build(recipe)[0].written
    # What is there is what was built.
    assert told(plan(recipe)[0]) == []

    (tmp_path / "new").mkdir()
    runs = (picks("TS_1", *"ab"), Run("TS_2", picks=tuple(Picks("ann", s, "vlp") for s in "abc")), picks("TS_3"))
    write_project(tmp_path / "new", ProjectSpec(runs))
    (tmp_path / "filesystem.json").unlink()
    (tmp_path / "filesystem.json").symlink_to("new/filesystem.json")
    (planned,) = plan(recipe)
    assert told(planned) == [
        "1: warning: runs: expected == +0 beside the 2 at the output (== 2), and there are 3",
        "3: error: picks 'ribosome': expected >= -25% beside the 4 at the output (>= 3), and there are 2",
        "5: error: picks of split 'train': expected == +0 beside the 4 at the output (== 4), and there are 2",
    ]
    assert exit_code(planned.diagnostics) is ExitCode.BLOCKED
    assert not build(recipe)[0].written
    (strict,) = plan(recipe, options=Options(strict=True))
    assert told(strict)[0].startswith("1: error: runs")
    # Into another folder there is nothing to compare with.
    assert told(plan(recipe, options=Options(output=str(tmp_path / "elsewhere")))[0]) == []
