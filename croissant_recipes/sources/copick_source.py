"""The source ``copick``: a project named by its config file, of any config type."""

from __future__ import annotations

from croissant_recipes.language import source_kinds
from croissant_recipes.sources.base import Means, Source
from croissant_recipes.sources.project_config import load_config

_ANY_TYPE = "croissant_recipes.sources.walked_project:WalkedProject"
"""What opens a project of any type that copick knows."""


def open_copick(name: str, spec: source_kinds.CopickSource, means: Means) -> Source:
    """Opens a project: reads its config, and nothing of what it holds.

    Args:
        name: The source's name in the recipe.
        spec: What the recipe says of it.
        means: What it works with.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if the config cannot be read, ``CONFIG`` if copick would refuse it.
    """
    config = load_config(name, spec.config, means.folder, means.files)
    known = source_kinds.CONFIG_TYPES.get(config.config_type)
    opened: Source = source_kinds.load(known.opener if known else _ANY_TYPE)(config, means)
    return opened
