"""How picks change: points that come, go, move or turn. Pure: their files are read elsewhere (``changed_points``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import reduce

import numpy as np
import numpy.typing as npt

from croissant_recipes.tables import Positions

MOVED = 1.0
"""Å by which a point has to move to be told of, unless somebody says otherwise."""

TURNED = 0.1
"""Degrees by which a point has to turn. Files of the portal have few digits."""

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """The points of one version of picks.

    Attributes:
        centres: x, y and z in Å, a row for each.
        rotations: How each is turned, 3 x 3.
    """

    centres: _Numbers
    rotations: _Numbers

    def __len__(self) -> int:
        return len(self.centres)


@dataclass(frozen=True)
class Tally:
    """What became of points.

    Attributes:
        before, after: How many there were and are.
        added, removed: How many have no partner in the other version.
        moved, turned: How many of the others moved, or turned; one may have done both.
        farthest: In Å, how far the one moved that moved most.
        widest: In degrees, how far the one turned that turned most.
    """

    before: int = 0
    after: int = 0
    added: int = 0
    removed: int = 0
    moved: int = 0
    turned: int = 0
    farthest: float = 0.0
    widest: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.before + other.before,
            self.after + other.after,
            self.added + other.added,
            self.removed + other.removed,
            self.moved + other.moved,
            self.turned + other.turned,
            max(self.farthest, other.farthest),
            max(self.widest, other.widest),
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved or self.turned)


class Unread(StrEnum):
    """Why a version of picks cannot be compared."""

    GONE = "gone"
    OVERWRITTEN = "overwritten"
    UNREADABLE = "unreadable"
    UNPLACED = "unplaced"
    UNSURE = "unsure"

    @property
    def text(self) -> str:
        """What a file is of which that is so."""
        return _TEXTS[self]


_TEXTS = {
    Unread.GONE: "is not there any more",
    Unread.OVERWRITTEN: "holds other data now than its row says",
    Unread.UNREADABLE: "cannot be read, or has no points",
    Unread.UNPLACED: "lies nobody knows where",
    Unread.UNSURE: "has no sha256 that says which version lies there",
}


@dataclass(frozen=True)
class ChangedPicks:
    """One row of picks that holds other data.

    Attributes:
        key: Its key after.
        tally: What became of its points, ``None`` where a version of it could not be read.
        before, after: Why a version could not be.
        unsure: Whether the row of a version has no sha256 that says that what was read is that version.
    """

    key: Mapping[str, str]
    tally: Tally | None
    before: Unread | None = None
    after: Unread | None = None
    unsure: bool = False


@dataclass(frozen=True)
class Summed:
    """Some rows of picks together.

    Attributes:
        tally: Of those that could be compared.
        compared, unread: How many could, and could not.
        unsure: How many of those that could have no sha256 that says that what was read is what was meant.
        why: How many could not, by version (``before``, ``after``) and reason.
    """

    tally: Tally = field(default_factory=Tally)
    compared: int = 0
    unread: int = 0
    unsure: int = 0
    why: Mapping[tuple[str, Unread], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Geometry:
    """How all picks change that hold other data.

    Attributes:
        distance: In Å, by how much a point has to move to be told of.
        picks: Each of them, sorted by key.
    """

    distance: float
    picks: tuple[ChangedPicks, ...]

    @property
    def total(self) -> Summed:
        """All together."""
        return _summed(self.picks)

    @property
    def objects(self) -> dict[str, Summed]:
        """By object, sorted."""
        by_name: dict[str, list[ChangedPicks]] = {}
        for each in self.picks:
            by_name.setdefault(each.key["object_name"], []).append(each)
        return {name: _summed(by_name[name]) for name in sorted(by_name)}


def _summed(picks: Iterable[ChangedPicks]) -> Summed:
    picks = tuple(picks)
    tallies = [each.tally for each in picks if each.tally is not None]
    why: dict[tuple[str, Unread], int] = {}
    for each in picks:
        for version, reason in (("before", each.before), ("after", each.after)):
            if reason is not None:
                why[version, reason] = why.get((version, reason), 0) + 1
    total = reduce(Tally.__add__, tallies, Tally())
    unsure = sum(each.unsure for each in picks if each.tally is not None)
    return Summed(total, len(tallies), len(picks) - len(tallies), unsure, dict(sorted(why.items())))


def compare(before: Points, after: Points, distance: float = MOVED) -> Tally:
    """What became of points. The order of points is no matter.

    Args:
        before, after: Both versions.
        distance: In Å, by how much a point has to move to be told of.
    """
    old, new = _in_order(before), _in_order(after)
    at_old, at_new = matched(old, new)
    shifts = np.linalg.norm(new.centres[at_new] - old.centres[at_old], axis=1)
    turns = _angles(old.rotations[at_old], new.rotations[at_new])
    return Tally(
        len(old),
        len(new),
        len(new) - len(at_new),
        len(old) - len(at_old),
        int((shifts > distance).sum()),
        int((turns > TURNED).sum()),
        float(shifts.max(initial=0.0)),
        float(turns.max(initial=0.0)),
    )


def _in_order(points: Points) -> Points:
    """The same, in an order that comes of where they lie and how they are turned alone."""
    order = np.lexsort(_flat(points).T[::-1])
    return Points(points.centres[order], points.rotations[order])


def _flat(points: Points) -> _Numbers:
    return np.hstack([points.centres, points.rotations.reshape(len(points), 9)])


def matched(before: Points, after: Points) -> tuple[Positions, Positions]:
    """Pairs of points, one to one, nearest first: until one version has none left.

    Of those that lie at one place, those belong together that are turned alike.
    """
    left_old, left_new = np.arange(len(before)), np.arange(len(after))
    old, new = [], []
    for of in (_flat, lambda points: points.centres):
        a, b = _equal(of(before)[left_old], of(after)[left_new])
        old.append(left_old[a])
        new.append(left_new[b])
        left_old, left_new = np.delete(left_old, a), np.delete(left_new, b)
    while len(left_old) and len(left_new):
        a, b = _nearest(before.centres[left_old], after.centres[left_new])
        old.append(left_old[a])
        new.append(left_new[b])
        left_old, left_new = np.delete(left_old, a), np.delete(left_new, b)
    return np.concatenate(old), np.concatenate(new)


def _equal(before: _Numbers, after: _Numbers) -> tuple[Positions, Positions]:
    """Rows that are the same, one to one; of several that are, the first with the first."""
    nothing: Positions = np.zeros(0, dtype=np.intp)
    if not len(before) or not len(after):
        return nothing, nothing
    # Zero has two signs.
    both = np.vstack([before, after]) + 0.0
    _, codes = np.unique(both, axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    old, new = _numbered(codes[: len(before)]), _numbered(codes[len(before) :])
    known = {each: at for at, each in enumerate(old)}
    pairs = [(known[each], at) for at, each in enumerate(new) if each in known]
    if not pairs:
        return nothing, nothing
    a, b = np.array(pairs, dtype=np.intp).T
    return a, b


def _numbered(codes: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Codes, each with how often it came before."""
    seen: dict[int, int] = {}
    found = []
    for code in codes.tolist():
        found.append((code, seen.get(code, 0)))
        seen[code] = seen.get(code, 0) + 1
    return found


def _nearest(before: _Numbers, after: _Numbers) -> tuple[Positions, Positions]:
    """Pairs of which each is the other's nearest: whatever is matched nearest first, these are."""
    from scipy.spatial import cKDTree

    _, to_new = cKDTree(after).query(before)
    distances, to_old = cKDTree(before).query(after)
    a = np.flatnonzero(to_old[to_new] == np.arange(len(before)))
    if len(a):
        return a, to_new[a]
    # As many are equally far, each has taken another one for its nearest.
    first = int(np.argmin(distances))
    return np.array([to_old[first]], dtype=np.intp), np.array([first], dtype=np.intp)


def _angles(before: _Numbers, after: _Numbers) -> _Numbers:
    """By how many degrees each is turned against the other. Of small angles the cosine tells too little."""
    apart = np.linalg.norm(before - after, axis=(1, 2)) / np.sqrt(8.0)
    turns: _Numbers = np.degrees(2 * np.arcsin(np.clip(apart, 0.0, 1.0)))
    return turns
