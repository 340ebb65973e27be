"""Patterns of other names for runs, such as ``run-{n:03}``: one number in a text, so that no two runs share a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELD = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"n(?::(?:0([1-9][0-9]?))?d?)?")
_MOST_DIGITS = 99
_EXAMPLE = "such as 'run-{n:03}'"


class RunMaskError(ValueError):
    """A pattern that gives no names.

    Attributes:
        message, hint: What is wrong and what would be right.
        start, end: Offsets into the pattern.
    """

    def __init__(self, message: str, start: int, end: int, hint: str = _EXAMPLE) -> None:
        super().__init__(message)
        self.message, self.hint, self.start, self.end = message, hint, start, end


@dataclass(frozen=True)
class RunMask:
    """A pattern, checked.

    Attributes:
        text: As written.
        head, tail: What stands before and after the number.
        width: How many digits the number has at least.
    """

    text: str
    head: str
    tail: str
    width: int

    def name(self, number: int) -> str:
        """The name of a number, counted from 1."""
        return f"{self.head}{number:0{self.width}d}{self.tail}"

    def has(self, name: str) -> bool:
        """Whether a name is one of its names."""
        digits = name.removeprefix(self.head).removesuffix(self.tail)
        counted = len(digits) <= _MOST_DIGITS and digits.isascii() and digits.isdecimal()
        return counted and self.name(int(digits)) == name


def parse(text: str) -> RunMask:
    """Check a pattern.

    Raises:
        RunMaskError: It has not exactly one number, or gives names that no run can have.
    """
    found = list(_FIELD.finditer(text))
    if not found:
        raise RunMaskError("the pattern holds no {n}, so every run would have one name", 0, len(text))
    for field in found:
        if not _NUMBER.fullmatch(field.group(1)):
            message = f"{field.group()} is no number of a run"
            raise RunMaskError(message, *field.span(), "write {n}, or {n:03} for three digits")
    if len(found) > 1:
        raise RunMaskError("the pattern holds two numbers", *found[1].span())
    (field,) = found
    head, tail = text[: field.start()], text[field.end() :]
    for part, offset in ((head, 0), (tail, field.end())):
        at = re.search(r"[{}/\0]", part)
        if at:
            message = f"a run's name is the name of a folder, and {at.group()!r} cannot be in it"
            raise RunMaskError(message, offset + at.start(), offset + at.end())
    if head.startswith("."):
        raise RunMaskError("a run's name is the name of a folder, which does not begin with '.'", 0, 1)
    if text != text.strip():
        raise RunMaskError("a run's name does not begin or end with a space", 0, len(text))
    number = _NUMBER.fullmatch(field.group(1))
    assert number is not None
    return RunMask(text, head, tail, int(number.group(1) or 1))
