"""The points of a picks file: copick's JSON, in Å, and the portal's ndjson, in voxels.

A point is where its particle's centre is. In copick that is its location, shifted by its transformation; files of the
portal turn a point, and do not shift it. Instance ids and scores do not matter here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from croissant_recipes import intake
from croissant_recipes.sources.base import PointFacts

NDJSON = ".ndjson"

_Centres = npt.NDArray[np.float64]
_TWO = 2


def point_facts(path: str, data: bytes) -> PointFacts:
    """What the points of a picks file are.

    Args:
        path: The ending tells the two forms apart.
        data: The file.
    """
    in_voxels = path.endswith(NDJSON)
    try:
        centres = _centres(_lines(data), _location) if in_voxels else _centres(_copick_points(data), _centre)
    except ValueError as error:
        return PointFacts(problem=str(error))
    if not len(centres):
        return PointFacts(in_voxels=in_voxels)
    low, high = (tuple(map(float, ends)) for ends in (centres.min(axis=0), centres.max(axis=0)))
    return PointFacts(len(centres), low, high, *_nearest(centres), in_voxels)  # type: ignore[arg-type]


def turned_points(path: str, data: bytes) -> tuple[_Centres, npt.NDArray[np.float64], bool]:
    """The centres of the points of a picks file, how each is turned (3 x 3), and whether centres are in voxels.

    Raises:
        ValueError: It has no points that can be read.
    """
    in_voxels = path.endswith(NDJSON)
    points = _lines(data) if in_voxels else _copick_points(data)
    centres = _centres(points, _location if in_voxels else _centre)
    rotations = np.empty((len(points), 3, 3))
    for at, point in enumerate(points):
        matrix = point.get("xyz_rotation_matrix" if in_voxels else "transformation_")
        try:
            rotations[at] = np.eye(3) if matrix is None else [[float(row[i]) for i in range(3)] for row in matrix[:3]]
        except (TypeError, KeyError, IndexError, ValueError, OverflowError):
            raise ValueError(f"points[{at}] has an orientation that is no matrix") from None
    if not np.isfinite(rotations).all():
        raise ValueError("an orientation has a number that is not finite")
    return centres, rotations, in_voxels


def as_values(facts: PointFacts) -> list[Any]:
    """Points that could be read as JSON values, for the cache."""
    nearest = facts.nearest if math.isfinite(facts.nearest) else None
    return [facts.count, facts.low, facts.high, nearest, facts.pair, facts.in_voxels]


def from_values(values: Any) -> PointFacts:
    """The points that ``as_values`` gave.

    Raises:
        ValueError, TypeError, IndexError: The values are none of its own.
    """
    count, low, high, nearest, (first, second), in_voxels = values
    return PointFacts(
        int(count),
        (float(low[0]), float(low[1]), float(low[2])),
        (float(high[0]), float(high[1]), float(high[2])),
        math.inf if nearest is None else float(nearest),
        (int(first), int(second)),
        bool(in_voxels),
    )


def _copick_points(data: bytes) -> Sequence[Any]:
    try:
        picks = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's own JSON takes, and writes, NaN as the score of a pick.
        picks = intake.parse_json(data, nan=True)
    points = picks.get("points") if isinstance(picks, dict) else False
    if points is None:
        return ()
    if not isinstance(points, list):
        raise ValueError("it has no list of points")  # noqa: TRY004 - told like any other content
    return points


def _lines(data: bytes) -> Sequence[Any]:
    found = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None
    return found


def _centres(points: Sequence[Any], centre: Callable[[Any], Sequence[float]]) -> _Centres:
    """Centres as rows of x, y and z.

    Raises:
        ValueError: A point has none.
    """
    at = 0
    found = np.empty((len(points), 3))
    try:
        for at, point in enumerate(points):
            found[at] = centre(point)
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        raise ValueError(f"points[{at}] {_wrong_with(points[at])}") from None
    wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(wrong):
        raise ValueError(f"points[{wrong[0]}] lies nowhere: its location or its shift is no finite number")
    return found


def _wrong_with(point: Any) -> str:
    try:
        _location(point)
    except (TypeError, KeyError, ValueError, OverflowError):
        return "has no location of three numbers"
    return "has a transformation that is no matrix of four rows"


def _location(point: Any) -> Sequence[float]:
    at = point["location"]
    return float(at["x"]), float(at["y"]), float(at["z"])


def _centre(point: Any) -> Sequence[float]:
    x, y, z = _location(point)
    shift = point.get("transformation_")
    if shift is None:
        return x, y, z
    return x + float(shift[0][3]), y + float(shift[1][3]), z + float(shift[2][3])


def _nearest(centres: _Centres) -> tuple[float, tuple[int, int]]:
    """The smallest distance between two points, and two that are so near."""
    if len(centres) < _TWO:
        return math.inf, (0, 0)
    # A tree takes the square of the time for points that are one and the same.
    order = np.lexsort(centres.T)
    ordered = centres[order]
    same = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
    if len(same):
        first, second = sorted(int(i) for i in order[same[0] : same[0] + 2])
        return 0.0, (first, second)
    from scipy.spatial import cKDTree

    distances, neighbours = cKDTree(centres).query(centres, k=2)
    at = int(np.argmin(distances[:, 1]))
    distance = float(distances[at, 1])
    if not math.isfinite(distance):
        return math.inf, (0, 0)
    other = next((int(i) for i in neighbours[at] if i != at), at)
    return distance, (min(at, other), max(at, other))
