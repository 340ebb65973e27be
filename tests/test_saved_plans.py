"""A plan that is kept builds exactly what it said, or names what moved."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from croissants import write_croissant
from samples import copy_sample, snapshot, write_recipe

from croissant_recipes import Options, api, load_recipe, saved_plans, stores
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import manifest
from croissant_recipes.language import normal_form
from tests.test_outputs import GIVING_AWAY, HIDES, SPLITS, rows, written

ALL = "  - export: lab\n    picks: '*'\n"
FEWER = ALL.replace("'*'", "'ribosome:curator/*'")
PICKS = Path("sample/ExperimentRuns/TS_003/Picks")
CROISSANT = Path("sample/Croissant")


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    copy_sample(tmp_path)
    write_recipe(tmp_path, ALL)
    return tmp_path


def run(*words: str, code: ExitCode = ExitCode.GOOD) -> str:
    done = CliRunner().invoke(main, [*words, "sample.yaml"])
    assert done.exit_code == code, done.output
    return done.stderr


def save(*words: str) -> dict[str, Any]:
    run("plan", "-q", "--save", "plan.json", *words)
    document: dict[str, Any] = json.loads(Path("plan.json").read_bytes())
    return document


def test_a_saved_plan_is_built_byte_for_byte_and_again(lab: Path) -> None:
    document = save()
    assert not CROISSANT.exists()
    run("build", "-q", "--plan", "plan.json")
    (result,) = document["results"]
    loaded = saved_plans.load("plan.json").results[0]
    assert {p.name: p.read_bytes() for p in CROISSANT.iterdir()} == loaded.contents
    assert (result["place"], result["there"], result["output"]) == ("sample", {}, None)
    before = snapshot(lab)
    run("build", "-q", "--plan", "plan.json")
    assert snapshot(lab) == before


def test_a_plan_is_the_same_file_wherever_it_is_saved(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    save("--allow", "labels")
    first = Path("plan.json").read_bytes()
    save("--allow", "labels")
    assert Path("plan.json").read_bytes() == first
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(lab / "sample", other / "sample")
    write_recipe(other, "  # a comment\n" + ALL)
    (planned,) = api.plan(other / "sample.yaml", options=Options(allow=frozenset({"labels"})))
    assert api.saved_plan([planned], Options(allow=frozenset({"labels"}))) == first
    assert str(lab).encode() not in first


def _recipe() -> None:
    write_recipe(Path(), ALL.replace("'*'", "'ribosome:*/*'"))


def _source() -> None:
    shutil.copy(PICKS / "template-matching_tm-1_ribosome.json", PICKS / "ada_9_ribosome.json")


@pytest.mark.parametrize(
    ("move", "moved", "note"),
    [
        (_recipe, "the recipe", "the recipe: it says something else, or has other parameters"),
        (_source, "source 'lab'", "source 'lab': it resolves to something else"),
    ],
)
def test_what_moved_is_named_and_nothing_is_written(lab: Path, move: Callable[[], None], moved: str, note: str) -> None:
    save()
    move()
    before = snapshot(lab)
    told = run("build", "--plan", "plan.json", code=ExitCode.STALE)
    assert f"error[CR426]: plan.json fits no more: {moved} moved\n  {note}\n" in told
    assert snapshot(lab) == before


def test_a_destination_that_moved(lab: Path) -> None:
    run("build", "-q")
    save()
    shutil.rmtree(CROISSANT)
    told = run("build", "-q", "--plan", "plan.json", code=ExitCode.STALE)
    assert "the destination moved\n  the destination: 'croissant-recipe.json'" in told
    assert "it was sample, and is elsewhere" in run(
        "build", "-q", "--plan", "plan.json", "--output", "elsewhere", code=ExitCode.STALE
    )


def test_a_destination_that_moves_while_it_is_worked_on(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save()
    real = stores.read_existing
    monkeypatch.setattr("croissant_recipes.stores.read_existing", lambda o: {**real(o), "new.csv": b""})
    assert "changed while it was worked on" in run("build", "-q", "--plan", "plan.json", code=ExitCode.STALE)
    assert not (CROISSANT / "metadata.json").exists()


def test_a_destination_that_moves_at_the_last_moment(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("build", "-q")
    write_recipe(lab, FEWER)
    save()
    real, runs = stores.commit, CROISSANT / "runs.csv"
    more = runs.read_bytes() + b"TS_new,,,\r\n"

    def disturbed(*of: Any, **named: Any) -> bool:
        runs.write_bytes(more)
        return real(*of, **named)

    monkeypatch.setattr(stores, "commit", disturbed)
    picks = (CROISSANT / "picks.csv").read_bytes()
    assert "changed while it was worked on" in run("build", "-q", "--plan", "plan.json", code=ExitCode.STALE)
    assert (runs.read_bytes(), (CROISSANT / "picks.csv").read_bytes()) == (more, picks)


def test_what_others_changed_is_a_destination_that_moved(lab: Path) -> None:
    run("build", "-q")
    write_recipe(lab, FEWER)
    save()
    path = CROISSANT / "picks.csv"
    path.write_bytes(path.read_bytes().replace(b"ribosome", b"Ribosome", 1))
    before = snapshot(lab)
    told = run("build", "--plan", "plan.json", code=ExitCode.STALE)
    assert "the destination moved\n  the destination: 'picks.csv' changed in sample" in told
    assert "CR502" in told
    assert snapshot(lab) == before


def test_another_version_of_the_tool(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save()
    monkeypatch.setattr(saved_plans, "__version__", "99.0.0")
    assert "it was croissant-recipes " in run("build", "-q", "--plan", "plan.json", code=ExitCode.STALE)


def test_an_option_that_changes_what_is_written(lab: Path) -> None:
    save()
    told = run("build", "-q", "--plan", "plan.json", "--no-file-sha256", code=ExitCode.STALE)
    assert "an option moved\n  an option: --no-file-sha256 was not given\n" in told
    told = run("build", "-q", "--plan", "plan.json", "--base-url", "https://example.org/x", code=ExitCode.STALE)
    assert "an option: --base-url was not given, and is https://example.org/x" in told


def test_what_was_allowed_stays_allowed(lab: Path) -> None:
    run("build", "-q")
    config = Path("sample/filesystem.json")
    document = json.loads(config.read_text())
    document["pickable_objects"][0]["label"] = 9
    config.write_text(json.dumps(document))
    run("plan", "-q", "--save", "plan.json", code=ExitCode.BLOCKED)
    assert not Path("plan.json").exists()
    save("--allow", "labels")
    run("build", "-q", code=ExitCode.BLOCKED)
    run("build", "-q", "--plan", "plan.json")


def test_all_results_are_kept_and_built(lab: Path) -> None:
    outputs = (
        "outputs:\n  public: {project_root: public, withhold: {val: [picks]}}\n  private: {project_root: private}\n"
    )
    write_recipe(lab, ALL, more=outputs + "splits: {assign: {val: TS_003}}\n")
    assert [r["output"] for r in save()["results"]] == ["public", "private"]
    run("build", "-q", "--plan", "plan.json")
    assert (lab / "public/Croissant/metadata.json").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{}", "it has no `kind: saved plan`"),
        (b"[1]", "it has no `kind: saved plan`"),
        (b"{", "it is not JSON"),
        (b"\xff", "no saved plan"),
        (b'{"kind": "saved plan", "format": 2}', "format: Input should be 1"),
    ],
)
def test_files_that_are_no_saved_plan(lab: Path, content: bytes, says: str) -> None:
    Path("plan.json").write_bytes(content)
    assert says in run("build", "-q", "--plan", "plan.json", code=ExitCode.INVALID)
    run("plan", "-q", "--save", "plan.json", code=Code.NOT_WRITABLE.exit_code) if b"saved" not in content else None


def test_a_plan_that_was_edited(lab: Path) -> None:
    document = save()
    saved = Path("plan.json").read_bytes()
    (result,) = document["results"]
    edits: list[Callable[[], object]] = [
        lambda: result["files"]["runs.csv"].update(text="name\n"),
        lambda: result["files"].pop("runs.csv"),
        lambda: result["files"].update({"../runs.csv": {"text": ""}}),
        lambda: result["files"]["croissant-recipe.parquet"].update(base64="!"),
        lambda: result["there"].update({"runs.csv": "0" * 64}),
        lambda: document.update(allow=["labels"]),
        lambda: document.pop("sha256"),
    ]
    for edit in edits:
        document = json.loads(saved)
        (result,) = document["results"]
        edit()
        Path("plan.json").write_text(json.dumps(document))
        assert "CR427" in run("build", "-q", "--plan", "plan.json", code=ExitCode.INVALID)
    assert "cannot be read" in run("build", "-q", "--plan", "nowhere.json", code=ExitCode.INVALID)


def test_a_plan_that_was_cut_off_can_be_saved_again(lab: Path) -> None:
    save()
    data = Path("plan.json").read_bytes()
    Path("plan.json").write_bytes(data[: len(data) // 2])
    assert "it is not JSON" in run("build", "-q", "--plan", "plan.json", code=ExitCode.INVALID)
    save()
    assert Path("plan.json").read_bytes() == data


def test_the_schema_takes_it_and_nothing_spoilt(lab: Path) -> None:
    schema = json.loads(CliRunner().invoke(main, ["schema", "--saved-plan"]).stdout)
    valid, document = jsonschema.Draft202012Validator(schema), save()
    assert valid.is_valid(document)
    assert not valid.is_valid({**document, "more": 1})
    assert not valid.is_valid({**document, "recipe_digest": "7"})


def test_what_a_result_hides_is_not_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_croissant(tmp_path / "lab", rows(SPLITS))
    hides = {**HIDES, "withhold": {"test": ["picks", "segmentations", "meshes"]}, "mask_key": "${key}"}
    recipe = written(tmp_path, hides, "sample", params={"key": "none"})
    kept = ("--set", "key=open-sesame", "--allow", "split:SECRET_a")
    document = save(*kept)
    text = Path("plan.json").read_text(encoding="utf-8")
    assert [secret for secret in (*GIVING_AWAY, "sesame") if secret in text] == []
    assert {r["output"]: bool(r["files"]) for r in document["results"]} == {"public": True, "private": False}
    run("build", "-q", "--plan", "plan.json", *kept)
    private = [p.read_bytes() for p in Path("private/Croissant").iterdir() if p.name != "croissant-recipe.parquet"]
    told = {hashlib.sha256(data).hexdigest() for data in private if data.count(b"\n") > 1}
    # Tables that hide nothing are the same in both.
    public = {hashlib.sha256(p.read_bytes()).hexdigest() for p in Path("public/Croissant").iterdir()}
    assert [digest for digest in told - public if digest in text] == []
    assert normal_form.digest(load_recipe(recipe, {"key": "open-sesame"})) not in text
    run("build", "-q", "--plan", "plan.json", *kept)
    told_of = run("build", "-q", "--plan", "plan.json", "--set", "key=guess", code=ExitCode.STALE)
    assert "plan.json fits no more: the recipe moved\n" in told_of
    compared = CliRunner().invoke(main, ["diff", "plan.json", "plan.json"])
    assert "plan.json does not have the files of private" in compared.stderr


def test_flags_that_do_not_go_together(lab: Path) -> None:
    Path("plan.json").write_text("{}")
    for flags in (["--force"], ["--check"], ["--dry-run"], ["--on-drift", "keep"]):
        assert "exclude each other" in run("build", "--plan", "plan.json", *flags, code=ExitCode.INVALID)
    assert "exclude each other" in run("plan", "--save", "p.json", "--against", "HEAD", code=ExitCode.INVALID)
    done = CliRunner().invoke(main, ["plan", "--save", "p.json", "sample.yaml", "other.yaml"])
    assert "--save goes with one recipe" in done.stderr
