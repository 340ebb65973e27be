"""Bar plots of counts before and after: lengths and words, nothing of how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from croissant_recipes.review.composition import NO_SPLIT, Compared, Counted
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.shown import shown

FULL = 1000
"""The length of the longest possible bar."""

SHADES = 8
"""How many colours tell splits apart; further ones begin again."""

_LINES = 40
"""A plot of more lines than this is not read; its table has them all."""

_TICKS = 4
_STEPS = (0.8, 1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)


@dataclass(frozen=True)
class Segment:
    """A part of a bar: what it is of, how many that are, where it starts and how long it is, and its colour."""

    name: str
    n: int
    start: float
    length: float
    shade: int


@dataclass(frozen=True)
class Line:
    """What is counted, before and after: a number and the parts of the bar for each."""

    label: str
    total: Counted
    before: tuple[Segment, ...]
    after: tuple[Segment, ...]

    @property
    def difference(self) -> int:
        return self.total.after - self.total.before

    @staticmethod
    def described(segments: Sequence[Segment]) -> str:
        """What a bar shows, in words."""
        return ", ".join(f"{s.name} {s.n:,}" for s in segments) or "none"


@dataclass(frozen=True)
class Plot:
    """Lines on one scale.

    Attributes:
        title: What is counted.
        of: What one line is of.
        legend: The parts of bars that are of one kind, with their colours; empty where bars have one part.
        lines: Those that are drawn.
        ticks: The numbers below the bars, at even distances from none to a full bar.
        more: How many lines only the table has.
        columns: The parts that the table tells apart.
        table: All lines: the label, and for each column the numbers before and after, the last column being the total.
    """

    title: str
    of: str
    legend: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]
    ticks: tuple[str, ...]
    more: int
    columns: tuple[str, ...]
    table: tuple[tuple[str, tuple[Counted, ...]], ...]


def plots(composition: Compared) -> Iterator[Plot]:
    """Those that have something to show, the most asked for first."""
    shades = {split: i % SHADES for i, split in enumerate(composition.runs)} | {NO_SPLIT: -1}
    if composition.runs:
        of_runs = {_split(split): {split: n} for split, n in composition.runs.items()}
        yield _plot("Runs per split", "split", of_runs, shades, told=False)
    for name, artifact in ARTIFACTS.items():
        of_objects = {o.object: o.splits for o in composition.objects if o.artifact == name}
        if of_objects:
            yield _plot(f"{artifact.many.capitalize()} per object and split", "object", of_objects, shades, told=True)
    for name, artifact in ARTIFACTS.items():
        of_sizes = {_size(s.voxel_size): {"": s.rows} for s in composition.sizes if s.artifact == name}
        if of_sizes:
            yield _plot(f"{artifact.many.capitalize()} per voxel size", "voxel size", of_sizes, {"": 0}, told=False)


def _split(name: str) -> str:
    return shown(name) or "no split"


def _size(size: float | None) -> str:
    return "not known" if size is None else f"{size:g} Å"


def _plot(
    title: str, of: str, lines: Mapping[str, Mapping[str, Counted]], shades: Mapping[str, int], *, told: bool
) -> Plot:
    """``told``: whether the parts of a line are told apart, by name and colour."""
    totals = {
        label: Counted(sum(n.before for n in parts.values()), sum(n.after for n in parts.values()))
        for label, parts in lines.items()
    }
    drawn = set(sorted(lines, key=lambda label: (-max(totals[label].before, totals[label].after), label))[:_LINES])
    most = _nice(max(max(n.before, n.after) for n in totals.values()))
    used = [p for p in shades if any(p in parts and (parts[p].before or parts[p].after) for parts in lines.values())]
    return Plot(
        title,
        of,
        tuple((_split(p), shades[p]) for p in used) if told else (),
        tuple(
            Line(
                shown(label),
                totals[label],
                tuple(_segments({p: n.before for p, n in parts.items()}, shades, most)),
                tuple(_segments({p: n.after for p, n in parts.items()}, shades, most)),
            )
            for label, parts in lines.items()
            if label in drawn
        ),
        tuple(f"{most * i / _TICKS:,.10g}" for i in range(_TICKS + 1)),
        len(lines) - len(drawn),
        (*(_split(p) for p in used), "all") if told else ("all",),
        tuple(
            (shown(label), (*(parts[p] for p in used), totals[label]) if told else (totals[label],))
            for label, parts in lines.items()
        ),
    )


def _segments(counts: Mapping[str, int], shades: Mapping[str, int], most: int) -> Iterator[Segment]:
    start = 0
    for part, n in counts.items():
        if n:
            yield Segment(_split(part), n, round(start * FULL / most, 2), round(n * FULL / most, 2), shades[part])
        start += n


def _nice(largest: int) -> int:
    """The least round number that is no smaller and that ticks divide."""
    size = int(10 ** max(len(str(largest)) - 1, 0))
    steps = (round(step * size) for step in _STEPS)
    return next((step for step in steps if step >= largest and step % _TICKS == 0), 12 * size)
