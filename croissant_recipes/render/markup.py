"""Names and sentences of others inside Markdown, as GitHub reads it: they are shown as they are, and do nothing.

A name in a recipe or a project may have any character. None begins a list, a table cell, an element of HTML, a link, or
a mention of somebody; none ends what stands around it.
"""

from __future__ import annotations

import re

from croissant_recipes.shown import printable

_LONGEST = 300

_PLAIN = re.compile(r"[A-Za-z0-9_ .,:/@+=*?()\[\]{}'~>%&^$!;-]*", re.ASCII)
"""What may stand in a code span as it is: it has no backtick, pipe, backslash or ``<``."""

_SPECIAL = re.compile(
    r"[\\`*\[\]<>&~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<![A-Za-z0-9])[@#]|:(?=/{2})|(?<=\bwww)\."
)
_AT_FIRST = re.compile(r"(?:[-+=.:]|\d+[.)])")


def text(value: object, longest: int = _LONGEST) -> str:
    """A sentence of others inside a line."""
    line = _cut(printable(str(value)), longest)
    found = _SPECIAL.sub(lambda m: "".join(map(_entity, m.group())), line)
    # What stands right after @ is somebody, whom nobody wants to call.
    found = re.sub(r"&#64;(?=[A-Za-z0-9])", "&#64;<!-- -->", found)
    found = re.sub(r"&#35;(?=\d)", "&#35;<!-- -->", found)
    first = _AT_FIRST.match(found)
    return f"<!-- -->{found}" if first else found


def code(value: object, longest: int = _LONGEST) -> str:
    """A name, key or value."""
    line = _cut(printable(str(value)), longest)
    if not line.strip():
        return "<code></code>"
    if _PLAIN.fullmatch(line) and line == line.strip():
        return f"`{line}`"
    return f"<code>{''.join(c if c.isalnum() or c in ' -,' else _entity(c) for c in line)}</code>"


def html(value: object, longest: int = _LONGEST) -> str:
    """A sentence inside an element of HTML in which there is no Markdown, such as ``summary``."""
    return "".join(c if c.isalnum() or c in " ," else _entity(c) for c in _cut(printable(str(value)), longest))


def _entity(character: str) -> str:
    return f"&#{ord(character)};"


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
