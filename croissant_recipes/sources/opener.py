"""Which source a recipe's ``sources:`` entry is. What opens a kind is imported only when a recipe uses it."""

from __future__ import annotations

from pathlib import Path

from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language import source_kinds
from croissant_recipes.language.source_kinds import Source as Entry
from croissant_recipes.location import Location, is_url
from croissant_recipes.sources.base import Means, Source

SourceKey = tuple[str, str, str, str]


def open_source(name: str, entry: Entry, means: Means) -> Source:
    """Open a source for reading, with the opener of its kind: ``opener(name, spec, means) -> Source``.

    Args:
        name: The source's name in the recipe, for messages.
        entry: Its entry.
        means: What it works with.

    Raises:
        DiagnosticError: The source cannot be read or is not usable.
    """
    opened: Source = source_kinds.load(entry.kind.opener)(name, entry.spec, means)
    return opened


def source_key(entry: Entry, folder: Path, files: Files = TODAY) -> SourceKey:
    """What makes two entries one source, whichever recipe of whichever folder has them, read from whichever files."""
    kind = entry.kind
    place = Location.parse(getattr(entry.spec, kind.place), folder.resolve()).url if kind.place else ""
    apart = {kind.place} if kind.place else set()
    value = getattr(entry.spec, kind.place) if kind.place else ""
    config = folder / value if kind.place_is_config and not is_url(value) else None
    return (
        kind.name,
        place,
        files.mark(config) if config else "",
        entry.spec.model_dump_json(exclude={*kind.unread, *apart}),
    )
