"""Expected counts: ``5``, ``">= 10"``, ``"1..2"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

_COMPARE = re.compile(r"\s*(==|=|!=|>=|<=|>|<)?\s*(\d+)\s*\Z")
_RANGE = re.compile(r"\s*(\d+)\s*\.\.\s*(\d+)\s*\Z")
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


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


def parse(value: int | str) -> Bound:
    """Read an expected count.

    Raises:
        ValueError: It is no number, comparison or range, or holds for no count.
    """
    if isinstance(value, int):
        return Bound(str(value), "==", value)
    if match := _RANGE.match(value):
        low, high = int(match.group(1)), int(match.group(2))
        if low > high:
            raise ValueError(f"the range {value!r} is empty")
        return Bound(value.strip(), "..", low, high)
    if match := _COMPARE.match(value):
        bound = Bound(value.strip(), match.group(1) or "==", int(match.group(2)))
        if bound.operator == "<" and bound.value == 0:
            raise ValueError("no count is below 0")
        return bound
    raise ValueError(f"{value!r} is no count")
