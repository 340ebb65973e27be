"""The copick config that opens a built Croissant, for ``--emit-config``. It never holds credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from croissant_recipes import intake
from croissant_recipes.access import is_public
from croissant_recipes.location import URL, Location
from croissant_recipes.opening.row_places import RowPlaces


def emit(
    metadata_url: str, base_url: str | None, overlay: Location | None, tables: Mapping[str, pd.DataFrame]
) -> bytes:
    """A copick JSON config of type ``mlcroissant``. With it, copick reads what the Croissant holds, and with an overlay
    writes into that; the folder of an overlay on this machine is made.

    Args:
        metadata_url: Absolute path or URL of ``metadata.json``.
        base_url: The Croissant's ``copick:baseUrl``.
        overlay: Where edits go (Mode B); ``None`` for Mode A, which writes to the Croissant itself.
        tables: The record tables.
    """
    if overlay is not None and overlay.is_local:
        Path(overlay.path).mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "config_type": "mlcroissant",
        "pickable_objects": [],
        "croissant_url": metadata_url,
        "overlay_root": None if overlay is None else overlay.url,
        # Without it copick saves picks there, and no arrays.
        "overlay_fs_args": {"auto_mkdir": True} if overlay is not None and overlay.is_local else {},
        "croissant_fs_args": {},
        "static_fs_args": {"anon": True} if _asks_for_anonymous(base_url, tables) else {},
    }
    return (json.dumps(config, indent=4) + "\n").encode()


def is_such(data: bytes) -> bool:
    """Whether a file is a config of that kind, which another may replace."""
    try:
        config = intake.parse_json(data)
    except ValueError:
        return False
    return isinstance(config, dict) and config.get("config_type") == "mlcroissant"


def _asks_for_anonymous(base_url: str | None, tables: Mapping[str, pd.DataFrame]) -> bool:
    """Whether all that is behind a service is in the portal's public bucket, which asks to be read without credentials.
    copick gives these arguments to every filesystem, and that of web addresses does not take them."""
    places = RowPlaces(base_url or "/", {})
    urls = pd.concat([table["url"] for table in tables.values() if "url" in table], ignore_index=True)
    # Of many rows below one folder, one is looked at.
    folders = urls.str.extract(f"^({URL}[^/]*)", expand=False).fillna("").unique()
    services = [Location.parse(places.absolute(folder)) for folder in folders]
    base = [Location.parse(base_url)] if base_url else []
    remote = [*(place for place in services if not place.is_local), *(place for place in base if is_public(place))]
    return bool(remote) and all(is_public(place) for place in remote)
