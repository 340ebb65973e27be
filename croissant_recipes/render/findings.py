"""What ``check`` found, as text and as JSON. Light: it must not wait for the compiler to be imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from croissant_recipes.api import Checked
from croissant_recipes.diagnostics import Diagnostic, Paint, Severity, plain
from croissant_recipes.shown import printable_json, shown

FORMAT = 1
"""Version of the document; any change but an addition raises it (docs/compatibility.md)."""


_SHOWN = 100
"""How many findings of a recipe a person is shown."""


def diagnostics(found: Iterable[Diagnostic], *, quiet: bool = False, paint: Paint = plain) -> str:
    """Findings, one after the other; ``quiet`` leaves out what is only information. Of very many, errors are shown
    first."""
    told = [d for d in found if not (quiet and d.severity is Severity.INFO)]
    lines = [d.text(paint) for d in _first(told)]
    if len(told) > _SHOWN:
        lines.append(f"and {len(told) - _SHOWN:,} more, all of which --format json shows")
    return "\n".join(lines)


def _first(found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """As many as are shown, in their order."""
    chosen = sorted(range(len(found)), key=lambda i: (not found[i].is_error, i))[:_SHOWN]
    return (found[i] for i in sorted(chosen))


def count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def as_text(results: Sequence[Checked]) -> str:
    """One line a recipe."""
    return "\n".join(f"{shown(r.path)}: {_verdict(r.diagnostics)}" for r in results)


def _verdict(found: Sequence[Diagnostic]) -> str:
    errors = sum(d.is_error for d in found)
    warnings = sum(d.severity is Severity.WARNING for d in found)
    parts = [count(errors, "error")] if errors else ["ok"]
    return ", ".join([*parts, *([count(warnings, "warning")] if warnings else [])])


def as_json(results: Sequence[Checked]) -> str:
    """Everything found, versioned."""
    recipes = [{"path": r.path, "ok": r.ok, "diagnostics": [d.to_json() for d in r.diagnostics]} for r in results]
    document = {"format": FORMAT, "kind": "check", "recipes": recipes}
    return printable_json(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
