"""The source ``copick``: a project named by its config file, of any config type."""

from __future__ import annotations

from pathlib import Path

from croissant_recipes.language import recipe
from croissant_recipes.options import CacheMode
from croissant_recipes.sources.base import Source
from croissant_recipes.sources.copick_config import load_config


def open_copick(
    name: str,
    spec: recipe.CopickSource,
    folder: Path,
    *,
    jobs: int,
    cache: CacheMode = "use",
) -> Source:
    """Opens a project: reads its config, and nothing of what it holds.

    Args:
        name: The source's name in the recipe.
        spec: What the recipe says of it.
        folder: The recipe's folder.
        jobs: How many folders or files to read at a time.
        cache: Whether answers of the portal are taken from the cache.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if the config cannot be read, ``CONFIG`` if copick would refuse it.
    """
    config = load_config(name, spec.config, folder)
    if config.config_type == "filesystem":
        from croissant_recipes.sources.filesystem import FilesystemProject

        return FilesystemProject(config, jobs)
    if config.config_type == "mlcroissant":
        from croissant_recipes.sources.croissant_project import CroissantProject

        return CroissantProject(config, jobs)
    from croissant_recipes.sources.portal.project import PortalProject

    return PortalProject(config, jobs, cache)
