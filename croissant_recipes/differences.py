"""A value before and after, shown where the two differ, however long they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LENGTH = 60
_AROUND = 12
"""What is shown of a value, and of what is the same on either side of what is not, in characters."""


def change(old: object, new: object) -> str:
    """``old -> new``, as ``shown``."""
    return " -> ".join(shown(old, new))


def shown(old: object, new: object) -> tuple[str, str]:
    """Both values: whole where they are short, else the part that differs with a little of what is around it."""
    before, after = _text(old), _text(new)
    if max(len(before), len(after)) > _LENGTH:
        start = _alike(before, after)
        end = _alike(before[start:][::-1], after[start:][::-1])
        before, after = _part(before, start, end), _part(after, start, end)
    return before, after


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, those of the new value first."""
    return [k for k in dict.fromkeys([*new, *old]) if old.get(k) != new.get(k)]


def _text(value: object) -> str:
    if value in (None, ""):
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    # One line, whatever is in it.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _alike(a: str, b: str) -> int:
    """With how many same characters both begin."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _part(text: str, start: int, end: int) -> str:
    """A text without most of what is the same: ``start`` characters at its beginning and ``end`` at its end."""
    first, last = max(start - _AROUND, 0), len(text) - max(end - _AROUND, 0)
    cut = min(last, first + _LENGTH)
    return "…" * (first > 0) + text[first:cut] + "…" * (cut < len(text))
