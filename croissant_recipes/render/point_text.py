"""How the points of changed picks changed, in a line for each object and one for all."""

from __future__ import annotations

from collections.abc import Iterator

from croissant_recipes.diagnostics import joined
from croissant_recipes.render.findings import count
from croissant_recipes.review.geometry import TURNED, Geometry, Summed
from croissant_recipes.review.wording import counted


def lines(of: Geometry) -> Iterator[tuple[str, str]]:
    """What is told of, and what became of it: all together first, then each object; nothing where no picks hold other
    data."""
    if not of.picks:
        return
    yield "all objects", told(of.total, of.distance)
    yield from ((name, told(each, of.distance)) for name, each in of.objects.items())


def told(of: Summed, distance: float) -> str:
    """``3 picks: 12 points added, 2 removed, 5 moved by more than 1 Å (up to 8.2 Å), 0 turned by more than 0.1°``."""
    parts = []
    if of.compared:
        tally = of.tally
        moved = f"{tally.moved:,} moved by more than {distance:g} Å"
        moved += f" (up to {tally.farthest:.4g} Å)" if tally.moved else ""
        turned = f"{tally.turned:,} turned by more than {TURNED:g}°"
        turned += f" (up to {tally.widest:.4g}°)" if tally.turned else ""
        counts = f"{count(tally.added, 'point')} added, {tally.removed:,} removed, {moved}, {turned}"
        parts.append(f"{counted(of.compared, 'picks')}: {counts}; {tally.before:,} -> {count(tally.after, 'point')}")
    if of.unread:
        why = [f"of {n:,} the file {version} {reason.text}" for (version, reason), n in of.why.items()]
        parts.append(f"{counted(of.unread, 'picks')} not compared: {joined(why)}")
    if of.unsure:
        parts.append(f"of {of.unsure:,} no sha256 says that what was read is what was meant")
    return "; ".join(parts)
