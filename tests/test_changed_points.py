"""How the points of changed picks change: exact counts, and never a guess at what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from samples import built, copy_sample, write_recipe
from scipy.spatial.transform import Rotation

from croissant_recipes import Options, api
from croissant_recipes.changed_points import with_geometry
from croissant_recipes.cli import main
from croissant_recipes.croissant import manifest
from croissant_recipes.progress import Silent
from croissant_recipes.render import as_json, html_report, markdown, text
from croissant_recipes.render.view import View
from croissant_recipes.review.geometry import Geometry, Points, Tally, Unread, compare, matched
from croissant_recipes.review.reviewing import review
from croissant_recipes.review.side import Side
from croissant_recipes.sources.points_file import turned_points
from croissant_recipes.work import Workers
from tests.croissants import tables_of
from tests.reviewed import picks

# How points are matched


def points(*centres: tuple[float, float, float], turned: float = 0.0) -> Points:
    rotation = Rotation.from_euler("z", turned, degrees=True).as_matrix()
    return Points(np.array(centres, dtype=float).reshape(-1, 3), np.tile(rotation, (len(centres), 1, 1)))


def cloud(rng: np.random.Generator, n: int) -> Points:
    return Points(rng.uniform(0, 4000, (n, 3)), Rotation.random(n, random_state=rng).as_matrix())


def taken(of: Points, rows: np.ndarray) -> Points:
    return Points(of.centres[rows], of.rotations[rows])


def test_points_shuffled_are_unchanged() -> None:
    rng = np.random.default_rng(1)
    some = cloud(rng, 200)
    some = taken(some, np.r_[np.arange(200), [3, 3, 7]])  # some lie at one place
    tally = compare(some, taken(some, rng.permutation(203)))
    assert tally == Tally(before=203, after=203)
    assert not tally


@pytest.mark.parametrize("seed", range(5))
def test_a_known_displacement_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(6) * 100.0] * 3), -1).reshape(-1, 3)
    before = Points(grid, np.tile(np.eye(3), (216, 1, 1)))
    moved, turned = rng.choice(216, 20, replace=False), rng.choice(216, 30, replace=False)
    centres, rotations = grid.copy(), before.rotations.copy()
    directions = rng.normal(size=(20, 3))
    centres[moved] += 7.5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    rotations[turned] = Rotation.from_rotvec([0, 0, 25], degrees=True).as_matrix()
    order = rng.permutation(216)
    tally = compare(before, Points(centres[order], rotations[order]), distance=2.0)
    assert (tally.added, tally.removed, tally.moved, tally.turned) == (0, 0, 20, 30)
    assert (tally.farthest, tally.widest) == pytest.approx((7.5, 25.0))
    assert compare(before, Points(centres, rotations), distance=8.0).moved == 0


def test_what_has_no_partner_is_added_or_removed() -> None:
    one, two = points((0, 0, 0), (50, 0, 0)), points((0, 0, 0), (50, 0, 0), (90, 0, 0))
    assert compare(one, two) == Tally(2, 3, added=1)
    assert compare(two, one) == Tally(3, 2, removed=1)
    assert compare(points(), two) == Tally(0, 3, added=3)
    assert compare(points(), points()) == Tally()


def by_hand(before: np.ndarray, after: np.ndarray) -> list[float]:
    """The distances of pairs, nearest first, as one would write it down."""
    apart = np.linalg.norm(before[:, None] - after[None], axis=2)
    found = []
    for _ in range(min(apart.shape)):
        i, j = np.unravel_index(np.argmin(apart), apart.shape)
        found.append(float(apart[i, j]))
        apart[i, :] = apart[:, j] = np.inf
    return sorted(found)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_first_is_as_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = cloud(rng, 40), cloud(rng, 33)
    a, b = matched(before, after)
    assert len({*a.tolist()}) == len({*b.tolist()}) == 33
    distances = np.linalg.norm(before.centres[a] - after.centres[b], axis=1)
    assert sorted(distances.tolist()) == pytest.approx(by_hand(before.centres, after.centres))


def test_many_that_are_equally_far_come_to_an_end() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(4) * 10.0] * 3), -1).reshape(-1, 3)
    before, after = points(*grid), points(*(grid + 5.0))
    tally = compare(before, after)
    assert (tally.added, tally.removed, tally.moved) == (0, 0, 64)
    assert compare(before, taken(after, np.arange(64)[::-1])) == tally


def test_a_small_turn_is_measured_exactly() -> None:
    assert compare(points((1, 2, 3)), points((1, 2, 3), turned=0.05)) == Tally(1, 1, widest=pytest.approx(0.05))
    assert compare(points((1, 2, 3)), points((1, 2, 3), turned=180)).widest == pytest.approx(180)


def test_points_of_the_portal_are_in_voxels() -> None:
    line = {"type": "orientedPoint", "location": {"x": 1, "y": 2, "z": 3}}
    turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    data = "\n".join(json.dumps({**line, **more}) for more in ({}, {"xyz_rotation_matrix": turn})).encode()
    centres, rotations, in_voxels = turned_points("a.ndjson", data)
    assert centres.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert rotations.tolist() == [np.eye(3).tolist(), turn]
    assert in_voxels


def test_an_orientation_that_is_none_is_an_error() -> None:
    data = json.dumps({"points": [{"location": {"x": 1, "y": 2, "z": 3}, "transformation_": [[1, 0], [0]]}]}).encode()
    with pytest.raises(ValueError, match=r"points\[0\]"):
        turned_points("a.json", data)


# Of recipes


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


def point(x: float, y: float, z: float) -> dict[str, Any]:
    return {"location": {"x": x, "y": y, "z": z}, "transformation_": np.eye(4).tolist(), "instance_id": 0, "score": 1.0}


def write_picks(path: Path, *found: dict[str, Any]) -> None:
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "points": [*found]}))


BEFORE = (point(0, 0, 0), point(100, 0, 0), point(200, 0, 0))
AFTER = (point(100, 0, 4), point(200, 0, 0), point(0, 0, 0), point(300, 0, 0))


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose Croissant is built, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    project = copy_sample(tmp_path)
    write_picks(picks_file(project), *BEFORE)
    return project


def picks_file(project: Path) -> Path:
    return sorted(project.rglob("Picks/*ribosome.json"))[0]


def geometry(recipe: str, distance: float = 1.0) -> tuple[Geometry, api.Planned]:
    (planned,) = api.plan(recipe, options=Options(points=distance))
    assert planned.review is not None, planned.diagnostics
    assert planned.review.geometry is not None
    return planned.review.geometry, planned


ALL = "  - export: lab\n    picks: '*'\n"


def test_a_version_that_was_overwritten_is_said_and_never_guessed(sample: Path) -> None:
    built(write_recipe(sample.parent, ALL))
    write_picks(picks_file(sample), *AFTER)
    found, planned = geometry("sample.yaml")
    (one,) = found.picks
    assert (one.tally, one.before, one.after) == (None, Unread.OVERWRITTEN, None)
    assert found.total.why == {("before", Unread.OVERWRITTEN): 1}
    assert "1 picks not compared: of 1 the file before holds other data now than its row says" in text.planned(
        [planned.report], View(full=True)
    )


def both(sample: Path) -> str:
    """A recipe over the project as it is, at whose output another version lies, beside its own files."""
    built(write_recipe(sample.parent, ALL))
    copy = copy_sample(sample.parent / "now")
    for path in sample.rglob("Picks/*.json"):
        copy.joinpath(path.relative_to(sample)).write_bytes(path.read_bytes())
    write_picks(picks_file(copy), *AFTER)
    recipe = write_recipe(sample.parent, ALL)
    recipe.write_text(recipe.read_text().replace("config: sample/", "config: now/sample/"))
    return "sample.yaml"


def test_points_are_told_of_in_every_rendering(sample: Path) -> None:
    found, planned = geometry(both(sample))
    name = "ribosome"
    expected = Tally(3, 4, added=1, moved=1, farthest=4.0)
    assert [each.tally for each in found.picks if each.tally] == [expected]
    assert found.total.tally == found.objects[name].tally == expected
    assert (found.total.compared, found.total.unread, found.total.unsure) == (1, 0, 0)
    told = "1 point added, 0 removed, 1 moved by more than 1 Å (up to 4 Å), 0 turned by more than 0.1°; 3 -> 4 points"
    report = planned.report
    assert f"  {name}: 1 picks: {told}" in text.planned([report], View(full=True))
    assert "moved by more than 1 Å" in markdown.comment([report], View())
    assert "moved by more than 1 Å" in html_report.page([report])
    document = json.loads(as_json.reports([report]))
    jsonschema.validate(document, json.loads(api.plan_schema_text()))
    shown = document["recipes"][0]["review"]["geometry"]
    assert shown["total"]["points"]["moved"] == shown["objects"][name]["points"]["added"] == 1
    assert geometry("sample.yaml", 4.5)[0].total.tally.moved == 0


def test_a_version_that_is_gone_is_said(sample: Path) -> None:
    recipe = both(sample)
    picks_file(sample).unlink()
    found, _ = geometry(recipe)
    assert found.total.why == {("before", Unread.GONE): 1}
    assert found.total.tally == Tally()


def test_nothing_is_read_unless_it_is_asked_for(sample: Path) -> None:
    (planned,) = api.plan(both(sample))
    assert planned.review is not None
    assert planned.review.geometry is None
    assert "geometry" not in as_json.reports([planned.report])


@pytest.mark.parametrize("flag", [["--points"], ["--points", "2"], ["--points=2"]])
def test_the_option_goes_with_and_without_a_distance(sample: Path, flag: list[str]) -> None:
    recipe = both(sample)
    done = CliRunner().invoke(main, ["plan", *flag, recipe, "--full"])
    assert done.exit_code == 0, done.output
    assert f"1 moved by more than {2 if '2' in flag[-1] else 1} Å" in done.output


def test_a_distance_that_is_none_is_refused() -> None:
    assert CliRunner().invoke(main, ["plan", "--points=-1", "x.yaml"]).exit_code == 2
    for distance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="points"):
            Options(points=distance)


def test_two_croissants_are_compared(sample: Path) -> None:
    recipe = both(sample)
    built(Path(recipe), output="later")
    (compared,) = api.diff("sample/Croissant", "later/Croissant", options=Options(points=1.0)).compared
    assert compared.review is not None
    assert compared.review.geometry is not None
    assert compared.review.geometry.total.tally == Tally(3, 4, added=1, moved=1, farthest=4.0)


def test_rows_without_a_sha256_are_said_to_be_unsure(tmp_path: Path) -> None:
    for name, found in (("old", BEFORE), ("new", AFTER)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"points": [*found]}))
    old, new = (
        Side(tables_of({"picks": [picks("TS_001", "ribosome", url=f"{name}.json")]}), {}, root=str(tmp_path))
        for name in ("old", "new")
    )
    with Workers(1) as workers:
        found = with_geometry(review(old, new), 1.0, workers, Silent()).geometry
    assert found is not None
    assert (found.total.compared, found.total.unsure) == (1, 1)
    assert found.total.tally == Tally(3, 4, added=1, moved=1, farthest=4.0)
