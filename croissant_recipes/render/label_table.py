"""The labels of a recipe's objects, as text and as JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from croissant_recipes.api import Labels
from croissant_recipes.compiler.labels import Giver, Row
from croissant_recipes.shown import printable_json, shown

FORMAT = 1
"""Version of the document; any change but an addition raises it (docs/compatibility.md)."""


def as_text(result: Labels) -> str:
    return "\n".join(map(shown, _lines(result)))


def _lines(result: Labels) -> Iterator[str]:
    if result.rows:
        yield from _table(result)
    elif not result.diagnostics:
        yield f"No objects: {result.path}"
    if result.written:
        yield ""
        before, after = result.before.splitlines(), (result.text or "").splitlines()
        yield from difflib.unified_diff(before, after, result.path, result.path, lineterm="")
        yield f"Wrote labels: {result.path}"


def _table(result: Labels) -> Iterator[str]:
    cells = [("label", "object", "given by", "there"), *(_cells(row) for row in result.rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for label, name, giver, there in cells:
        cut = f"{label:>{widths[0]}}  {name:<{widths[1]}}  {giver:<{widths[2]}}  {there}"
        yield cut.rstrip()


def _cells(row: Row) -> tuple[str, str, str, str]:
    giver = {Giver.RECIPE: "the recipe", Giver.BASE: "the base", Giver.TOOL: "croissant-recipe", Giver.OTHERS: "others"}
    given = f"source {row.source}" if row.giver is Giver.SOURCE else giver[row.giver] if row.giver else ""
    there = ""
    if row.there is not None:
        there = f"{row.there.label}{' in the base' if row.there.of_base else ''}"
        there += ", moves" if row.moves else ", gone" if row.label is None else ""
    elif row.moves:
        there = "its label is another object's"
    return ("" if row.label is None else str(row.label), row.object, given, there)


def as_json(result: Labels) -> str:
    document = {
        "format": FORMAT,
        "kind": "labels",
        "path": result.path,
        "outputs": list(result.outputs),
        "written": result.written,
        "text": result.text,
        "labels": [_row(row) for row in result.rows],
        "diagnostics": [d.to_json() for d in result.diagnostics],
    }
    return printable_json(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))


def _row(row: Row) -> dict[str, object]:
    there = row.there
    return {
        "object": row.object,
        "label": row.label,
        "from": row.giver.value if row.giver else None,
        "source": row.source,
        "there": there.label if there else None,
        "there_in": ("base" if there.of_base else "output") if there else None,
        "moves": row.moves,
    }
