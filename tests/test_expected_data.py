"""Expectations of what is at the output, of points and of arrays, through plan and build."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
from projects import Picks, ProjectSpec, Run, write_project
from samples import DATASET

from croissant_recipes import Options, Planned, build, plan
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import exit_code
from croissant_recipes.sources import file_facts

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
    for number in range(40):
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
    assert all(5 < len(names) < 60 for names in expected.values())
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
