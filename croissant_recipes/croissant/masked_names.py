"""The table of names: how runs are called in results that mask them.

It lies beside the Croissant of a result that hides nothing, and is the memory of the names that were given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

NAMES_FILE = "masked_runs.csv"

_HEADER = ("output", "run", "name")


@dataclass(frozen=True, order=True)
class MaskedName:
    """The name that a run has in a result. A run that was in several splits may have had several."""

    output: str
    run: str
    name: str


@dataclass(frozen=True)
class MaskedNames:
    """All of them, sorted."""

    entries: tuple[MaskedName, ...] = ()

    def of(self, output: str) -> tuple[MaskedName, ...]:
        """Those of one result."""
        return tuple(entry for entry in self.entries if entry.output == output)

    def with_others(self, others: Iterable[MaskedName]) -> MaskedNames:
        """With further ones.

        Raises:
            ValueError: If a name would be that of two runs.
        """
        runs: dict[tuple[str, str], str] = {}
        entries = sorted({*self.entries, *others})
        for entry in entries:
            run = runs.setdefault((entry.output, entry.name), entry.run)
            if run != entry.run:
                raise ValueError(f"{entry.name!r} is the name of {run!r} and of {entry.run!r} in {entry.output}")
        return MaskedNames(tuple(entries))


NO_NAMES = MaskedNames()


def to_bytes(names: MaskedNames) -> bytes:
    """The file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows([e.output, e.run, e.name] for e in names.entries)
    return text.getvalue().encode()


def parse(data: bytes) -> MaskedNames:
    """What a file says.

    Raises:
        ValueError: If it is no such table.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8, in line {line}") from None
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not rows or tuple(rows[0]) != _HEADER:
        raise ValueError(f"its first line is not {','.join(_HEADER)}")
    for number, row in enumerate(rows[1:], start=2):
        if row and (len(row) != len(_HEADER) or not all(row)):
            raise ValueError(f"line {number} does not have an output, a run and a name")
    return NO_NAMES.with_others(MaskedName(*row) for row in rows[1:] if row)
