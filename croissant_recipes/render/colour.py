"""Colours on a terminal: what is wrong, what comes and what goes."""

from __future__ import annotations

import os
from typing import TextIO

from croissant_recipes.diagnostics import Paint, plain

_CODES = {"error": "1;31", "warning": "33", "+": "32", "-": "31"}


def paint_for(stream: TextIO) -> Paint:
    """What colours text for a stream: nothing unless it is a terminal that takes colours, and the user does not refuse
    them with ``NO_COLOR`` (https://no-color.org)."""
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return plain if refused or not stream.isatty() else _coloured


def _coloured(text: str, role: str) -> str:
    code = _CODES.get(role)
    return text if code is None else f"\x1b[{code}m{text}\x1b[0m"
