"""Which source a recipe's ``sources:`` entry is. Each kind is imported only when a recipe uses it."""

from __future__ import annotations

from pathlib import Path

from croissant_recipes.language.recipe import Source as SourceSpec
from croissant_recipes.options import CacheMode
from croissant_recipes.sources.base import Source


def open_source(name: str, spec: SourceSpec, folder: Path, *, jobs: int, cache: CacheMode) -> Source:
    """Open a source for reading.

    Args:
        name: The source's name in the recipe, for messages.
        spec: Its entry.
        folder: The recipe's folder, which relative paths start at.
        jobs: How many files or requests to have under way at once.
        cache: Whether answers of the portal are taken from the cache.

    Raises:
        DiagnosticError: The source cannot be read or is not usable.
    """
    if spec.portal is not None:
        from croissant_recipes.sources.portal.datasets import PortalSource

        return PortalSource(name, spec.portal, jobs=jobs, cache=cache)
    if spec.copick is not None:
        from croissant_recipes.sources.copick import open_copick

        return open_copick(name, spec.copick, folder, jobs=jobs, cache=cache)
    from croissant_recipes.sources.croissant import CroissantSource

    assert spec.croissant is not None
    return CroissantSource(name, spec.croissant, folder, jobs)
