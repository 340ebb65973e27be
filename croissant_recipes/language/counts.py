"""Expected counts: ``5``, ``">= 10"``, ``"1..2"``, and compared with what is at the output: ``">= -5%"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

FORMS = "write a number, a comparison such as '>= 10' or '>= -5%', or a range such as '1..2'"

_LIMIT = r"[+-][0-9]+(?:\.[0-9]+)?\s*%|[+-]?[0-9]+"
_OPERATOR = "==|=|!=|>=|<=|>|<"
_PLAIN = r"\s*[0-9]+\s*"
_COMPARE = rf"\s*({_OPERATOR})\s*({_LIMIT})\s*"
_RANGE = rf"\s*({_LIMIT})\s*\.\.\s*({_LIMIT})\s*"
_OPERATORS: dict[str, Callable[[int, Fraction], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_MOST_DIGITS = 18
_ALL = -100

JSON_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": f"^({_PLAIN}|{_COMPARE}|{_RANGE})$"},
    ],
}
"""The form of an expected count, for editors. It does not say that a range must not be empty."""


@dataclass(frozen=True)
class Limit:
    """One number of a bound.

    Attributes:
        value: The count, or by how much it may differ from what is at the output.
        relative: Whether it is a difference.
        percent: Whether that is of a hundred.
    """

    value: Fraction
    relative: bool = False
    percent: bool = False

    def beside(self, there: int) -> Fraction:
        """The count that it means where so many are at the output. Nothing is rounded."""
        if not self.relative:
            return self.value
        return there * (1 + self.value / 100) if self.percent else there + self.value


@dataclass(frozen=True)
class Bound:
    """What a count must satisfy: one comparison or, with ``upper``, a range from ``lower``."""

    text: str
    operator: str
    lower: Limit
    upper: Limit | None = None

    @property
    def relative(self) -> bool:
        """Whether it compares with what is at the output."""
        return self.lower.relative or (self.upper is not None and self.upper.relative)

    def holds(self, count: int, there: int = 0) -> bool:
        """Whether a count satisfies it.

        Args:
            count: In the plan.
            there: At the output. Where there is nothing, a difference says nothing, and holds.
        """
        ends = [(self.operator, self.lower)] if self.upper is None else [(">=", self.lower), ("<=", self.upper)]
        return all(
            _OPERATORS[comparison](count, limit.beside(there))
            for comparison, limit in ends
            if there or not limit.relative
        )

    def beside(self, there: int) -> str:
        """What it comes to where so many are at the output."""
        lower = _shown(self.lower.beside(there))
        return f"{self.operator} {lower}" if self.upper is None else f"{lower}..{_shown(self.upper.beside(there))}"


def parse(value: object) -> Bound:
    """Read an expected count.

    Raises:
        ValueError: It is no number, comparison or range, or holds for no count. A second argument is what to write
            instead, where ``FORMS`` would not say it.
    """
    is_count = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    text = str(value) if is_count else ""
    if re.fullmatch(_PLAIN, text):
        return Bound(text.strip(), "==", _limit(text))
    if match := re.fullmatch(_RANGE, text):
        low, high = _limit(match.group(1)), _limit(match.group(2))
        if (low.relative, low.percent) == (high.relative, high.percent) and low.value > high.value:
            raise ValueError(f"the range {text!r} is empty")
        return Bound(text.strip(), "..", low, high)
    if match := re.fullmatch(_COMPARE, text):
        bound = Bound(text.strip(), match.group(1), _limit(match.group(2)))
        least = _ALL if bound.lower.percent else 0
        if bound.operator == "<" and bound.lower.value <= least and bound.lower.percent == bound.lower.relative:
            raise ValueError("no count is below 0")
        return bound
    if re.fullmatch(rf"\s*({_LIMIT})\s*", text):
        wanted = text.strip()
        hint = f"write '>= {wanted}' for at least so many, or '== {wanted}' for exactly so many"
        raise ValueError(f"{value!r} does not say how to compare with what is at the output", hint)
    if re.search(r"[0-9]\s*%", text):
        raise ValueError(
            f"{value!r} is no count", "a percentage has a sign: '>= -5%' allows 5% fewer than at the output"
        )
    raise ValueError(f"{value!r} is no count")


def _limit(text: str) -> Limit:
    number = text.strip().rstrip("%").strip()
    if len(number) > _MOST_DIGITS:
        raise ValueError(f"{number[:_MOST_DIGITS]}… is more than there can be")
    limit = Limit(Fraction(number), number[0] in "+-", "%" in text)
    if limit.percent and limit.value < _ALL:
        raise ValueError(f"{text.strip()!r} is less than nothing", "'-100%' is nothing at all")
    return limit


def _shown(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{float(number):g}"
