"""Opening copick configs."""

from __future__ import annotations

import json
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import copick

from croissant_recipes.opening.copick_adapter import CopickConfigMLCroissant
from croissant_recipes.opening.project import CroissantProject


def from_file(path: str) -> Any:
    """The copick root that a config describes, as ``copick.from_file`` gives it; one of type ``mlcroissant`` is opened
    as ``from_croissant`` does.

    Args:
        path: Of the config, a local JSON file.

    Raises:
        FileNotFoundError: If it, or the Croissant, is not there.
        ValueError: If it is no config, its type is unknown, or the Croissant cannot be read.
    """
    return from_string(Path(path).read_text(encoding="utf-8"))


def from_string(data: str) -> Any:
    """As ``from_file``, for the text of a config. Relative paths start at the working directory, as for copick."""
    try:
        config = json.loads(data)
    except RecursionError:
        raise ValueError("this is no copick config: it is nested too deeply") from None
    if not isinstance(config, dict):
        # As of everything else that is no config.
        raise ValueError(f"a copick config is a JSON object, and this is {shortened(data)}")  # noqa: TRY004
    if config.get("config_type") == "mlcroissant":
        return CroissantProject(CopickConfigMLCroissant(**config))
    return copick.from_string(data)
