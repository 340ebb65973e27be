"""Names that readers of CSVs are wrong about: exact in our reader, pointed out where others change them, exact in
Parquet."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import copick
import mlcroissant
import pytest
from compiling import with_code
from projects import (
    SEGMENTATION_TYPES,
    Features,
    Mesh,
    PickableObject,
    Picks,
    ProjectSpec,
    Run,
    Segmentation,
    Tomogram,
    random_spec,
    spec_keys,
    write_project,
)
from recipes_gen import DATASET

from croissant_recipes import Options, Planned, build, from_croissant
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Severity
from croissant_recipes.schema import RECORD_SETS

Keys = Mapping[str, set[tuple[object, ...]]]

RUNS = (
    "0042",
    "42",
    "1e5",
    "NA",
    "null",
    "nan",
    " 5",
    "5",
    "None",
    "n-a",
    "TRUE",
    "Zelle µm",
    "核糖体",
    "a,b",
    'q"q',
    "-0",
)
USERS = ("007", "NaN", "a b", "é")
SESSIONS = ("0", "0.0", "1e5", "NULL", "+5", "true", '"', ",")
OBJECTS = ("1.10", "nan", "none", "İstanbul")
TOMOGRAMS = ("1e2", "NA", "wbp,raw", "01")
# Some would be one name to a reader of numbers: the runs 0042 and 42, the sessions 0 and 0.0.

SPEC = ProjectSpec(
    runs=tuple(
        Run(
            name,
            tomograms=tuple(Tomogram(v, t) for v in (10.0, 7.84) for t in TOMOGRAMS),
            features=tuple(Features(10.0, t, f) for t in TOMOGRAMS for f in ("1.50", "null")),
            picks=tuple(
                Picks(USERS[(i + j) % 4], s, o, 1, (None, 10.0)[(i + j) % 2])
                for i, s in enumerate(SESSIONS)
                for j, o in enumerate(OBJECTS)
            ),
            meshes=tuple(Mesh(USERS[i % 4], s, OBJECTS[i % 4]) for i, s in enumerate(SESSIONS)),
            segmentations=tuple(
                Segmentation(10.0, USERS[i % 4], s, OBJECTS[i % 4], SEGMENTATION_TYPES[i % 4])
                for i, s in enumerate(SESSIONS)
            ),
        )
        for name in RUNS
    ),
    objects=tuple(PickableObject(n, label=i, density_map=True) for i, n in enumerate(OBJECTS, start=1)),
)


def compiled(folder: Path, spec: ProjectSpec, *, parquet: bool = False, strict: bool = False) -> Planned:
    """The build of a recipe that takes all of a project."""
    project = write_project(folder / "lab", spec)
    recipe = folder / "recipe.yaml"
    output = f"{{project_root: out, base_url: 'file://{project.root}', parquet: {json.dumps(parquet)}}}"
    recipe.write_text(
        f"recipe: 1\nname: names\ndataset: {json.dumps(DATASET)}\noutput: {output}\n"
        "sources: {lab: {copick: {config: lab/filesystem.json}}}\nlayers: [{export: lab}]\n",
        encoding="utf-8",
    )
    return build(recipe, options=Options(strict=strict))[0]


def listed(root: Any) -> Keys:
    """What a copick root of a Croissant lists, each name as it gives it, as ``spec_keys`` has it."""
    runs = list(root.runs)
    tomograms = [(r.name, v.voxel_size, t) for r in runs for v in r.voxel_spacings for t in v.tomograms]
    picks = [(r.name, p.user_id, p.session_id, p.pickable_object_name) for r in runs for p in r.picks]
    # copick gives the voxel size of picks only with their points.
    key = RECORD_SETS["picks"].key
    sizes = {tuple(row[c] for c in key): row["voxel_size"] for row in root.index.picks}
    return {
        "runs": {(r.name,) for r in runs},
        "tomograms": {(run, size, t.tomo_type) for run, size, t in tomograms},
        "features": {(run, size, t.tomo_type, f.feature_type) for run, size, t in tomograms for f in t.features},
        "picks": {(*who, sizes.get(who)) for who in picks},
        "meshes": {(r.name, m.user_id, m.session_id, m.pickable_object_name) for r in runs for m in r.meshes},
        "segmentations": {
            (r.name, s.voxel_size, s.user_id, s.session_id, s.name, s.segmentation_type)
            for r in runs
            for s in r.get_segmentations(is_instance=None, is_panoptic=None)
        },
        "objects": {(row["name"],) for row in root.index.objects},
    }


def particles(keys: Keys, spec: ProjectSpec) -> Keys:
    """Without density maps of objects that are none: a Croissant has no place for them."""
    names = {o.name for o in spec.objects if o.is_particle}
    return {**keys, "objects": {key for key in keys["objects"] if key[0] in names}}


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    result = compiled(tmp_path_factory.mktemp("exact"), SPEC)
    assert result.ok
    return result


@pytest.mark.parametrize("mode", ["A", "B"])
def test_names_come_back_exactly(exact: Planned, mode: str, tmp_path: Path) -> None:
    assert exact.metadata_url is not None
    root = from_croissant(exact.metadata_url, overlay_root=str(tmp_path / "mine") if mode == "B" else None)
    assert root.mode == mode
    assert listed(root) == spec_keys(SPEC)
    for run in RUNS:
        assert root.get_run(run).name == run
        assert len(root.get_run(run).picks) == len(SESSIONS) * len(OBJECTS)


def test_everything_that_is_listed_can_be_opened(exact: Planned) -> None:
    assert exact.metadata_url is not None
    root = from_croissant(exact.metadata_url)
    for name in ("0042", " 5", 'q"q', "a,b", "NA", "核糖体"):
        run = root.get_run(name)
        for picks in run.picks:
            loaded = picks.load()
            assert (loaded.run_name, loaded.session_id, loaded.user_id) == (name, picks.session_id, picks.user_id)
            assert len(picks.points) == 1
        for spacing in run.voxel_spacings:
            assert all(t.zarr() is not None for t in spacing.tomograms)
        for mesh in run.meshes:
            with mesh.fs.open(mesh.path, "rb") as file:
                assert file.read().startswith(f"glTF static {name} ".encode())


@pytest.mark.parametrize("mode", ["A", "B"])
def test_names_that_are_written_through_our_reader_come_back_too(tmp_path: Path, mode: str) -> None:
    result = compiled(tmp_path, ProjectSpec(runs=(Run("0042"), Run("NA")), objects=(PickableObject("1.10"),)))
    assert result.metadata_url is not None
    overlay = str(tmp_path / "mine") if mode == "B" else None
    for run, session in (("0042", "007"), ("NA", "nan")):
        picks = from_croissant(result.metadata_url, overlay_root=overlay).get_run(run).new_picks("1.10", session, "1e5")
        picks.points = []
        picks.store()
    root = from_croissant(result.metadata_url, overlay_root=overlay)
    assert listed(root)["picks"] == {("0042", "1e5", "007", "1.10", None), ("NA", "1e5", "nan", "1.10", None)}
    assert listed(root)["runs"] == {("0042",), ("NA",)}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", ["A", "B"])
def test_generated_projects_come_back_exactly(tmp_path: Path, seed: int, mode: str) -> None:
    spec = random_spec(random.Random(seed), nasty=True)
    result = compiled(tmp_path, spec)
    assert result.metadata_url is not None
    root = from_croissant(result.metadata_url, overlay_root=str(tmp_path / "mine") if mode == "B" else None)
    assert listed(root) == particles(spec_keys(spec), spec)


# What others make of it


def told(result: Planned) -> list[str]:
    return [d.message for d in with_code(result.diagnostics, Code.READERS_CHANGE)]


NUMBERS = ProjectSpec(
    runs=(
        Run("0007", picks=(Picks("alice", "0", "ribosome"), Picks("alice", "NA", "ribosome"))),
        Run("0042", picks=(Picks("alice", "1e5", "ribosome"),)),
    ),
    objects=(PickableObject("ribosome"),),
)


def test_what_other_readers_change_is_told_with_row_and_column(tmp_path: Path) -> None:
    result = compiled(tmp_path, NUMBERS)
    assert result.ok
    assert told(result) == [
        "picks.csv row 2, column run: copick and mlcroissant read '0007' as '7' (and 2 more rows)",
        "picks.csv row 2, column session_id: copick and mlcroissant read '0' as '0.0' (and 1 more row)",
        "picks.csv row 3, column session_id: copick and mlcroissant read 'NA' as nothing",
        "runs.csv row 2, column name: copick and mlcroissant read '0007' as '7' (and 1 more row)",
    ]
    found = with_code(result.diagnostics, Code.READERS_CHANGE)
    assert {d.severity for d in found} == {Severity.WARNING}
    assert all("parquet: true" in str(d.hint) for d in found)


def test_that_is_what_they_really_do(tmp_path: Path) -> None:
    result = compiled(tmp_path, NUMBERS)
    assert result.metadata_url is not None
    root = copick.from_croissant(result.metadata_url)
    assert sorted(run.name for run in root.runs) == ["42", "7"]
    assert {row["session_id"] for row in root.index.picks} == {"0.0", "100000.0", None}
    records = mlcroissant.Dataset(result.metadata_url).records("copick/runs")
    assert [r["copick/runs/name"] for r in records] == [b"7", b"42"]


def test_under_strict_it_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    result = compiled(tmp_path, NUMBERS, strict=True)
    found = with_code(result.diagnostics, Code.READERS_CHANGE)
    assert len(found) == 4
    assert all(d.is_error for d in found)
    assert not result.written
    assert not (tmp_path / "out").exists()


def test_ordinary_names_are_told_nothing_of(tmp_path: Path) -> None:
    run = Run("TS_001", tomograms=(Tomogram(10.0, "wbp"),), picks=(Picks("alice", "1", "ribosome", 1, 10.0),))
    result = compiled(tmp_path, ProjectSpec(runs=(run,), objects=(PickableObject("ribosome"),)), strict=True)
    assert result.ok
    assert told(result) == []


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_told_exactly_where_nothing_is_changed(tmp_path: Path, seed: int) -> None:
    """For every record set of generated projects: copick's rows are ours, or one of its columns is told of."""
    result = compiled(tmp_path, random_spec(random.Random(100 + seed), nasty=True))
    assert result.metadata_url is not None
    ours, theirs = rows_of(from_croissant(result.metadata_url)), rows_of(copick.from_croissant(result.metadata_url))
    for name, schema in RECORD_SETS.items():
        for column in schema.columns:
            changed = [row[column] for row in theirs[name]] != [row[column] for row in ours[name]]
            said = any(m.startswith(f"{name}.csv row ") and f" column {column}:" in m for m in told(result))
            if name != "runs":
                assert changed == said, (name, column)
    lost = {row["name"] for row in ours["runs"]} != {row["name"] for row in theirs["runs"]}
    assert lost == any(m.startswith("runs.csv") for m in told(result))


def rows_of(root: Any) -> dict[str, list[dict[str, Any]]]:
    index = root.index
    return {n: list(index.runs_by_name.values()) if n == "runs" else list(getattr(index, n)) for n in RECORD_SETS}


# Parquet


def through_copick(url: str) -> Keys:
    return listed(copick.from_croissant(url))


@pytest.mark.parametrize("read", [through_copick, lambda url: listed(from_croissant(url))], ids=["copick", "ours"])
def test_with_parquet_both_readers_are_exact(parquet: Planned, read: Callable[[str], Keys]) -> None:
    assert parquet.metadata_url is not None
    assert read(parquet.metadata_url) == spec_keys(SPEC)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    result = compiled(tmp_path_factory.mktemp("parquet"), SPEC, parquet=True, strict=True)
    assert result.ok
    assert told(result) == []
    return result


def test_with_parquet_mlcroissant_is_exact(parquet: Planned) -> None:
    assert parquet.metadata_url is not None
    dataset = mlcroissant.Dataset(parquet.metadata_url)
    keys = spec_keys(SPEC)

    def column(record_set: str, name: str) -> list[Any]:
        values = [r[f"copick/{record_set}/{name}"] for r in dataset.records(f"copick/{record_set}")]
        return [v.decode() if isinstance(v, bytes) else v for v in values]

    assert column("runs", "name") == sorted(RUNS)
    assert {*zip(*(column("tomograms", c) for c in ("run", "voxel_size", "tomo_type")), strict=True)} == keys[
        "tomograms"
    ]
    whole = zip(*(column("picks", c) for c in ("run", "user_id", "session_id", "object_name")), strict=True)
    assert sorted(whole) == sorted(key[:4] for key in keys["picks"])


def test_both_files_hold_the_same(parquet: Planned, exact: Planned) -> None:
    assert parquet.prepared is not None
    assert exact.prepared is not None
    for schema in RECORD_SETS.values():
        ours, other = (p.prepared.files[schema.csv_name] for p in (parquet, exact) if p.prepared)
        assert ours == other
