"""The shares of objects in splits as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from croissant_recipes.compiler.shares import SHARED, ObjectShares
from croissant_recipes.render.findings import count
from croissant_recipes.shown import printable

_WIDTH = 80
_OBJECTS = 10
_LONGEST = 24


def lines(shares: Sequence[ObjectShares], *, verbose: bool) -> Iterator[str]:
    """A table for each type of artifact that has rows: an object a line, a split a column, with rows and their part of
    those in any split. Without ``verbose`` it has at most ten objects and fits 80 columns."""
    for artifact in SHARED:
        of_type = [s for s in shares if s.artifact == artifact]
        if of_type:
            yield from _table(artifact, of_type, verbose=verbose)


def _table(artifact: str, shares: Sequence[ObjectShares], *, verbose: bool) -> Iterator[str]:
    told = shares if verbose else shares[:_OBJECTS]
    objects = [artifact, *(_cut(s.object, verbose=verbose) for s in told)]
    columns = [[_cut(split, verbose=verbose), *(_cell(s, split) for s in told)] for split in shares[0].rows]
    if any(s.without for s in shares):
        columns.append(["none", *(f"{s.without:,}" for s in told)])
    first = max(map(len, objects))
    widths = [max(map(len, column)) + 2 for column in columns]
    fitting = len(columns)
    while not verbose and 2 + first + sum(widths[:fitting]) > _WIDTH and fitting > 1:
        fitting -= 1
    for i, name in enumerate(objects):
        cells = (column[i].rjust(width) for column, width in zip(columns[:fitting], widths, strict=False))
        yield f"  {name.ljust(first)}{''.join(cells)}"
    left = [*([count(len(shares) - len(told), "more object")] if len(told) < len(shares) else [])]
    left += [count(len(columns) - fitting, "more column")] if fitting < len(columns) else []
    if left:
        yield f"  and {' and '.join(left)} (-v shows all)"


def _cell(shares: ObjectShares, split: str) -> str:
    return f"{shares.rows[split]:,} ({shares.share(split):.0%})" if shares.rows[split] else "0"


def _cut(name: str, *, verbose: bool) -> str:
    shown = printable(name)
    return shown if verbose or len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
