"""The points of changed picks: both versions of each are read where their rows say, and compared.

What a row was read from may be gone, or hold other data since. The sha256 of the row tells, and nothing is compared
with something that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from croissant_recipes import intake, tables
from croissant_recipes.access import arguments_for, open_filesystem, read_pieces_in
from croissant_recipes.location import Location
from croissant_recipes.opening.row_places import RowPlaces
from croissant_recipes.review import geometry
from croissant_recipes.review.geometry import ChangedPicks, Geometry, Points, Unread
from croissant_recipes.review.reviewing import Review
from croissant_recipes.review.row_origins import NOWHERE, PlannedRows
from croissant_recipes.review.side import Side
from croissant_recipes.sources.base import Progress
from croissant_recipes.sources.file_facts import read_stamped, taken
from croissant_recipes.sources.points_file import turned_points
from croissant_recipes.tables import Positions
from croissant_recipes.work import LOCAL_BATCH, Workers


@dataclass(frozen=True)
class _Version:
    """A version of picks: where its file lies, and what its row says of it."""

    place: Location | None
    sha256: str
    voxel_size: float


def with_geometry(review: Review, distance: float, workers: Workers, progress: Progress) -> Review:
    """A review that says how the points of picks change.

    Args:
        review: What differs.
        distance: In Å, by how much a point has to move to be told of.
        workers, progress: As of ``planning.make_plans``.
    """
    found = [*_changed(review)]
    if not found:
        return replace(review, geometry=Geometry(distance, ()))
    keys, pairs = [key for key, _ in found], [pair for _, pair in found]
    local = all(v.place is None or v.place.is_local for pair in pairs for v in pair)
    with progress.task("comparing points", len(pairs)) as task:
        compare = partial(compare_pair, distance)
        answers = workers.each(compare, pairs, batch=LOCAL_BATCH if local else 1, advance=task.advance)
        picks = [replace(answer.get(), key=key) for key, answer in zip(keys, answers, strict=True)]
    picks.sort(key=lambda each: tuple(each.key.values()))
    return replace(review, geometry=Geometry(distance, tuple(picks)))


def _changed(review: Review) -> list[tuple[dict[str, str], tuple[_Version, _Version]]]:
    """The keys and both versions of picks that may hold other data: that have another sha256, or where that is not
    known of both, another URL."""
    table, old, new = review.changes.tables["picks"], review.before, review.after
    if old is None:
        return []
    found = []
    for before, after, at_old, at_new in (
        (table.before, table.after, table.at.before, table.at.after),
        (table.renamed_before, table.renamed_after, table.at.renamed_before, table.at.renamed_after),
    ):
        then, now = before["sha256"].to_numpy(), after["sha256"].to_numpy()
        known = (then != "") & (now != "")
        other = np.where(known, then != now, before["url"].to_numpy() != after["url"].to_numpy())
        rows = np.flatnonzero(other)
        was, now_is = tables.take(before, rows), tables.take(after, rows)
        keys = now_is[list(table.key)].to_dict("records")
        versions = zip(_versions(old, was, at_old[rows]), _versions(new, now_is, at_new[rows]), strict=True)
        found += [({str(k): str(v) for k, v in key.items()}, pair) for key, pair in zip(keys, versions, strict=True)]
    return found


def _versions(side: Side, rows: pd.DataFrame, positions: Positions) -> list[_Version]:
    places = _places(side, rows, positions)
    return [_Version(*each) for each in zip(places, rows["sha256"].tolist(), rows["voxel_size"].tolist(), strict=True)]


def _places(side: Side, rows: pd.DataFrame, positions: Positions) -> list[Location | None]:
    """Where the files of rows lie: of a plan, where its sources have them, as nothing may be at their URLs yet."""
    base = str(side.manifest.get("copick:baseUrl") or side.root)
    at = RowPlaces(base, {}) if base else None
    found = [_absolute(at, url) for url in rows["url"].tolist()]
    if not isinstance(side.rows, PlannedRows) or side.plan is None:
        return found
    origins = side.rows.of("picks", positions)
    layers = side.plan.resolution.layers
    for i, (number, source, row) in enumerate(
        zip(origins["layer"].tolist(), origins["source"].tolist(), origins["row"].tolist(), strict=True)
    ):
        if number == NOWHERE or row < 0:
            continue
        stock = layers[number].stock
        picks = stock.table("picks")
        root, path = str(picks["root"].iat[row]), str(picks["path"].iat[row])
        roots = stock.parts[source].roots
        found[i] = roots[root].location / path if root in roots else _absolute(None, path)
    return found


def _absolute(base: RowPlaces | None, url: str) -> Location | None:
    try:
        if base is not None:
            return Location.parse(base.absolute(url), Path("/"))
        place = Location.parse(url, Path("/"))
    except ValueError:
        return None
    return place if not place.is_local or url.startswith(("/", "file:")) else None


def compare_pair(distance: float, pair: tuple[_Version, _Version]) -> ChangedPicks:
    """What became of the points of one row of picks."""
    before, after = pair
    unsure = not before.sha256 or not after.sha256
    if before.place is not None and before.place == after.place and unsure:
        # Nobody can tell which of the two it holds.
        was, now = (None if version.sha256 else Unread.UNSURE for version in pair)
        return ChangedPicks({}, None, was, now)
    old, new = _read(before), _read(after)
    if isinstance(old, Points) and isinstance(new, Points):
        return ChangedPicks({}, geometry.compare(old, new, distance), unsure=unsure)
    was, now = (None if isinstance(each, Points) else each for each in (old, new))
    return ChangedPicks({}, None, was, now)


def _read(version: _Version) -> Points | Unread:
    if version.place is None:
        return Unread.UNPLACED
    place = version.place
    try:
        if place.is_local:
            content, _ = read_stamped(place.path, intake.PICKS_BYTES)
        else:
            fs, _ = open_filesystem(place, arguments_for(place, {}))
            content, _ = read_pieces_in(fs, place, intake.PICKS_BYTES, partial(taken, whole=True))
    except (FileNotFoundError, NotADirectoryError):
        return Unread.GONE
    except Exception:
        # A remote filesystem raises what its client library raises.
        return Unread.UNREADABLE
    if version.sha256 and content.sha256 != version.sha256:
        return Unread.OVERWRITTEN
    try:
        centres, rotations, in_voxels = turned_points(place.path, content.data)
    except ValueError:
        return Unread.UNREADABLE
    if in_voxels and not version.voxel_size > 0:
        return Unread.UNREADABLE
    return Points(centres * (version.voxel_size if in_voxels else 1.0), rotations)
