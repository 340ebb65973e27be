"""Expectations of what is at the output, of points and of arrays, through plan and build."""

from __future__ import annotations

import json
import math
import multiprocessing
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import s3fs
from projects import Picks, ProjectSpec, Run, write_project
from samples import DATASET, copy_sample
from servers import S3Server, s3_server, serving

from croissant_recipes import Options, Planned, build, plan
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import exit_code
from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.sources import array_metadata, data_reader, file_facts, points_file
from croissant_recipes.sources.base import ArrayFacts, PointFacts
from croissant_recipes.work import Workers
from tests.portal_server import serve
from tests.portal_tables import generate

CODES = (Code.EXPECTATION, Code.POINTS, Code.ARRAYS, Code.DATA_UNREAD)


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
    found = [d for d in planned.diagnostics if d.code in CODES]
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
    (strict,) = plan(recipe, options=Options(strict=True))
    assert told(strict)[0].startswith("1: error: runs")


# Points

Point = tuple[float, float, float]


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made by the test have long been at rest."""
    now = time.time_ns
    monkeypatch.setattr(file_facts.time, "time_ns", lambda: now() + 60 * 10**9)


def copick_point(point: Point, shift: Point | None) -> dict[str, object]:
    """A point of copick's, whose particle is at its location or, with a shift of its transformation, beside it."""
    x, y, z = (a - b for a, b in zip(point, shift or (0.0, 0.0, 0.0), strict=True))
    matrix = [[0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    for row, by in zip(matrix, shift or (), strict=False):
        row[3] = by
    location = {"x": x, "y": y, "z": z}
    return {"location": location} | ({"transformation_": matrix, "instance_id": 3, "score": 0.5} if shift else {})


def write_picks(root: Path, run: str, session: str, size: float | None, points: Sequence[dict[str, object]]) -> None:
    path = root / f"ExperimentRuns/{run}/Picks/ann_{session}_ribosome.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"voxel_spacing": size, "points": points}))


def write_array(path: Path, shape: Sequence[int], size: float, **more: object) -> None:
    """The metadata of an array, and a chunk that nobody may read."""
    (path / "0").mkdir(parents=True)
    scale = {"type": "scale", "scale": [size] * 3}
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]} | more
    (path / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / "0/.zarray").write_text(json.dumps({"zarr_format": 2, "shape": list(shape), "fill_value": math.nan}))
    (path / "0/0.0.0").write_bytes(b"chunk")


def lab(folder: Path) -> Path:
    """A project with nothing in it, yet."""
    (folder / "lab/ExperimentRuns").mkdir(parents=True)
    objects = [{"name": "ribosome", "is_particle": True, "label": 1}]
    config = {"config_type": "filesystem", "pickable_objects": objects, "overlay_root": "lab"}
    (folder / "filesystem.json").write_text(json.dumps(config))
    return folder / "lab"


SIZES = (10.0, 20.0, 30.0)
"""Of voxels. No tomogram has the last."""


def random_points(rng: random.Random, box: Point) -> list[Point]:
    """Some points: mostly inside of a box, some on a face, and some where others are or nearly."""
    points: list[Point] = []
    for _ in range(rng.choice((0, 1, 2, 5, 30))):
        x, y, z = (rng.choice((0.0, 1.0, rng.random())) * end for end in box)
        points.append((x, y, z))
    if points and rng.random() < 0.4:
        points.append(rng.choice(points))
    if points and rng.random() < 0.4:
        x, y, z = rng.choice(points)
        points.append((x, y + 4.5, z))
    if points and rng.random() < 0.4:
        axis, beyond = rng.randrange(3), list(rng.choice(points))
        beyond[axis] = rng.choice((-2.5, box[axis] + 2.5))
        points.append((beyond[0], beyond[1], beyond[2]))
    rng.shuffle(points)
    return points


def test_points_are_judged_as_each_with_each_would_be(tmp_path: Path) -> None:
    """Generated picks over generated tomograms, and all distances one by one."""
    root, rng = lab(tmp_path), random.Random(20)
    expected: dict[str, set[str]] = {"inside": set(), "at_least": set(), "apart": set()}
    for number in range(30):
        run = f"TS_{number:02}"
        boxes: dict[float, list[Point]] = {}
        for size, kind in rng.sample([(10.0, "wbp"), (10.0, "crop"), (20.0, "wbp")], rng.randint(0, 3)):
            shape = [rng.randint(4, 9) for _ in "zyx"]
            write_array(root / f"ExperimentRuns/{run}/VoxelSpacing{size:.3f}/{kind}.zarr", shape, size)
            boxes.setdefault(size, []).append((shape[2] * size, shape[1] * size, shape[0] * size))
        for session in "ab":
            every = [box for of_size in boxes.values() for box in of_size]
            points = random_points(rng, rng.choice(every) if every else (50.0, 50.0, 50.0))
            size = rng.choice((None, *SIZES))
            shift = rng.choice((None, (1.5, -2.0, 3.25)))
            write_picks(root, run, session, size, [copick_point(point, shift) for point in points])
            name = f"{run}, ann, {session}, ribosome"
            fits = [box for box in boxes.get(size or 0.0, every) if all(_in(point, box) for point in points)]
            if points and not fits:
                expected["inside"].add(name)
            if len(points) < 2:
                expected["at_least"].add(name)
            if any(math.dist(a, b) < 5.0 for a, b in combinations(points, 2)):
                expected["apart"].add(name)
    (planned,) = plan(write_recipe(tmp_path, "  points: {inside: true, at_least: 2, apart: 5.0}\n"))
    found = {d.message: {note.partition(": ")[0] for note in d.notes} for d in planned.diagnostics if d.code in CODES}
    wrong = {"inside": "outside", "at_least": "fewer", "apart": "apart"}
    assert {key: found[next(m for m in found if word in m)] for key, word in wrong.items()} == expected
    assert all(4 < len(names) < 50 for names in expected.values())
    assert exit_code(planned.diagnostics) is ExitCode.BLOCKED


def _in(point: Point, box: Point) -> bool:
    # Taking a shift off and adding it again rounds.
    return all(-1e-9 <= at <= end + 1e-9 for at, end in zip(point, box, strict=True))


def test_what_is_wrong_with_points_is_listed_row_by_row(tmp_path: Path) -> None:
    root = lab(tmp_path)
    write_array(root / "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr", (5, 6, 7), 10.0)
    write_array(root / "ExperimentRuns/TS_2/VoxelSpacing10.000/wbp.zarr", (5, 6, 7), 10.0)
    (root / "ExperimentRuns/TS_2/VoxelSpacing10.000/wbp.zarr/0/.zarray").write_text("{")
    inside: list[Point] = [(0.0, 0.0, 0.0), (70.0, 60.0, 50.0), (70.0, 60.0, 49.0)]
    write_picks(root, "TS_1", "good", 10.0, [copick_point(p, None) for p in inside])
    write_picks(root, "TS_1", "far", 10.0, [copick_point(p, None) for p in [*inside, (70.1, -0.5, 50.0)]])
    write_picks(root, "TS_1", "none", 10.0, [])
    write_picks(root, "TS_1", "odd", 10.0, [{"location": {"x": 1.0, "y": "?", "z": 1.0}}])
    write_picks(root, "TS_2", "a", 10.0, [copick_point((1.0, 1.0, 1.0), None)])
    write_picks(root, "TS_3", "a", None, [copick_point((1.0, 1.0, 1.0), None)])
    expect = "  points:\n    warn: {apart: 2, at_least: 1}\n    fail: {inside: true, apart: 0.95}\n"
    (planned,) = plan(write_recipe(tmp_path, expect))
    assert told(planned) == [
        "2: warning: points: 2 of 6 picks have points less than 2 Å apart",
        "2: warning: points: 1 of 6 picks has fewer than 1 point",
        "3: error: points: 1 of 6 picks cannot be read",
        "3: error: points: 3 of 6 picks have points outside of their tomogram",
    ]
    notes = {d.message: d.notes for d in planned.diagnostics if d.code in CODES}
    assert notes["points: 3 of 6 picks have points outside of their tomogram"] == (
        "TS_1, ann, far, ribosome: x is 0 to 70.1 Å of 70, y is -0.5 to 60 Å of 60 in wbp@10.0",
        "TS_2, ann, a, ribosome: wbp@10.0 cannot be read: 0/.zarray: it is not JSON: Expecting property name enclosed "
        "in double quotes: line 1 column 2 (char 1)",
        "TS_3, ann, a, ribosome: the Croissant has no tomogram of its run",
    )
    assert notes["points: 2 of 6 picks have points less than 2 Å apart"] == (
        "TS_1, ann, far, ribosome: points[1] and points[2] are 1 Å apart",
        "TS_1, ann, good, ribosome: points[1] and points[2] are 1 Å apart",
    )
    assert notes["points: 1 of 6 picks cannot be read"] == (
        "TS_1, ann, odd, ribosome: points[0] has no location of three numbers",
    )


# Arrays


def v2(attributes: object, array: object = None) -> dict[str, object]:
    return {".zattrs": attributes, "0/.zarray": {"shape": [2, 3, 4]} if array is None else array}


def v3(attributes: object) -> dict[str, object]:
    return {"zarr.json": {"node_type": "group", "attributes": attributes}, "0/zarr.json": {"shape": [2, 3, 4]}}


def ome(
    *scale: object, unit: object = "angstrom", axes: str = "zyx", path: str = "0", **more: object
) -> dict[str, Any]:
    named = [{"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", "unit": unit} for a in axes]
    stated = [{"type": "translation", "translation": [1, 1, 1]}, {"type": "scale", "scale": list(scale)}]
    datasets = [{"path": path, "coordinateTransformations": stated}]
    return {"multiscales": [{"axes": named, "datasets": datasets, **more}]}


KNOWN = (2, 3, 4)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (v2(ome(8, 9, 10.5)), ArrayFacts(KNOWN, (8.0, 9.0, 10.5))),
        (v3({"ome": ome(10, 10, 10)}), ArrayFacts(KNOWN, (10.0, 10.0, 10.0))),
        (v3(ome(10, 10, 10)), ArrayFacts(KNOWN, (10.0, 10.0, 10.0))),
        (v2(ome(1, 1, 2, unit="nanometer")), ArrayFacts(KNOWN, (10.0, 10.0, 20.0))),
        (v2(ome(10, 10, 10, unit=None)), ArrayFacts(KNOWN, (10.0, 10.0, 10.0))),
        (
            v2(ome(5, 5, 5, coordinateTransformations=[{"type": "scale", "scale": [2, 2, 2]}])),
            ArrayFacts(KNOWN, (10.0, 10.0, 10.0)),
        ),
        (v2(ome(1, 7, 7, 7, axes="czyx"), {"shape": [9, 2, 3, 4]}), ArrayFacts(KNOWN, (7.0, 7.0, 7.0))),
        (v2({}, {"shape": [9, 2, 3, 4]}), ArrayFacts(KNOWN, unsized="it states no voxel size")),
        ({"0/.zarray": {"shape": [2, 3, 4]}}, ArrayFacts(KNOWN, unsized="it states no voxel size")),
        (v2(ome(10, 10, 10, path="1")), ArrayFacts(KNOWN, unsized="it states no voxel size")),
        (v2(ome(10, 10)), ArrayFacts(KNOWN, unsized="its scale is no number for each axis")),
        (v2(ome(10, 0, "x")), ArrayFacts(KNOWN, unsized="its scale is no number for each axis")),
        (
            v2(ome(1, 1, 1, unit="foot")),
            ArrayFacts(KNOWN, unsized="its voxel size is in 'foot', which is no unit of length that is known here"),
        ),
        ({}, ArrayFacts(problem="it has no .zattrs, no zarr.json and no 0/.zarray")),
        ({".zattrs": {}}, ArrayFacts(problem="it has no 0/.zarray")),
        (
            {".zattrs": ome(1, 1, 1, path="s0")},
            ArrayFacts(problem="it has no 0/.zarray: its largest scale is 's0', and copick opens '0'"),
        ),
        (v2({}, {"shape": [3, 4]}), ArrayFacts(problem="its array has 2 axes, and not three of space")),
        (v2({}, {"shape": "big"}), ArrayFacts(problem="its array '0' has no shape")),
        (v2([]), ArrayFacts(problem=".zattrs: it is no JSON object")),
        (v2({"multiscales": ["x"]}), ArrayFacts(problem="its multiscales are none of OME-NGFF")),
    ],
)
def test_what_metadata_says(documents: Mapping[str, object], expected: ArrayFacts) -> None:
    def get(name: str) -> bytes | None:
        return json.dumps(documents[name]).encode() if name in documents else None

    found = array_metadata.array_facts(get)
    assert found == expected
    if found.shape is not None:
        assert array_metadata.from_text(array_metadata.as_text(found)) == found


def test_what_is_wrong_with_arrays_is_listed_row_by_row(tmp_path: Path) -> None:
    run = lab(tmp_path) / "ExperimentRuns/TS_1"
    write_array(run / "VoxelSpacing10.000/wbp.zarr", (5, 6, 7), 10.0)
    write_array(run / "VoxelSpacing10.012/wbp.zarr", (5, 6, 7), 10.01234)
    write_array(run / "VoxelSpacing20.000/wbp.zarr", (2, 3, 3), 2.0)
    for name, shape in (("good", (5, 6, 7)), ("turned", (7, 6, 5)), ("broken", (5, 6, 7))):
        write_array(run / f"Segmentations/10.000_ann_1_{name}.zarr", shape, 10.0)
    write_array(run / "Segmentations/30.000_ann_1_alone.zarr", (5, 6, 7), 30.0)
    (run / "Segmentations/10.000_ann_1_broken.zarr/0/.zarray").unlink()
    (planned,) = plan(write_recipe(tmp_path, "  arrays: {same_shape: true, voxel_size: true}\n"))
    assert {d.message: d.notes for d in planned.diagnostics if d.code in CODES} == {
        "arrays: 1 of 7 arrays cannot be read": (
            "segmentation TS_1, 10.0, ann, 1, broken, binary: it has no 0/.zarray",
        ),
        "arrays: 1 of 7 arrays has another voxel size than the row": (
            "tomogram TS_1, 20.0, wbp: its file says 2 × 2 × 2 Å",
        ),
        "arrays: 2 of 4 segmentations have another shape than the tomogram (z × y × x)": (
            "segmentation TS_1, 10.0, ann, 1, turned, binary: 7 × 6 × 5 voxels, and wbp@10.0 has 5 × 6 × 7",
            "segmentation TS_1, 30.0, ann, 1, alone, binary: the Croissant has no tomogram of TS_1 with 30.0 Å",
        ),
    }
    (lax,) = plan(write_recipe(tmp_path, "  arrays: {warn: {same_shape: true, voxel_size: true}}\n"))
    assert {d.severity.value for d in lax.diagnostics if d.code in CODES} == {"warning"}
    assert lax.ok


# Reading


EVERYTHING = "  points: {inside: true, at_least: 1, apart: 1.0}\n  arrays: {same_shape: true, voxel_size: true}\n"
METADATA = (".zattrs", ".zarray", "zarr.json")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of this machine that are read whole."""
    found: list[str] = []
    real = file_facts.read_stamped

    def read_stamped(path: str, *limit: int) -> Any:
        found.append(path)
        return real(path, *limit)

    for module in (file_facts, data_reader):
        monkeypatch.setattr(module, "read_stamped", read_stamped)
    return found


def test_what_is_wrong_with_a_point_is_told() -> None:
    good = {"location": {"x": 1, "y": "2.5", "z": 3}}
    for bad, told_of in (
        ({"points": [good, {"location": None}]}, "points[1] has no location of three numbers"),
        (
            {"points": [{**good, "transformation_": [[1]]}]},
            "points[0] has a transformation that is no matrix of four rows",
        ),
        ({"points": [{"location": {"x": math.nan, "y": 1, "z": 1}}]}, "points[0] lies nowhere: "),
        ({"points": {"x": 1}}, "it has no list of points"),
        ([good], "it has no list of points"),
    ):
        assert points_file.point_facts("a.json", json.dumps(bad).encode()).problem.startswith(told_of)
    assert points_file.point_facts("a.json", b'{"points": null}') == PointFacts()
    lines = json.dumps(good).encode() + b"\n\n" + json.dumps({**good, "instance_id": 2}).encode() + b"\n"
    assert points_file.point_facts("a.ndjson", lines) == PointFacts(2, *[(1.0, 2.5, 3.0)] * 2, 0.0, (0, 1), True)
    assert points_file.point_facts("a.ndjson", lines + b"{").problem.startswith("line 4 is not JSON")


@pytest.mark.usefixtures("at_rest")
def test_what_others_wrote_into_the_cache_counts_for_nothing(tmp_path: Path, opened: list[str]) -> None:
    write_array(tmp_path / "lab/a.zarr", (5, 6, 7), 10.0)
    (tmp_path / "lab/a.json").write_text('{"points": []}')
    reader = data_reader.DataReader({"lab": file_facts.FileRoot(Location.parse(tmp_path / "lab"))}, Workers(1))

    def read() -> tuple[Any, ...]:
        opened.clear()
        points = reader.points([("lab", "a.json")], sha256=True, progress=Silent())
        return repr(points), reader.arrays([("lab", "a.zarr")], Silent()), len(opened)

    *found, files = read()
    assert files == 3
    for column, junk in (("found", "[1]"), ("found", "{"), ("stamp", "[]"), ("stamp", "7"), ("stamp", None)):
        if junk is not None:
            with closing(sqlite3.connect(tmp_path / "cache/facts-2.sqlite3")) as database, database:
                database.execute(f"UPDATE measures_1 SET {column} = ?", (junk,))
        assert read() == (*found, 3 if junk else 0)


@pytest.mark.usefixtures("at_rest")
def test_each_file_is_read_once_and_not_again(tmp_path: Path, opened: list[str]) -> None:
    sample = copy_sample(tmp_path)
    (tmp_path / "filesystem.json").write_text(
        (sample / "filesystem.json").read_text().replace('"."', json.dumps(str(sample)))
    )
    plan(write_recipe(tmp_path, "  runs: 4\n"))
    assert {Path(path).suffix for path in opened} == {".json", ".glb"}
    opened.clear()
    recipe = write_recipe(tmp_path, EVERYTHING)
    assert told(plan(recipe)[0]) == []
    # Picks, for their points, and two files of each array: of tomograms, features and segmentations.
    assert sorted(map(opened.count, opened)) == [1] * len(opened)
    assert {Path(path).name for path in opened if ".zarr" in path} == {".zattrs", ".zarray"}
    assert len(opened) == 8 + 2 * (7 + 1 + 5)
    opened.clear()
    assert told(plan(recipe)[0]) == []
    assert opened == []
    # A template that needs what only the files say reads them with their points.
    shutil.rmtree(tmp_path / "cache")
    layer = "layers: [{export: lab, session_id: '{session}-{voxel_size}'}]\n"
    assert told(plan(write_recipe(tmp_path, EVERYTHING, more=layer))[0]) == []
    assert sorted(map(opened.count, opened)) == [1] * len(opened)
    write_recipe(tmp_path, EVERYTHING)

    # What changes is read again, and what is gone is missed.
    picks = next(sample.rglob("Picks/*.json"))
    picks.write_text('{"points": []}')
    mask = next(sample.rglob("Segmentations/*.zarr"))
    (mask / "0/.zarray").unlink()
    problems = told(plan(recipe)[0])
    assert ["at_least" in p or "fewer" in p for p in problems].count(True) == 1
    assert [p for p in problems if "cannot be read" in p] == ["2: error: arrays: 1 of 13 arrays cannot be read"]


def test_another_process_and_a_base_say_the_same(tmp_path: Path) -> None:
    sample = copy_sample(tmp_path)
    layers = "sources: {lab: {copick: {config: sample/filesystem.json}}}\nlayers: [{export: lab}]\n"
    strict = EVERYTHING.replace("apart: 1.0", "apart: 40.0")
    recipe = tmp_path / "recipe.yaml"
    start = "recipe: 1\nname: lab\n"
    recipe.write_text(f"{start}{DATASET}output: {{project_root: sample}}\n{layers}expect:\n{strict}")
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        (elsewhere,) = plan(recipe, options=Options(executor=pool))
    problems = [(d.message, d.notes) for d in elsewhere.diagnostics if d.code in CODES]
    assert len(problems) == 1
    recipe.write_text(f"{start}{DATASET}output: {{project_root: sample}}\n{layers}")
    assert build(recipe)[0].written
    # A Croissant says its checksums itself, and its points are read all the same: relative rows and absolute ones.
    base = tmp_path / "based.yaml"
    text = f"{start}base: sample/Croissant/metadata.json\noutput: {{project_root: copy}}\nexpect:\n{strict}"
    base.write_text(text)
    (based,) = plan(base)
    assert [(d.message, d.notes) for d in based.diagnostics if d.code in CODES] == problems
    assert based.plan is not None
    picks = based.plan.content.tables["picks"]
    assert all(len(sha256) == 64 for sha256 in picks["sha256"])
    assert sample.exists()


class _Logged(SimpleHTTPRequestHandler):
    """Files with ETags, and a list of what was asked for."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str]]

    def send_head(self) -> Any:
        self.asked.append((self.command, self.path))
        return super().send_head()

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_no_chunk_is_asked_for_on_the_web(tmp_path: Path) -> None:
    copy_sample(tmp_path)
    project = tmp_path / "project.yaml"
    layers = "sources: {lab: {copick: {config: sample/filesystem.json}}}\nlayers: [{export: lab}]\n"
    project.write_text(f"recipe: 1\nname: lab\n{DATASET}output: {{project_root: sample}}\n{layers}")
    assert build(project)[0].written
    asked: list[tuple[str, str]] = []
    handler = type("Logged", (_Logged,), {"asked": asked})
    with serving(partial(handler, directory=str(tmp_path))) as url:
        source = f"sources: {{web: {{croissant: {{url: {url}/sample/Croissant/metadata.json}}}}}}\n"
        recipe = tmp_path / "recipe.yaml"
        head = f"recipe: 1\nname: web\n{DATASET}output: {{project_root: out}}\n{source}layers: [{{export: web}}]\n"
        recipe.write_text(f"{head}expect:\n{EVERYTHING}")
        # On the web a Croissant without base URL has its data above it.
        assert told(plan(recipe)[0]) == []
        data = [(method, path) for method, path in asked if "/Croissant/" not in path]
        assert {method for method, _ in data} == {"GET"}
        assert sorted(map(data.count, data)) == [1] * len(data)
        assert len(data) == 8 + 2 * (7 + 1 + 5)
        assert all(path.endswith((".json", *METADATA)) for _, path in data)
        asked.clear()
        assert told(plan(recipe)[0]) == []
        again = [(method, path) for method, path in asked if "/Croissant/" not in path]
        assert {method for method, _ in again} == {"HEAD"}
        assert {path for _, path in again} == {path for _, path in data}


# Object stores


PORTAL = "cryoet-data-portal-public"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    patch = pytest.MonkeyPatch()
    with s3_server() as server:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        server.make_public("lab")
        server.make_public(PORTAL)
        yield server
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> list[tuple[str, str]]:
    """What is asked of an object store, and of which object."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    asked: list[tuple[str, str]] = []
    real = s3fs.S3FileSystem._call_s3

    async def call(fs: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        given = {**(args[0] if args and isinstance(args[0], dict) else {}), **kwargs}
        asked.append((method, str(given.get("Key", given.get("Prefix", "")))))
        return await real(fs, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call)
    return asked


def test_no_chunk_is_asked_for_in_an_object_store(tmp_path: Path, s3: S3Server, objects: list[tuple[str, str]]) -> None:
    sample = copy_sample(tmp_path)
    for run in ("TS_001", "TS_004"):
        shutil.rmtree(sample / "ExperimentRuns" / run)
    config = json.loads((sample / "filesystem.json").read_text())
    config |= {"overlay_root": "s3://lab/project", "overlay_fs_args": s3.fs_args}
    (tmp_path / "filesystem.json").write_text(json.dumps(config))
    files = {str(p.relative_to(sample)): p.read_bytes() for p in sample.rglob("*") if p.is_file()}
    s3.replace("lab", "project/", files)
    assert told(plan(write_recipe(tmp_path, "  runs: 2\n"))[0]) == []
    assert [key for _, key in objects if key.endswith(METADATA)] == []
    objects.clear()
    recipe = write_recipe(tmp_path, EVERYTHING)
    assert told(plan(recipe)[0]) == []
    read = [key for method, key in objects if method == "get_object"]
    assert len(read) == len(set(read)) == 4 + 2 * (3 + 1)
    assert all(key.endswith((".json", *METADATA)) for key in read)
    assert not [key for _, key in objects if "/0/" in key.partition(".zarr")[2] and not key.endswith(METADATA)]
    objects.clear()
    assert told(plan(recipe)[0]) == []
    assert [key for method, key in objects if method == "get_object"] == []
    mask = next(key for key in files if "membrane.zarr/0/.zarray" in key)
    shape = json.dumps({**json.loads(files[mask]), "shape": [4, 4, 4]})
    s3.replace("lab", "project/", files | {mask: shape.encode()})
    assert told(plan(recipe)[0]) == [
        "2: error: arrays: 1 of 1 segmentations has another shape than the tomogram (z × y × x)"
    ]


def portal_files(tables: Mapping[str, Any], rng: random.Random) -> tuple[dict[str, bytes], set[tuple[str, str]]]:
    """What the portal's bucket has of planned rows, and those picks (run, session) of which a point is outside."""
    files: dict[str, bytes] = {}
    shapes: dict[tuple[str, float], list[int]] = {}
    for row in tables["tomograms"].to_dict("records"):
        shape = shapes.setdefault((row["run"], row["voxel_size"]), [rng.randint(4, 9) for _ in "zyx"])
        metadata = ome(*[row["voxel_size"]] * 3)
        files |= {f"{row['path']}/.zattrs": json.dumps(metadata).encode()}
        files |= {f"{row['path']}/0/.zarray": json.dumps({"shape": shape}).encode()}
    outside = set()
    for number, row in enumerate(tables["picks"].to_dict("records")):
        boxes = [s for (run, size), s in shapes.items() if run == row["run"] and size == row["voxel_size"]]
        z, y, x = (boxes or [s for (run, _), s in shapes.items() if run == row["run"]] or [[4, 4, 4]])[0]
        # In voxels, as the portal's files are.
        points: list[dict[str, Any]] = [{"type": "point", "location": {"x": x, "y": y / 2, "z": 0}}]
        points.append({"type": "instancePoint", "instance_id": 4, "location": {"x": 1, "y": 0.5, "z": z}})
        if number % 3 == 0:
            matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
            location = {"x": x / 2, "y": y + 0.5, "z": z / 2}
            points.append({"type": "orientedPoint", "location": location, "xyz_rotation_matrix": matrix})
            outside.add((row["run"], row["portal_annotation_file_id"]))
        files[row["path"]] = "".join(json.dumps(point) + "\n" for point in points).encode()
    return files, outside


def test_points_of_the_portal_are_in_voxels_and_read_without_credentials(
    tmp_path: Path, s3: S3Server, objects: list[tuple[str, str]]
) -> None:
    with serve(generate(runs=3, datasets=[10440])) as server:
        source = f"sources: {{phantom: {{portal: {{datasets: [10440], url: '{server.url}'}}}}}}\n"
        layers = "layers: [{export: phantom, tomograms: all, picks: all, others: exclude, on_collision: first}]\n"
        start = f"recipe: 1\nname: phantom\n{DATASET}output: {{project_root: out}}\n{source}{layers}"
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(start)
        (planned,) = plan(recipe)
        assert planned.plan is not None
        assert objects == []
        tables = planned.plan.artifacts
        files, outside = portal_files(tables, random.Random(5))
        s3.replace(PORTAL, "", files)
        recipe.write_text(f"{start}expect:\n  points: {{inside: true, at_least: 2}}\n  arrays: {{voxel_size: true}}\n")
        (planned,) = plan(recipe)
        found = {d.message: d.notes for d in planned.diagnostics if d.code in CODES}
        assert len(found) == 1
        (notes,) = found.values()
        rows = tables["picks"]
        runs_with_tomograms = set(tables["tomograms"]["run"])
        expected = {
            key
            for key in zip(rows["run"], rows["session_id"], strict=True)
            if key in outside or key[0] not in runs_with_tomograms
        }
        assert {tuple(note.split(", ")[0:3:2]) for note in notes} == expected
        assert 0 < len(outside) < len(rows)
        read = [key for method, key in objects if method == "get_object"]
        assert sorted(read) == sorted(files)
        objects.clear()
        assert [d.notes for d in plan(recipe)[0].diagnostics if d.code in CODES] == [notes]
        assert [key for method, key in objects if method == "get_object"] == []
