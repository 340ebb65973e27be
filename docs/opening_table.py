"""Which artifacts open where, and with which reader: docs/opening.md shows it, tests/test_opening_table.py holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple, TypeVar

_C = TypeVar("_C")

TYPES = (
    "tomogram",
    "features",
    "picks",
    "mesh",
    "binary segmentation",
    "multilabel segmentation",
    "instance segmentation",
    "panoptic segmentation",
    "density map",
)
PLACES = ("disk", "http(s)", "S3", "portal")
NAMES = ("as its file", "renamed")
READERS = ("ours, Mode A", "ours, Mode B", "copick's, Mode A", "copick's, Mode B")

CROISSANTS = ("absolute path", "relative path", "file:// URL", "http(s) URL", "s3:// URL")
"""Where a ``metadata.json`` may lie."""


class Cell(NamedTuple):
    """One artifact type, opened once.

    Attributes:
        reader: One of ``READERS``.
        place: Where the data lies, one of ``PLACES``.
        name: Whether the artifact is called what its file is called, one of ``NAMES``.
        artifact: One of ``TYPES``.
    """

    reader: str
    place: str
    name: str
    artifact: str


CELLS = tuple(Cell(*each) for each in product(READERS, PLACES, NAMES, TYPES))


def opens(cell: Cell) -> bool:
    """Whether the data comes back as it is in the project."""
    if cell.reader != "copick's, Mode A" or cell.artifact == "picks":
        return True
    # copick makes a path of the name, below the base URL. The portal's paths are none that copick makes.
    return cell.name == "as its file" and cell.place != "portal"


def is_read(reader: str, croissant: str) -> bool:
    """Whether a reader, ``ours`` or ``copick's``, opens a Croissant whose ``metadata.json`` is named so."""
    return reader == "ours" or croissant not in ("relative path", "s3:// URL")


def data_tables() -> str:
    """The tables of data, one for each reader, as Markdown."""
    columns = tuple(product(PLACES, NAMES))
    parts = []
    for reader in READERS:

        def cell(artifact: str, column: tuple[str, str], reader: str = reader) -> bool:
            return opens(Cell(reader, *column, artifact))

        head = [f"{place}, {name}" for place, name in columns]
        parts.append(f"### {reader[0].upper()}{reader[1:]}\n\n{_table(head, TYPES, columns, cell)}")
    return "\n\n".join(parts)


def croissant_table() -> str:
    """The table of Croissants as Markdown."""
    readers = ("ours", "copick's")
    return _table(readers, CROISSANTS, readers, lambda croissant, reader: is_read(reader, croissant))


def _table(head: Iterable[str], rows: Sequence[str], columns: Sequence[_C], holds: Callable[[str, _C], bool]) -> str:
    heading = f"| | {' | '.join(head)} |"
    lines = [f"| {row} | {' | '.join('yes' if holds(row, c) else '**no**' for c in columns)} |" for row in rows]
    return "\n".join([heading, "|" + " --- |" * (len(columns) + 1), *lines])
