"""The copick config that opens a built Croissant, for ``--emit-config``. It never holds credentials."""

from __future__ import annotations

import json
from typing import Any

from croissant_recipes.compiler.placing import PORTAL_BUCKET


def emit(metadata_url: str, base_url: str | None, overlay_root: str | None) -> bytes:
    """A copick JSON config of type ``mlcroissant``.

    Args:
        metadata_url: Absolute path or URL of ``metadata.json``.
        base_url: The Croissant's ``copick:baseUrl``.
        overlay_root: Where edits go (Mode B); ``None`` for Mode A, which writes to the Croissant itself.
    """
    config: dict[str, Any] = {
        "config_type": "mlcroissant",
        "pickable_objects": [],
        "croissant_url": metadata_url,
        "overlay_root": overlay_root,
        "overlay_fs_args": {},
        "croissant_fs_args": {},
        # The portal's bucket is public, and asks to be read without credentials.
        "static_fs_args": {"anon": True} if base_url == PORTAL_BUCKET else {},
    }
    return (json.dumps(config, indent=4) + "\n").encode()
