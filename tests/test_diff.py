"""Two versions that somebody names: Croissants, recipes, and all recipes between two git revisions."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner
from repositories import Repo
from samples import DATASET, built, copy_sample, write_recipe

from croissant_recipes import Options, api, diffing, planning
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import manifest
from croissant_recipes.diffing import Compared

ALL = "  - export: lab\n    picks: '*'\n    segmentations: '*'\n"
FEWER = ALL.replace("'*'", "'ribosome:curator/*'", 1)


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository with a recipe over a project whose data it does not hold."""
    repo = Repo(tmp_path / "lab")
    monkeypatch.chdir(repo.folder)
    copy_sample(repo.folder)
    Path(".gitignore").write_text("sample/ExperimentRuns\nsample/Objects\nCroissant\n")
    write_recipe(repo.folder, ALL)
    repo.commit("Start")
    return repo


def diff(*versions: str, **options: Any) -> Compared:
    found = api.diff(*versions, options=Options(**options))
    assert found.diagnostics == ()
    (compared,) = found.compared
    return compared


def told(compared: Compared) -> Counter[tuple[str, str, str, str | None]]:
    """How many rows change, by record set, kind, and the kind and place of the cause."""
    assert compared.review is not None, compared.diagnostics
    found: Counter[tuple[str, str, str, str | None]] = Counter()
    for group in compared.review.groups:
        found[group.record_set, group.kind, str(group.cause.kind), group.cause.place] += len(group)
    return found


def line_of(path: str, text: str) -> int:
    return next(n for n, line in enumerate(Path(path).read_text().splitlines(), 1) if text in line)


# Croissants


def test_two_builds_have_the_causes_that_they_noted(lab: Repo) -> None:
    built(write_recipe(lab.folder, ALL, out="sample"))
    shutil.copytree("sample/Croissant", "before")
    assert told(diff("before", "sample/Croissant")) == {}
    built(write_recipe(lab.folder, FEWER))
    for before, after in (("before", "sample"), ("before/metadata.json", "sample/Croissant")):
        compared = diff(before, after)
        assert {key[:2]: n for key, n in told(compared).items()} == {("picks", "removed"): 5}
    assert (compared.name, compared.path) == ("sample", "sample/Croissant")
    picks = Path("sample/ExperimentRuns/TS_003/Picks")
    shutil.copytree("sample/Croissant", "between")
    picks.joinpath("curator_round-9_ribosome.json").write_bytes(next(picks.glob("*.json")).read_bytes())
    built(Path("sample.yaml"))
    assert told(diff("between", "sample")) == {("picks", "added", "source", None): 1}


def test_croissants_of_others_are_compared_by_key(lab: Repo) -> None:
    built(Path("sample.yaml"))
    shutil.copytree("sample/Croissant", "before")
    shutil.copytree("sample/Croissant", "after")
    for folder in ("before", "after"):
        for record in Path(folder).glob("croissant-recipe.*"):
            record.unlink()
    picks = Path("after/picks.csv")
    lines = picks.read_text().splitlines()
    picks.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n")
    document = json.loads(Path("after/metadata.json").read_text())
    for entry in document["distribution"]:
        entry.pop("sha256", None)
    document["copick:config"]["pickable_objects"][0]["label"] += 40
    Path("after/metadata.json").write_text(json.dumps(document))
    compared = diff("before", "after")
    assert told(compared) == {("picks", "removed", "unknown", None): 1}
    assert compared.review is not None
    assert [o.kind for o in compared.review.changes.objects] == ["changed"]
    assert compared.review.change_class == "breaking"


def test_what_is_no_croissant_is_told_of_both(lab: Repo) -> None:
    Path("other.json").write_text("{}")
    found = api.diff("other.json", "nowhere")
    assert found.compared == ()
    assert {d.code for d in found.diagnostics} == {Code.UNREACHABLE, Code.CROISSANT}
    assert api.diff_exit_code(found) is not ExitCode.GOOD


def other(folder: str, rows: str, *, name: str = "notes", key: object = None) -> str:
    """A Croissant that has nothing of copick's: records of one CSV, and one of JSON values."""
    Path(folder).mkdir()
    Path(folder, "notes.csv").write_text(rows)

    def field(column: str, kind: str) -> dict[str, Any]:
        source = {"fileObject": {"@id": "file"}, "extract": {"column": column}}
        return {"@type": "cr:Field", "@id": f"{name}/{column}", "dataType": kind, "source": source}

    record_set = {
        "@type": "cr:RecordSet",
        "@id": name,
        "key": key or [{"@id": f"{name}/id"}],
        "field": [field("id", "sc:Integer"), field("text", "sc:Text")],
    }
    levels = {
        "@type": "cr:RecordSet",
        "@id": "levels",
        "key": {"@id": "levels/name"},
        "field": [{"@type": "cr:Field", "@id": "levels/name", "dataType": "sc:Text"}],
        "data": [{"levels/name": "low"}, {"levels/name": "high"}][: rows.count("\n") - 1],
    }
    file = {"@type": "cr:FileObject", "@id": "file", "contentUrl": "notes.csv", "encodingFormat": "text/csv"}
    document = {
        "@context": {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"},
        "@type": "sc:Dataset",
        "name": folder,
        "distribution": [file],
        "recordSet": [record_set, levels],
    }
    Path(folder, "metadata.json").write_text(json.dumps(document))
    return folder


def test_any_croissants_with_keys_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = other("before", "id,text\n2,NA\n10,old\n30,gone\n")
    after = other("after", "id,text\n4,fresh\n10,new\n2,NA\n")
    compared = diff(before, after)
    assert told(compared) == {("notes", kind, "unknown", None): 1 for kind in ("added", "changed", "removed")}
    assert compared.review is not None
    table = compared.review.changes.tables["notes"]
    assert (table.added["text"].tolist(), table.removed["text"].tolist(), table.unchanged) == (["fresh"], ["gone"], 1)
    (changed,) = table.changed()
    assert (changed.key, changed.fields) == ({"id": 10.0}, {"text": ("old", "new")})
    assert compared.review.change_class == "breaking"
    assert {r.word for r in compared.review.against} == {"removed:others:notes", "changed:others:notes"}
    assert not diff(before, after, allow=frozenset({"removed:others", "changed:others:notes"})).review.against  # type: ignore[union-attr]
    for form in ("text", "json"):
        shown = CliRunner().invoke(main, ["diff", "--format", form, "-v", before, after])
        assert shown.exit_code == 0, shown.output
        assert "fresh" in shown.stdout or form == "text"
        assert "notes" in shown.stdout
    less = other("less", "id,text\n2,NA\n")
    assert told(diff(less, other("same", "id,text\n2,NA\n"))) == {}
    assert told(diff(less, before))["levels", "added", "unknown", None] == 1


def test_records_that_cannot_be_compared_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = other("before", "id,text\n2,a\n2,b\n")
    after = other("after", "id,text\n2,a\n", key="notes/nothing")
    (compared,) = api.diff(before, after).compared
    assert [d.message.partition("record set ")[2] for d in compared.diagnostics] == [
        "notes is not compared: its key 'nothing' is no field of it"
    ]
    Path("after/notes.csv").unlink()
    (compared,) = api.diff(before, after).compared
    assert "there is no such file" in compared.diagnostics[0].message


def test_no_credential_of_a_url_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other("before", "id,text\n2,a\n")
    after = other("after", "id,text\n2,b\n")
    copied = fsspec.filesystem("memory")
    for name in ("metadata.json", "notes.csv"):
        copied.pipe(f"/diff-test/{name}", Path(after, name).read_bytes())
    url = "memory://someone:hunter2@host/diff-test/metadata.json"
    compared = api.diff("before", "memory:///diff-test/metadata.json").compared[0]
    assert compared.after == "memory:///diff-test/metadata.json"
    for form in ("text", "json"):
        shown = CliRunner().invoke(main, ["diff", "--format", form, "before", url])
        assert "hunter2" not in shown.output
    (compared,) = [api.diff("before", "memory:///diff-test").compared[0]]
    assert told(compared) == {("notes", "changed", "unknown", None): 1}
    assert "hunter2" not in diffing._shown("s3://someone:hunter2@bucket/x/metadata.json")


# Saved plans


def test_two_saved_plans(lab: Repo) -> None:
    run = CliRunner().invoke
    assert run(main, ["plan", "--save", "first.json", "sample.yaml"]).exit_code == 0
    write_recipe(lab.folder, FEWER)
    assert run(main, ["plan", "--save", "second.json", "sample.yaml"]).exit_code == 0
    compared = diff("first.json", "second.json")
    assert {key[:2]: n for key, n in told(compared).items()} == {("picks", "removed"): 5}
    assert told(diff("second.json", "sample.yaml")) == {}
    assert not Path("sample/Croissant").exists()


# Recipes


def test_two_recipes_are_planned_over_sources_that_are_read_once(lab: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    was = planning.open_source
    monkeypatch.setattr(planning, "open_source", lambda *given: opened.append(given[0]) or was(*given))
    write_recipe(lab.folder, FEWER, name="other")
    compared = diff("sample.yaml", "other.yaml")
    place = f"other.yaml:{line_of('other.yaml', 'picks:')}"
    assert told(compared) == {("picks", "removed", "recipe", place): 5}
    assert opened == ["lab"]
    assert not Path("sample/Croissant").exists()


def test_a_recipe_beside_a_croissant(lab: Repo) -> None:
    built(Path("sample.yaml"))
    shutil.copytree("sample/Croissant", "before")
    write_recipe(lab.folder, FEWER)
    place = f"sample.yaml:{line_of('sample.yaml', 'picks:')}"
    assert told(diff("before", "sample.yaml")) == {("picks", "removed", "recipe", place): 5}
    assert {key[:2]: n for key, n in told(diff("sample.yaml", "before")).items()} == {("picks", "added"): 5}


def test_recipes_with_errors_and_parameters(lab: Repo) -> None:
    Path("wrong.yaml").write_text("recipe: 1\nname: wrong\n")
    found = api.diff("sample.yaml", "wrong.yaml")
    assert {d.code for d in found.diagnostics} == {Code.MISSING_KEY}
    write_recipe(
        lab.folder, ALL.replace("'*'", '"ribosome:${who}/*"', 1), name="other", more="params: {who: curator}\n"
    )
    assert sum(told(diff("sample.yaml", "other.yaml", params={"who": "curator"})).values()) == 5
    found = api.diff("sample.yaml", "other.yaml", options=Options(params={"whom": "x"}))
    assert [d.code for d in found.diagnostics] == [Code.PARAM_UNKNOWN]


# Revisions


def test_only_recipes_that_changed_between_revisions_are_planned(lab: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recipe(lab.folder, ALL, name="second", out="second", more="splits: {file: splits.csv}\n")
    write_recipe(lab.folder, ALL, name="third", out="third")
    Path("splits.csv").write_text("split,run\ntrain,TS_001\n")
    Path("workflow.yaml").write_text("on: push\n")
    lab.commit("Three recipes")
    lab.git("tag", "v1")
    write_recipe(lab.folder, FEWER)
    Path("splits.csv").write_text("split,run\ntest,TS_001\n")
    Path("workflow.yaml").write_text("on: pull_request\n")
    lab.commit("Two of them")
    planned = []
    was = planning.make_plans
    monkeypatch.setattr(planning, "make_plans", lambda recipes, *more: planned.extend(recipes) or was(recipes, *more))
    found = api.diff("v1..HEAD")
    assert found.diagnostics == ()
    assert [c.path for c in found.compared] == ["sample.yaml", "second.yaml"]
    first, second = found.compared
    assert told(first) == {("picks", "removed", "recipe", f"sample.yaml:{line_of('sample.yaml', 'picks:')}"): 5}
    assert told(second) == {("runs", "changed", "recipe", "splits.csv:2"): 1}
    assert len(planned) == 4
    assert [c.path for c in api.diff("v1..HEAD", "second.yaml").compared] == ["second.yaml"]
    assert api.diff("v1..HEAD", "third.yaml").compared == ()
    (problem,) = api.diff("v1..HEAD", "nowhere.yaml").diagnostics
    assert (problem.code, "no file of lab at v1 or HEAD" in problem.message) == (Code.REVISION, True)


def test_the_working_tree_is_not_looked_at_but_for_data(lab: Repo) -> None:
    lab.git("tag", "v1")
    write_recipe(lab.folder, FEWER)
    lab.commit("Fewer")
    Path("sample.yaml").write_text("nonsense: [\n")
    assert sum(told(diff("v1..HEAD")).values()) == 5
    assert sum(told(diff("v1..")).values()) == 5
    assert {kind for _, kind, *_ in told(diff("..v1"))} == {"added"}
    Path("sample.yaml").unlink()
    assert sum(told(diff("v1..HEAD")).values()) == 5


def test_three_dots_start_where_both_parted(lab: Repo) -> None:
    lab.git("checkout", "--quiet", "-b", "branch")
    write_recipe(lab.folder, ALL, name="second", out="second")
    lab.commit("A second")
    lab.git("checkout", "--quiet", "main")
    write_recipe(lab.folder, FEWER)
    lab.commit("Fewer")
    assert [c.path for c in api.diff("main...branch").compared] == ["second.yaml"]
    assert [c.path for c in api.diff("main..branch").compared] == ["sample.yaml", "second.yaml"]


def test_new_removed_and_renamed_recipes(lab: Repo) -> None:
    lab.git("tag", "v1")
    Path("recipes").mkdir()
    text = Path("sample.yaml").read_text().replace("sample/", "../sample/").replace("root: sample", "root: ../sample")
    Path("sample.yaml").unlink()
    Path("recipes/lab.yaml").write_text(text)
    write_recipe(
        lab.folder,
        FEWER,
        name="fresh",
        out="fresh",
        start=DATASET.replace("Sample", "Something else"),
    )
    lab.commit("Move")
    moved, fresh = (
        next(c for c in api.diff("v1..HEAD").compared if c.path == p) for p in ("recipes/lab.yaml", "fresh.yaml")
    )
    assert told(moved) == {}
    assert fresh.review is not None
    assert not fresh.review.changes.exists
    (gone, back) = api.diff("HEAD..v1").compared[-1], api.diff("HEAD..v1").compared[0]
    assert gone.path == "fresh.yaml"
    assert {kind for _, kind, *_ in told(gone)} == {"removed"}
    assert gone.review is not None
    assert gone.review.change_class == "breaking"
    assert (back.path, told(back)) == ("sample.yaml", {})


def test_a_recipe_that_moved_with_its_folder_and_data(lab: Repo) -> None:
    Path("old").mkdir()
    for name in ("sample.yaml", "sample"):
        Path(name).rename(Path("old", name))
    Path(".gitignore").write_text("ExperimentRuns\nObjects\nCroissant\n")
    lab.commit("Into a folder")
    Path("old").rename("new")
    write_recipe(lab.folder / "new", FEWER)
    place = f"new/sample.yaml:{line_of('new/sample.yaml', 'picks:')}"
    (planned,) = api.plan("new/sample.yaml", against="HEAD")
    assert planned.against is not None
    assert planned.against.path == "old/sample.yaml"
    (group,) = planned.against.review.groups
    assert (len(group), group.kind, group.cause.place) == (5, "removed", place)
    lab.commit("Another name for it")
    compared = diff("HEAD~1..HEAD")
    assert told(compared) == {("picks", "removed", "recipe", place): 5}


def test_a_recipe_that_was_broken_then(lab: Repo) -> None:
    text = Path("sample.yaml").read_text()
    Path("sample.yaml").write_text("recipe: 1\nname: sample\n")
    lab.commit("Break")
    Path("sample.yaml").write_text(text)
    lab.commit("Mend")
    compared = diff("HEAD~1..HEAD")
    assert [d.code for d in compared.diagnostics] == [Code.BEFORE_UNPLANNED]
    back = diff("HEAD..HEAD~1")
    assert not back.ok
    assert {d.code for d in back.diagnostics} == {Code.MISSING_KEY}


@pytest.mark.parametrize("text", ["nowhere..HEAD", "HEAD..-x", "--output=x..HEAD"])
def test_revisions_that_are_none(lab: Repo, text: str) -> None:
    found = api.diff(text)
    assert [d.code for d in found.diagnostics] == [Code.REVISION]


# The command


def test_the_command(lab: Repo) -> None:
    write_recipe(lab.folder, FEWER)
    lab.commit("Fewer")
    run = CliRunner().invoke
    shown = run(main, ["diff", "HEAD~1..HEAD"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("HEAD~1 -> HEAD (sample, sample.yaml): breaking")
    assert "0 added, 0 changed, 5 removed" in shown.stdout or "-5" in shown.stdout
    assert run(main, ["diff", "--exit-code", "HEAD~1..HEAD"]).exit_code == ExitCode.BREAKING
    allowed = ["--allow", "removed:picks", "--exit-code"]
    assert run(main, ["diff", *allowed, "HEAD~1..HEAD"]).exit_code == ExitCode.CHANGES
    nothing = run(main, ["diff", "--exit-code", "HEAD..HEAD"])
    assert (nothing.exit_code, nothing.stdout) == (0, "No recipe differs: HEAD..HEAD\n")
    document = json.loads(run(main, ["diff", "--format", "json", "HEAD~1..HEAD"]).stdout)
    (only,) = document["recipes"]
    assert only["between"] == {"before": "HEAD~1", "after": "HEAD"}
    assert only["review"]["class"] == "breaking"
    assert run(main, ["diff", "sample.yaml"]).exit_code == 2
