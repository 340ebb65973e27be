"""What ``adopt`` did, as text and as JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from croissant_recipes.api import Adopted
from croissant_recipes.shown import printable, printable_json

FORMAT = 1
"""Version of the document; any change but an addition raises it (docs/compatibility.md)."""


def as_text(result: Adopted) -> str:
    return "\n".join(map(printable, _lines(result)))


def _lines(result: Adopted) -> Iterator[str]:
    if result.text is not None:
        yield from _difference(result)
        verb = "Adopted" if result.written else "Would adopt"
        yield f"{verb}: {result.path}" + (f", with the rows in {result.folder}" if result.folder else "")
    elif not result.left:
        yield f"Nothing to adopt: {result.path}"
    if result.left:
        yield "A recipe cannot say, and a build still asks about:"
        yield from (f"  {line}" for line in result.left)


def _difference(result: Adopted) -> Iterator[str]:
    before, after = result.before.splitlines(), (result.text or "").splitlines()
    return difflib.unified_diff(before, after, result.path, result.path, lineterm="")


def as_json(result: Adopted) -> str:
    document = {
        "format": FORMAT,
        "kind": "adopt",
        "path": result.path,
        "written": result.written,
        "text": result.text,
        "folder": result.folder,
        "left": list(result.left),
        "diagnostics": [d.to_json() for d in result.diagnostics],
    }
    return printable_json(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
