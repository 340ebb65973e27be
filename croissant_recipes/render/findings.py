"""What ``check`` found, as text and as JSON. Light: it must not wait for the compiler to be imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from croissant_recipes.api import Checked
from croissant_recipes.diagnostics import Diagnostic, Paint, Severity, plain

FORMAT = 1
"""Version of the document; any change but an addition raises it (docs/compatibility.md)."""


def diagnostics(found: Iterable[Diagnostic], *, quiet: bool = False, paint: Paint = plain) -> str:
    """Findings, one after the other; ``quiet`` leaves out what is only information."""
    shown = [d for d in found if not (quiet and d.severity is Severity.INFO)]
    return "\n".join(d.text(paint) for d in shown)


def count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def as_text(results: Sequence[Checked]) -> str:
    """One line a recipe."""
    return "\n".join(f"{r.path}: {_verdict(r.diagnostics)}" for r in results)


def _verdict(found: Sequence[Diagnostic]) -> str:
    errors = sum(d.is_error for d in found)
    warnings = sum(d.severity is Severity.WARNING for d in found)
    parts = [count(errors, "error")] if errors else ["ok"]
    return ", ".join([*parts, *([count(warnings, "warning")] if warnings else [])])


def as_json(results: Sequence[Checked]) -> str:
    """Everything found, versioned."""
    recipes = [{"path": r.path, "ok": r.ok, "diagnostics": [d.to_json() for d in r.diagnostics]} for r in results]
    document = {"format": FORMAT, "kind": "check", "recipes": recipes}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
