"""The recipes that the repository ships: they check, plan as their comments say, and build to valid Croissants."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlcroissant as mlc
import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from croissant_recipes import api, from_croissant
from croissant_recipes.cli import main
from croissant_recipes.options import Options

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = sorted(p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "recipes").rglob("*.yaml"))
OFFLINE = [name for name in SHIPPED if "portal:" not in (REPOSITORY / name).read_text(encoding="utf-8")]
SCHEMA_LINE = "# yaml-language-server: $schema="


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipes and the sample project, as a checkout has them, with the working directory above it."""
    made = shutil.ignore_patterns("Croissant", ".croissant-recipe.lock", "build")
    shutil.copytree(REPOSITORY / "recipes", tmp_path / "recipes", ignore=made)
    shutil.copytree(REPOSITORY / "recipes/published", tmp_path / "recipes/published", dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _text(*arguments: str) -> str:
    """What a command prints, on both streams, but for progress."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    progress = ("listing ", "reading ")
    return "".join(line for line in result.output.splitlines(keepends=True) if not line.startswith(progress))


def test_there_are_recipes_of_both_kinds() -> None:
    assert len(OFFLINE) >= 6
    assert len(SHIPPED) > len(OFFLINE)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_checks_without_errors_or_warnings(name: str) -> None:
    (checked,) = api.check(REPOSITORY / name)
    assert [str(d) for d in checked.diagnostics] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_editors_find_the_schema_from_the_first_line(name: str) -> None:
    first, second = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()[:2]
    assert first.startswith(SCHEMA_LINE)
    assert (REPOSITORY / name).parent.joinpath(first.removeprefix(SCHEMA_LINE)).resolve() == (
        REPOSITORY / "recipes/recipe.schema.json"
    )
    assert second == "#", "a comment says what the recipe shows"


def test_the_schema_beside_the_recipes_is_the_one_that_the_command_prints() -> None:
    assert (REPOSITORY / "recipes/recipe.schema.json").read_text(encoding="utf-8") == api.schema_text()
    assert (REPOSITORY / "recipes/fragment.schema.json").read_text(encoding="utf-8") == api.schema_text(fragment=True)


@pytest.mark.parametrize("name", OFFLINE)
def test_plan_and_build(name: str, copied: Path, snapshot: SnapshotAssertion) -> None:
    planned = _text("plan", "-v", name)
    assert planned.replace(str(copied), "<copy>") == snapshot
    _text("build", name)
    (built,) = api.plan(name)
    assert not built.prepared.changes, "a build does what the plan says, once"
    metadata = Path(built.metadata_url)
    issues = mlc.Dataset(jsonld=metadata).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert not [d for d in built.diagnostics if d.is_error]
    root = from_croissant(str(metadata))
    assert len(root.runs) == len(built.plan.content.tables["runs"])
    rows = sum(len(built.plan.content.tables[t]) for t in ("picks", "meshes"))
    assert sum(len(run.picks) + len(run.meshes) for run in root.runs) == rows


def test_recipes_of_one_folder_build_together(copied: Path) -> None:
    names = [name for name in OFFLINE if name.count("/") == 1]
    results = api.build(*names)
    assert [(r.path, r.written) for r in results] == [(name, True) for name in names]


def test_the_published_croissant_is_what_its_recipe_builds(copied: Path) -> None:
    (planned,) = api.plan("recipes/published/recipe.yaml")
    assert planned.prepared.changes.exists
    assert not planned.prepared.changes
    committed = REPOSITORY / "recipes/published/Croissant"
    for name, data in planned.prepared.files.items():
        if name.endswith(".csv"):
            assert data == (committed / name).read_bytes(), name


def test_best_tomogram_takes_the_denoised_one_where_there_is_one(copied: Path) -> None:
    (built,) = api.build("recipes/best-tomogram.yaml")
    tomograms = built.plan.content.tables["tomograms"]
    files = {run: Path(url).name for run, url in zip(tomograms["run"], tomograms["url"], strict=True)}
    assert files == {"TS_001": "denoised.zarr", "TS_002": "denoised.zarr", "TS_003": "wbp.zarr"}
    assert set(tomograms["tomo_type"]) == {"best"}


def test_two_annotators_keep_the_ribosomes_where_one_annotator_has_both(copied: Path) -> None:
    (built,) = api.build("recipes/append-two-annotators.yaml")
    picks = built.plan.content.tables["picks"]
    assert set(picks["object_name"]) == {"particle"}
    assert all(url.endswith("_ribosome.json") for url in picks["url"])
    assert sorted(zip(picks["run"], picks["user_id"], strict=True)) == [
        ("TS_001", "curator"),
        ("TS_001", "template-matching"),
        ("TS_002", "curator"),
        ("TS_002", "template-matching"),
        ("TS_003", "template-matching"),
    ]


def test_a_base_keeps_its_metadata_and_splits(copied: Path) -> None:
    (built,) = api.build("recipes/from-a-published-croissant.yaml")
    manifest = json.loads(Path(built.metadata_url).read_bytes())
    base = json.loads(Path("recipes/published/Croissant/metadata.json").read_bytes())
    assert (manifest["name"], manifest["datePublished"]) == (base["name"], base["datePublished"])
    assert from_croissant(built.metadata_url).splits == {"test": ["TS_003"], "train": ["TS_001", "TS_002"]}
    tomograms, picks = (built.plan.content.tables[t] for t in ("tomograms", "picks"))
    assert all(url.startswith("https://example.org/published/") for url in tomograms["url"])
    assert all(url.startswith("https://example.org/lab/") for url in picks["url"])


def test_grouped_splits_keep_a_group_together_and_a_new_run_moves_none(copied: Path) -> None:
    def splits() -> dict[str, str]:
        (planned,) = api.plan("recipes/grouped-splits.yaml")
        runs = planned.plan.content.tables["runs"]
        return dict(zip(runs["name"], runs["split"], strict=True))

    before = splits()
    assert before["TS_001"] == before["TS_002"]
    assert before["TS_004"] == "test"
    shutil.copytree("recipes/sample/ExperimentRuns/TS_003", "recipes/sample/ExperimentRuns/TS_005")
    after = splits()
    assert after.pop("TS_005") in ("train", "val")
    assert after == before


def test_read_anywhere_survives_strict_with_names_that_csv_readers_change(copied: Path) -> None:
    folder = Path("recipes/sample/ExperimentRuns/TS_003/Picks")
    shutil.copy(folder / "template-matching_tm-1_ribosome.json", folder / "ada_007_proteasome.json")
    shutil.copy(folder / "template-matching_tm-1_ribosome.json", folder / "ada_NA_proteasome.json")
    recipe = Path("recipes/read-anywhere.yaml")
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("proteasome: 2", "proteasome: 4"), encoding="utf-8")
    assert api.build(recipe, options=Options(strict=True))[0].written
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("  parquet: true\n", ""), encoding="utf-8")
    (refused,) = api.build(recipe, options=Options(strict=True))
    assert not refused.written
    assert [d.code.value for d in refused.diagnostics if d.is_error] == ["CR601"]


def test_one_object_takes_another_object_as_a_parameter(copied: Path) -> None:
    options = Options(params={"object": "proteasome", "atleast": "1"})
    (planned,) = api.plan("recipes/one-object-multi-size.yaml", options=options)
    assert [str(d) for d in planned.diagnostics if d.is_error] == []
    assert set(planned.plan.content.tables["picks"]["object_name"]) == {"proteasome"}
