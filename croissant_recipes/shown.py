"""Values of others in what is shown to people: they control no terminal, and are no longer than can be read."""

from __future__ import annotations

import re

_LONGEST_VALUE = 200
_LONGEST_WORD = 400
_LONGEST_TEXT = 1600
"""Characters. A screen of 80 columns and 24 lines has 1920."""

_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
_LONG_VALUE = re.compile(rf"'[^']{{{_LONGEST_VALUE},}}'|\"[^\"]{{{_LONGEST_VALUE},}}\"")
_LONG_WORD = re.compile(rf"[^\s'\"]{{{_LONGEST_WORD},}}")


def printable(text: str) -> str:
    """A text on one line, in which what could control a terminal, or look like something else, is written as Python
    writes it: ``\\x1b``, ``\\u202e``, ``\\n``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(text: str) -> str:
    """A text on one line, ``printable`` and at most a screen long: what is too long is cut in the middle."""
    line = printable(text)
    if len(line) < _LONGEST_VALUE:
        return line
    line = _LONG_VALUE.sub(lambda m: _cut(m.group(), _LONGEST_VALUE), line)
    line = _LONG_WORD.sub(lambda m: _cut(m.group(), _LONGEST_WORD), line)
    return _cut(line, _LONGEST_TEXT)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = longest // 2 - 20
    return f"{text[:half]}… ({len(text):,} characters) …{text[-half:]}"


def printable_json(document: str) -> str:
    """A JSON document in which characters that could control a terminal are escaped: the same values, to the last."""
    return _NOT_ASCII.sub(_escaped, document)


def _escaped(match: re.Match[str]) -> str:
    if match.group().isprintable():
        return match.group()
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
