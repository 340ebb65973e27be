"""Whether points and arrays are what the recipe expects: which of them have to be read for that, and what they say.

Everything is told of rows: a pick, a segmentation, an array of a voxel spacing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.compiler.expectations import LEVELS, SHOWN
from croissant_recipes.diagnostics import Diagnostic, Severity, key_text
from croissant_recipes.language.recipe import ArrayLevels, Expect, ExpectOfArrays, ExpectOfPoints, PointLevels
from croissant_recipes.language.yaml_nodes import Document, Path
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.base import ArrayFacts, FileFacts, PointFacts

_ROUNDED = 1e-3
"""Å by which a point may lie beyond a face, and a file's voxel size differ from its row's: names of folders have three
decimals, and many programs store positions as 32-bit numbers."""

_DECIMALS = 3
SPACED = tuple(name for name, described in ARTIFACTS.items() if described.spaces)
"""The types whose arrays are looked at."""

Tables = Mapping[str, pd.DataFrame]
"""Artifact tables by type."""

Thing = TypeVar("Thing", bound="_Row")


@dataclass(frozen=True)
class Said:
    """What was read of rows, in their order; ``None`` for what was not, because its source cannot.

    Attributes:
        points: Of picks.
        arrays: By artifact type.
    """

    points: Sequence[FileFacts | None]
    arrays: Mapping[str, Sequence[ArrayFacts | None]]


def picks_to_read(expect: Expect, tables: Tables) -> pd.DataFrame:
    """The rows whose points have to be read."""
    picks = tables["picks"]
    return picks[:0] if expect.points is None else picks


def arrays_to_read(expect: Expect, tables: Tables) -> Iterator[pd.DataFrame]:
    """The rows whose arrays' metadata has to be read; a row may come twice."""
    tomograms, segmentations = tables["tomograms"], tables["segmentations"]
    if _is_asked(expect.points, "inside"):
        yield tomograms[tomograms["run"].isin(set(tables["picks"]["run"]))]
    if _is_asked(expect.arrays, "same_shape"):
        yield tomograms[tomograms["run"].isin(set(segmentations["run"]))]
        yield segmentations
    if _is_asked(expect.arrays, "voxel_size"):
        yield from (tables[artifact] for artifact in SPACED)


def check(expect: Expect, tables: Tables, said: Said, document: Document) -> list[Diagnostic]:
    """What does not hold, and what cannot be told.

    Args:
        expect: What the recipe expects.
        tables: The final artifact tables.
        said: What was read of their rows.
        document: The recipe.
    """
    found: list[Diagnostic] = []
    tomograms = list(_array_rows("tomograms", tables, said)) if expect.points or expect.arrays else []
    if expect.points is not None:
        told = _Told("points", list(_levels(expect.points, "points")), document)
        picks = _pick_rows(tables, said, tomograms)
        found += told.unread(Code.DATA_UNREAD, picks, "picks")
        found += told.wrong(Code.POINTS, _POINT_CHECKS, picks, "picks")
    if expect.arrays is not None:
        told = _Told("arrays", list(_levels(expect.arrays, "arrays")), document)
        others = [row for a in SPACED if a != "tomograms" for row in _array_rows(a, tables, said, tomograms)]
        arrays = [*tomograms, *others]
        masks = [row for row in others if row.artifact == "segmentations"]
        if _is_asked(expect.arrays, "voxel_size"):
            found += told.unread(Code.DATA_UNREAD, arrays, "arrays")
            found += told.wrong(Code.ARRAYS, _SIZE_CHECKS, arrays, "arrays")
        else:
            found += told.unread(Code.DATA_UNREAD, masks, "segmentations")
        found += told.wrong(Code.ARRAYS, _SHAPE_CHECKS, masks, "segmentations")
    return found


# How much what matters


@dataclass(frozen=True)
class _Level:
    """What is asked at one level, and where."""

    severity: Severity
    asked: ExpectOfPoints | ExpectOfArrays
    path: Path


def _levels(expected: object, key: str) -> Iterator[_Level]:
    """What matters most first."""
    if isinstance(expected, ExpectOfPoints | ExpectOfArrays):
        yield _Level(Severity.ERROR, expected, ("expect", key))
    elif isinstance(expected, PointLevels | ArrayLevels):
        for level, severity in LEVELS.items():
            asked = getattr(expected, level)
            if asked is not None:
                yield _Level(severity, asked, ("expect", key, level))


def _is_asked(expected: object, check: str) -> bool:
    """Whether anything at any level asks for a check; ``key`` of a level does not matter here."""
    return any(getattr(level.asked, check) for level in _levels(expected, ""))


@dataclass(frozen=True)
class _Row:
    """A row and what was read of it.

    Attributes:
        name: Its key.
        problem: Why that is nothing, ``""`` where it is something.
    """

    name: str
    problem: str


@dataclass(frozen=True)
class _Check(Generic[Thing]):
    """One thing that is expected.

    Attributes:
        key: Its key.
        wrong: What rows have that do not fit, given what is expected.
        reason: Why a row does not fit, ``None`` for one that does; given the row and what is expected.
    """

    key: str
    wrong: Callable[[Any], str]
    reason: Callable[[Thing, Any], str | None]


@dataclass(frozen=True)
class _Told:
    """Makes findings of rows.

    Attributes:
        key: ``points`` or ``arrays``.
        levels: What is expected of them.
        document: The recipe.
    """

    key: str
    levels: Sequence[_Level]
    document: Document

    def unread(self, code: Code, rows: Sequence[_Row], what: str) -> Iterator[Diagnostic]:
        """That some rows could not be looked at."""
        notes = tuple(f"{row.name}: {row.problem}" for row in rows if row.problem)
        if notes:
            level = self.levels[0]
            message = f"{self.key}: {len(notes)} of {len(rows)} {what} cannot be read"
            hint = "repair them, or leave them out with `exclude`"
            span = self.document.key_span(*level.path)
            yield Diagnostic(code, message, level.severity, hint, span, notes, shown_notes=SHOWN)

    def wrong(
        self, code: Code, checks: Sequence[_Check[Thing]], rows: Sequence[Thing], what: str
    ) -> Iterator[Diagnostic]:
        """That some rows do not fit, each told at the level at which it matters most."""
        for check in checks:
            left = [row for row in rows if not row.problem]
            for level in self.levels:
                expected = getattr(level.asked, check.key)
                if not expected:
                    continue
                reasons = {row.name: reason for row in left if (reason := check.reason(row, expected)) is not None}
                if reasons:
                    verb = "has" if len(reasons) == 1 else "have"
                    message = f"{self.key}: {len(reasons)} of {len(rows)} {what} {verb} {check.wrong(expected)}"
                    notes = tuple(f"{name}: {reason}" for name, reason in reasons.items())
                    span = self.document.value_span(*level.path, check.key)
                    yield Diagnostic(code, message, level.severity, None, span, notes, shown_notes=SHOWN)
                left = [row for row in left if row.name not in reasons]


# Arrays


@dataclass(frozen=True)
class _Array(_Row):
    """The array of a row.

    Attributes:
        artifact: Its type.
        run, size: Of its row; the voxel size in Å.
        label: What a tomogram is called beside others of its run.
        facts: What its metadata says.
        beside: Tomograms of the run with the same voxel size.
    """

    artifact: str
    run: str
    size: float
    label: str
    facts: ArrayFacts
    beside: Sequence[_Array] = ()

    @property
    def box(self) -> tuple[float, float, float]:
        """How far it reaches along x, y and z, in Å."""
        assert self.facts.shape is not None, "only a known shape is asked for"
        z, y, x = (n * self.size for n in self.facts.shape)
        return x, y, z


def _array_rows(artifact: str, tables: Tables, said: Said, tomograms: Sequence[_Array] = ()) -> Iterator[_Array]:
    table, found = tables[artifact], said.arrays.get(artifact, ())
    if not found:
        return
    beside: dict[tuple[str, float], list[_Array]] = {}
    for each in tomograms:
        beside.setdefault((each.run, round(each.size, _DECIMALS)), []).append(each)
    labels = table["tomo_type"] if "tomo_type" in table else table["run"]
    sizes, keys = table["voxel_size"].tolist(), table[list(ARTIFACTS[artifact].key)].itertuples(index=False, name=None)
    for key, run, size, label, facts in zip(keys, table["run"], sizes, labels, found, strict=True):
        known = facts or ArrayFacts(problem="its source does not read arrays")
        name = f"{ARTIFACTS[artifact].one} {key_text(key)}"
        same = beside.get((run, round(size, _DECIMALS)), ())
        yield _Array(name, known.problem, artifact, run, size, f"{label}@{size!r}", known, same)


def _other_shape(mask: _Array, _: bool) -> str | None:
    """Why a segmentation is not of the shape of its tomogram."""
    known = [t for t in mask.beside if not t.problem]
    if any(t.facts.shape == mask.facts.shape for t in known):
        return None
    if not mask.beside:
        return f"the Croissant has no tomogram of {mask.run} with {mask.size!r} Å"
    if not known:
        return f"{mask.beside[0].label} cannot be read: {mask.beside[0].problem}"
    others = ", ".join(f"{t.label} has {_times(t.facts.shape)}" for t in known)
    return f"{_times(mask.facts.shape)} voxels, and {others}"


def _other_size(array: _Array, _: bool) -> str | None:
    """Why an array does not have the voxel size of its row."""
    stated = array.facts.voxel_size
    if stated is None:
        return array.facts.unsized
    if all(abs(size - array.size) <= _ROUNDED for size in stated):
        return None
    return f"its file says {_times(stated)} Å"


def _times(numbers: Sequence[float] | None) -> str:
    """Numbers along z, y and x."""
    return " × ".join(f"{n:.10g}" for n in numbers or ())


_SHAPE_CHECKS = (_Check[_Array]("same_shape", lambda _: "another shape than the tomogram (z × y × x)", _other_shape),)
_SIZE_CHECKS = (_Check[_Array]("voxel_size", lambda _: "another voxel size than the row", _other_size),)


# Points


@dataclass(frozen=True)
class _Pick(_Row):
    """A row of picks.

    Attributes:
        points: What is known of its points.
        unit: Å of what they are counted in.
        tomograms: Those of its run whose box its points may be in.
    """

    points: PointFacts
    unit: float
    tomograms: Sequence[_Array]


def _pick_rows(tables: Tables, said: Said, tomograms: Sequence[_Array]) -> list[_Pick]:
    of_run: dict[str, list[_Array]] = {}
    for each in tomograms:
        of_run.setdefault(each.run, []).append(each)
    table, found = tables["picks"], []
    keys = table[list(ARTIFACTS["picks"].key)].itertuples(index=False, name=None)
    for key, run, size, facts in zip(keys, table["run"], table["voxel_size"].tolist(), said.points, strict=True):
        points = (facts.points if facts else None) or PointFacts(problem="its source does not read points")
        problem = points.problem
        if points.in_voxels and not problem and not size > 0:
            problem = "its points are in voxels, and nothing says how large these are"
        same = [t for t in of_run.get(run, ()) if abs(t.size - size) <= _ROUNDED]
        unit = size if points.in_voxels else 1.0
        found.append(_Pick(key_text(key), problem, points, unit, same or of_run.get(run, ())))
    return found


def _outside(pick: _Pick, _: bool) -> str | None:
    """Why the points are not all in the box of one tomogram."""
    if not pick.points.count:
        return None
    if not pick.tomograms:
        return "the Croissant has no tomogram of its run"
    known = [t for t in pick.tomograms if not t.problem]
    if not known:
        return f"{pick.tomograms[0].label} cannot be read: {pick.tomograms[0].problem}"
    # The one that they fit in best.
    return min((_beyond(pick, t) for t in known), key=lambda found: found[0])[1]


def _beyond(pick: _Pick, tomogram: _Array) -> tuple[float, str | None]:
    """How far the points reach out of a tomogram's box in Å, and how that is told."""
    farthest, told = 0.0, []
    for axis, low, high, end in zip("xyz", pick.points.low, pick.points.high, tomogram.box, strict=True):
        beyond = max(-low * pick.unit, high * pick.unit - end)
        if beyond > _ROUNDED:
            farthest = max(farthest, beyond)
            told.append(f"{axis} is {_length(low * pick.unit)} to {_length(high * pick.unit)} Å of {_length(end)}")
    return farthest, f"{', '.join(told)} in {tomogram.label}" if told else None


def _too_few(pick: _Pick, least: int) -> str | None:
    n = pick.points.count
    return None if n >= least else f"{n} point{'' if n == 1 else 's'}"


def _too_near(pick: _Pick, apart: float) -> str | None:
    distance = pick.points.nearest * pick.unit
    if distance >= apart:
        return None
    first, second = pick.points.pair
    return f"points[{first}] and points[{second}] are {_length(distance)} Å apart"


def _length(number: float) -> str:
    return f"{round(number, _DECIMALS):.10g}"


_POINT_CHECKS = (
    _Check[_Pick]("inside", lambda _: "points outside of their tomogram", _outside),
    _Check[_Pick]("at_least", lambda n: f"fewer than {n} point{'' if n == 1 else 's'}", _too_few),
    _Check[_Pick]("apart", lambda distance: f"points less than {distance:g} Å apart", _too_near),
)
