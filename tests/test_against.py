"""A recipe beside what it was at a git revision: real repositories, sources of today."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from repositories import Repo
from samples import copy_sample, write_recipe

from croissant_recipes import Options, Planned, api
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import manifest
from croissant_recipes.review.causes import CauseKind

ALL = "  - export: lab\n    picks: '*'\n    segmentations: '*'\n"
FEWER = ALL.replace("'*'", "'ribosome:curator/*'", 1)


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository with a recipe over a project whose data it holds."""
    repo = Repo(tmp_path / "lab")
    monkeypatch.chdir(repo.folder)
    copy_sample(repo.folder)
    write_recipe(repo.folder, ALL)
    repo.commit("Start")
    return repo


def against(revision: str, recipe: str = "sample.yaml", **options: Any) -> Planned:
    (planned,) = api.plan(recipe, against=revision, options=Options(**options))
    return planned


def told(planned: Planned) -> Counter[tuple[str, str, str, int | None]]:
    """How many rows change, by record set, kind, and the kind and line of the cause."""
    assert planned.review is not None, planned.diagnostics
    found: Counter[tuple[str, str, str, int | None]] = Counter()
    for group in planned.review.groups:
        found[group.record_set, group.kind, str(group.cause.kind), group.cause.line] += len(group)
    return found


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_nothing_changed_is_nothing(repo: Repo) -> None:
    planned = against("HEAD")
    assert planned.review is not None
    assert (planned.review.change_class, told(planned), planned.diagnostics) == ("none", {}, planned.diagnostics)
    assert api.change_exit_code([planned]) is ExitCode.GOOD
    write_recipe(repo.folder, "# a comment\n" + ALL)
    assert not against("HEAD").report.changes
    assert not (repo.folder / "sample/Croissant").exists()


def test_what_the_branch_does_has_its_line(repo: Repo) -> None:
    path = write_recipe(repo.folder, FEWER)
    planned = against("HEAD")
    assert told(planned) == {("picks", "removed", "recipe", line_of(path, "picks:")): 5}
    assert planned.against is not None
    assert (planned.against.revision, planned.against.path) == ("HEAD", "sample.yaml")
    assert planned.against.commit == repo.git("rev-parse", "HEAD")
    assert api.change_exit_code([planned]) is ExitCode.BREAKING
    allowed = against("HEAD", allow=frozenset({"removed:picks"}))
    assert api.change_exit_code([allowed]) is ExitCode.CHANGES
    assert Code.VERSION_STEP in {d.code for d in planned.diagnostics}


def test_a_source_that_moved_is_no_change_of_the_branch_and_told_apart(repo: Repo) -> None:
    assert api.build("sample.yaml")[0].written
    picks = Path("sample/ExperimentRuns/TS_003/Picks")
    shutil.copy(picks / "template-matching_tm-1_ribosome.json", picks / "template-matching_tm-2_ribosome.json")
    planned = against("HEAD")
    assert told(planned) == {}
    assert planned.against is not None
    since = planned.against.since
    assert since is not None
    (group,) = since.groups
    assert (group.record_set, group.kind, len(group), group.cause.kind) == ("picks", "added", 1, CauseKind.SOURCE)
    document = json.loads(_json(planned))["recipes"][0]["against"]
    assert document["since_build"]["review"]["class"] == "additive"
    write_recipe(repo.folder, FEWER)
    both = against("HEAD")
    assert {key[:3] for key in told(both)} == {("picks", "removed", "recipe")}
    assert both.against is not None
    assert both.against.since is not None
    assert [g.kind for g in both.against.since.groups] == ["added"]


def _json(planned: Planned) -> str:
    from croissant_recipes.render import as_json

    return as_json.reports([planned.report])


def test_splits_fragments_and_configs_are_as_they_were(repo: Repo) -> None:
    Path("splits.csv").write_text("split,run\ntrain,TS_001\n")
    Path("shared.yaml").write_text("objects:\n  ribosome: {radius: 100}\n")
    recipe = write_recipe(repo.folder, ALL, more="splits: {file: splits.csv}\ninclude: shared.yaml\n")
    repo.commit("Splits")
    Path("splits.csv").write_text("split,run\ntest,TS_001\n")
    planned = against("HEAD")
    assert planned.review is not None
    assert [r.word for r in planned.review.against] == ["split:TS_001"]
    (group,) = [g for g in planned.review.groups if g.record_set == "runs"]
    assert (group.cause.kind, group.cause.file, group.cause.line) == (CauseKind.RECIPE, "splits.csv", 2)
    repo.git("checkout", "--quiet", "splits.csv")
    Path("shared.yaml").write_text("objects:\n  ribosome: {radius: 120}\n")
    planned = against("HEAD")
    assert planned.review is not None
    assert [r.word for r in planned.review.against] == ["changed:objects:ribosome"]
    repo.git("checkout", "--quiet", "shared.yaml")
    config = Path("sample/filesystem.json")
    document = json.loads(config.read_text())
    document["pickable_objects"][0]["radius"] = 7.0
    config.write_text(json.dumps(document))
    Path("shared.yaml").unlink()
    write_recipe(repo.folder, ALL, more="splits: {file: splits.csv}\n")
    planned = against("HEAD")
    assert planned.review is not None
    assert "changed:objects:ribosome" in [r.word for r in planned.review.against]
    assert recipe.exists()


def test_a_config_of_the_revision_is_another_source(repo: Repo) -> None:
    config = Path("sample/filesystem.json")
    document = json.loads(config.read_text())
    (name,) = [o["name"] for o in document["pickable_objects"]][:1]
    document["pickable_objects"][0]["radius"] = 7.0
    config.write_text(json.dumps(document))
    planned = against("HEAD")
    assert planned.review is not None
    assert [r.word for r in planned.review.against] == [f"changed:objects:{name}"]


@pytest.mark.parametrize("staged", [True, False])
def test_a_renamed_recipe_is_found_by_its_name(repo: Repo, staged: bool) -> None:
    Path("recipes").mkdir()
    text = Path("sample.yaml").read_text().replace("sample/", "../sample/").replace("root: sample", "root: ../sample")
    Path("sample.yaml").unlink()
    Path("recipes/lab.yaml").write_text(text)
    if staged:
        repo.git("add", "--all")
    planned = against("HEAD", "recipes/lab.yaml")
    assert planned.against is not None
    assert (planned.against.path, told(planned)) == ("sample.yaml", {})


def test_a_renamed_recipe_of_another_name_is_found_by_what_it_says(repo: Repo) -> None:
    text = Path("sample.yaml").read_text()
    Path("sample.yaml").unlink()
    Path("other.yaml").write_text(text.replace("name: sample\n", "name: other\n", 1))
    planned = against("HEAD", "other.yaml")
    assert planned.against is not None
    assert planned.against.path == "sample.yaml"


def test_a_new_recipe_is_all_new(repo: Repo) -> None:
    write_recipe(repo.folder, FEWER, name="second", out="elsewhere")
    planned = against("HEAD", "second.yaml")
    assert planned.against is not None
    assert (planned.against.path, planned.report.verdict) == (None, "new")
    assert {key[1:3] for key in told(planned)} == {("added", "recipe")}


def test_a_recipe_that_was_broken_is_told(repo: Repo) -> None:
    Path("sample.yaml").write_text("recipe: 1\nname: sample\nlayers: 7\n")
    repo.commit("Break it")
    write_recipe(repo.folder, ALL)
    planned = against("HEAD")
    (found,) = [d for d in planned.diagnostics if d.code is Code.BEFORE_UNPLANNED]
    assert found.message.startswith("sample.yaml at HEAD cannot be planned: ")
    assert planned.ok
    assert planned.report.verdict == "new"


def test_parameters_that_the_recipe_had_not_yet_count_today_alone(repo: Repo) -> None:
    params = "params:\n  who: curator\n"
    write_recipe(repo.folder, ALL.replace("'*'", '"ribosome:${who}/*"', 1), more=params)
    planned = against("HEAD", params={"who": "template-matching"})
    assert planned.ok, planned.diagnostics
    assert {key[:3] for key in told(planned)} == {("picks", "removed", "recipe")}


# Repositories


def test_from_a_subfolder_a_worktree_and_a_shallow_clone(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit("Again")
    other = tmp_path / "tree"
    repo.git("worktree", "add", "--quiet", str(other))
    write_recipe(other, FEWER)
    monkeypatch.chdir(other / "sample")
    assert sum(told(against("main", "../sample.yaml")).values()) == 5
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth", "1", f"file://{repo.folder}", str(shallow))
    write_recipe(shallow, FEWER)
    monkeypatch.chdir(shallow)
    assert sum(told(against("HEAD")).values()) == 5
    (found,) = against("HEAD~1").diagnostics
    assert found.code is Code.REVISION
    assert "the clone is shallow" in (found.hint or "")


@pytest.mark.parametrize("revision", ["nowhere", "-x", "--help", "", "HEAD:sample.yaml", "a\0b", "HEAD..HEAD"])
def test_revisions_that_are_none(repo: Repo, revision: str) -> None:
    planned = against(revision)
    (found,) = planned.diagnostics
    assert (found.code, planned.plan) == (Code.REVISION, None)
    assert api.results_exit_code([planned]) is ExitCode.INVALID


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_sample(tmp_path)
    recipe = write_recipe(tmp_path, ALL)
    (found,) = against("HEAD", str(recipe)).diagnostics
    assert "is in no git repository" in found.message
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = against("HEAD", str(recipe)).diagnostics
    assert "there is none on PATH" in found.message


def test_nothing_of_the_repository_runs(repo: Repo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    hook.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "filter.f.smudge",
        "filter.f.clean",
        "diff.external",
        "diff.f.textconv",
        "core.pager",
    ):
        repo.git("config", key, str(hook))
    Path(".gitattributes").write_text("* filter=f diff=f\n")
    write_recipe(repo.folder, FEWER)
    assert sum(told(against("HEAD")).values()) == 5
    assert not ran.exists()


def test_files_at_a_revision_keep_their_limits(repo: Repo) -> None:
    Path("big.csv").write_text("split,run\n" + "train,TS_001\n" * 10)
    Path("splits.csv").symlink_to("big.csv")
    write_recipe(repo.folder, ALL, more="splits: {file: splits.csv}\n")
    repo.commit("A link")
    Path("big.csv").write_text("split,run\ntest,TS_001\n")
    planned = against("HEAD")
    assert planned.review is not None
    assert [r.word for r in planned.review.against] == ["split:TS_001"]
    Path("big.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    repo.commit("A pointer")
    Path("big.csv").write_text("split,run\ntest,TS_001\n")
    (found,) = [d for d in against("HEAD").diagnostics if d.code is Code.BEFORE_UNPLANNED]
    assert "Git LFS" in found.message
