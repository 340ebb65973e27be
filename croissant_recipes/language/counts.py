"""Expected counts: ``5``, ``">= 10"``, ``"1..2"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

_COMPARE = r"\s*(==|=|!=|>=|<=|>|<)?\s*([0-9]+)\s*"
_RANGE = r"\s*([0-9]+)\s*\.\.\s*([0-9]+)\s*"
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}

JSON_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^({_COMPARE}|{_RANGE})$"}],
}
"""The form of an expected count, for editors. It does not say that a range must not be empty."""


@dataclass(frozen=True)
class Bound:
    """What a count must satisfy."""

    text: str
    operator: str
    value: int
    upper: int | None = None

    def holds(self, count: int) -> bool:
        if self.upper is not None:
            return self.value <= count <= self.upper
        return _OPERATORS[self.operator](count, self.value)


def parse(value: object) -> Bound:
    """Read an expected count.

    Raises:
        ValueError: It is no number, comparison or range, or holds for no count.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and (match := re.fullmatch(_RANGE, text)):
        low, high = _number(match.group(1)), _number(match.group(2))
        if low > high:
            raise ValueError(f"the range {text!r} is empty")
        return Bound(text.strip(), "..", low, high)
    if isinstance(text, str) and (match := re.fullmatch(_COMPARE, text)):
        bound = Bound(text.strip(), match.group(1) or "==", _number(match.group(2)))
        if bound.operator == "<" and bound.value == 0:
            raise ValueError("no count is below 0")
        return bound
    raise ValueError(f"{value!r} is no count")


def _number(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(f"{digits[:18]}… is more than there can be")
    return int(digits)
