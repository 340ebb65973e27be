"""YAML text to plain values and the position of each of them.

Scalars follow JSON, as YAML 1.2's JSON schema does: ``null``, ``true``, ``false`` and JSON numbers are what they say,
everything else is text. So ``no`` is a word, ``2026-01-15`` is no date object and ``0042`` keeps its zeros. Duplicate
keys, tags, merge keys and cyclic aliases are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import yaml

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span
from croissant_recipes.language import yaml_problems

Path = tuple[str | int, ...]
"""The way from the top of the file to a value: keys and list indices."""

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_ANCHOR = re.compile(r"&\S+[ \t]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(x..|u.{4}|U.{8}|.)")
NODE_LIMIT = 100_000
"""How many values a file can hold."""

_DEPTH_LIMIT = 64
_COMPOSED_DEPTH = 2 * _DEPTH_LIMIT
"""How deep PyYAML, which recurses, goes before it is known how far a value reaches that is too deep."""
_UNTAGGED = ""


@dataclass(frozen=True)
class Place:
    """Where a value stands.

    Attributes:
        value: Span of the value.
        key: Span of the key that introduces it, where it has one.
        literal: The text of a scalar without its quotes, ``None`` for lists and mappings.
        starts, ends: The columns at which each character of a scalar's text begins and ends in the file; ``None`` where
            the text is not on one line. They differ by more than one where the file has an escape or a parameter.
        parameter: Name of the parameter that the value is, where it is nothing else.
        unresolved: Whether it uses a parameter that has no value, so that nothing can be said about it.
    """

    value: Span
    key: Span | None = None
    literal: str | None = None
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    parameter: str | None = None
    unresolved: bool = False

    def at(self, start: int, end: int) -> Span:
        """The span of a part of a scalar's text, or of the whole scalar where that cannot be told.

        An empty part is widened to the character after it or, at the end of the text, to what follows the text.
        """
        if not self.starts or not self.ends:
            return self.value
        line = self.value.line
        if start >= len(self.starts):
            return Span(self.value.file, line, self.ends[-1], line, self.ends[-1] + 1)
        last = min(max(end, start + 1), len(self.ends)) - 1
        return Span(self.value.file, line, self.starts[start], line, self.ends[last])


@dataclass(frozen=True)
class Document:
    """A parsed file: its value and the place of every value in it."""

    file: str
    value: object
    places: dict[Path, Place] = field(hash=False)

    def place(self, path: tuple[object, ...]) -> Place:
        """The place of a value, or of the nearest value around it that the file has.

        Parts of ``path`` that do not exist at their level are passed over, as validation errors name alternatives
        of a union that are no keys of the file.
        """
        return self.places[self.existing(path)]

    def existing(self, path: tuple[object, ...]) -> Path:
        """``path`` without the parts that do not exist at their level."""
        here: Path = ()
        for part in path:
            if isinstance(part, str | int) and (*here, part) in self.places:
                here = (*here, part)
        return here

    def value_span(self, *path: str | int) -> Span:
        return self.place(path).value

    def key_span(self, *path: str | int) -> Span:
        place = self.place(path)
        return place.key or place.value

    def part_span(self, path: Path, start: int, end: int) -> Span:
        return self.place(path).at(start, end)


class _Loader(yaml.SafeLoader):
    """Leaves nodes without a tag untagged, so that the tags that the file itself gives stand out, and stops where there
    are too many or one lies too deep: a file of a megabyte can hold a million."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self._file = file
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int | None) -> yaml.Node | None:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        span = Span(self._file, mark.line + 1, mark.column + 1)
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        self._nodes += not is_key
        if self._nodes > NODE_LIMIT:
            raise _UnusableError(_too_many(span))
        if self._depth >= _COMPOSED_DEPTH:
            raise _UnusableError(_too_deep(span))
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]
        self._depth -= 1
        return node

    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:  # noqa: ARG002
        return _UNTAGGED


class _UnusableError(Exception):
    """A document that cannot be turned into values at all."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def decoded(data: bytes, file: str, code: Code) -> tuple[str | None, list[Diagnostic]]:
    """The text of a file, ``None`` where it is not UTF-8, which is told under a code."""
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before[before.rfind(b"\n") + 1 :].decode("utf-8-sig", errors="replace")
        span = Span(file, before.count(b"\n") + 1, len(line) + 1)
        return None, [Diagnostic(code, "the file is not UTF-8", span=span, hint="save it as UTF-8")]


def parse(text: str, file: str, begin: str = "`recipe: 1`") -> tuple[Document | None, list[Diagnostic]]:
    """Parse one YAML document. Returns no document where the text cannot be turned into values at all.

    Args:
        begin: What such a file can begin with, for messages.
    """
    try:
        node = _Loader(text, file).get_single_node()
    except yaml.YAMLError as error:
        return None, [yaml_problems.diagnostic(error, text, file)]
    except _UnusableError as error:
        return None, [error.diagnostic]
    if node is None:
        return None, [Diagnostic(Code.YAML, "the file is empty", span=Span(file, 1, 1), hint=f"start with {begin}")]
    builder = _Builder(file, text)
    try:
        value = builder.build(node, (), None, ())
    except _UnusableError as error:
        return None, [*builder.diagnostics, error.diagnostic]
    return Document(file, value, builder.places), builder.diagnostics


def plain_value(text: str) -> object:
    """What an unquoted scalar means. A number too large for the machine's arithmetic stays text."""
    if text in ("", "null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if not _JSON_NUMBER.match(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return number if any(c in text for c in ".eE") else int(text)


def _too_many(span: Span) -> Diagnostic:
    return _refusal(
        span, f"the file holds more than {NODE_LIMIT:,} values", "write runs as patterns, or in a split file"
    )


def _too_deep(span: Span) -> Diagnostic:
    message = f"values are nested more than {_DEPTH_LIMIT} levels deep"
    return Diagnostic(Code.YAML, message, span=span, hint="a recipe needs fewer than ten levels")


class _Builder:
    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.places: dict[Path, Place] = {}
        self.diagnostics: list[Diagnostic] = []
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path, key: Span | None, above: tuple[int, ...]) -> object:
        span = self._span(node)
        self._nodes += 1
        if id(node) in above:
            raise _UnusableError(_refusal(span, "a value cannot hold itself through an alias", "write the value out"))
        if self._nodes > NODE_LIMIT:
            raise _UnusableError(_too_many(span))
        if len(above) >= _DEPTH_LIMIT:
            raise _UnusableError(_too_deep(span))
        self._check_tag(node, span)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, key, span)
        self.places[path] = Place(span, key)
        inner = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, i), None, inner) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, path, inner)

    def _scalar(self, node: yaml.ScalarNode, path: Path, key: Span | None, span: Span) -> object:
        text = self._checked_text(str(node.value), span)
        starts, ends = self._columns(node, span) or (None, None)
        self.places[path] = Place(span, key, text, starts, ends)
        return text if node.style or node.tag else plain_value(text)

    def _mapping(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, object]:
        seen: dict[str, Span] = {}
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            span = self._span(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                hint = "put a key that begins with '[' or '{' in quotes"
                self.diagnostics.append(_refusal(span, "a key must be text, not a list or mapping", hint))
                continue
            self._check_tag(key_node, span)
            name = self._checked_text(str(key_node.value), span)
            if name == "<<" and not key_node.style:
                hint = "write the keys out, or use an alias as a whole value"
                self.diagnostics.append(_refusal(span, "merge keys (`<<`) are not allowed", hint))
                continue
            if name in seen:
                hint = f"remove one; the first is at line {seen[name].line}"
                message = f"key {name!r} stands twice"
                self.diagnostics.append(Diagnostic(Code.DUPLICATE_KEY, message, span=span, hint=hint))
                continue
            seen[name] = span
            result[name] = self.build(value_node, (*path, name), span, above)
        return result

    def _check_tag(self, node: yaml.Node, span: Span) -> None:
        if node.tag != _UNTAGGED:
            short = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            hint = "remove it; text that looks like something else goes in quotes"
            self.diagnostics.append(_refusal(span, f"the tag {short!r} is not allowed", hint))

    def _checked_text(self, text: str, span: Span) -> str:
        if text.isascii() or not _SURROGATE.search(text):
            return text
        hint = "write the character itself, or its whole code after \\U"
        self.diagnostics.append(_refusal(span, "an escape stands for half a character", hint))
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)

    def _span(self, node: yaml.Node) -> Span:
        start, end = node.start_mark, node.end_mark
        column = start.column + 1
        if isinstance(node, yaml.ScalarNode):
            if anchor := _ANCHOR.match(self.text, start.index):
                column += len(anchor.group())
        elif isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            # PyYAML ends a block where the next token begins.
            last = node.value[-1]
            last_span = self._span(last[1] if isinstance(last, tuple) else last)
            return Span(self.file, start.line + 1, column, last_span.end_line, last_span.end_column)
        return Span(self.file, start.line + 1, column, end.line + 1, end.column + 1)

    def _columns(self, node: yaml.ScalarNode, span: Span) -> tuple[Sequence[int], Sequence[int]] | None:
        """The columns of each character of a scalar, ``None`` where its text is not simply what stands in the file."""
        if span.line != span.end_line or node.style in ("|", ">"):
            return None
        first, length = span.column + (1 if node.style else 0), len(node.value)
        starts: Sequence[int] = range(first, first + length)
        ends: Sequence[int] = range(first + 1, first + length + 1)
        width = (span.end_column or 0) - span.column - (2 if node.style else 0)
        if width == length:
            return starts, ends
        source = self.text[node.end_mark.index - 1 - width : node.end_mark.index - 1]
        widths = list(_widths(source, node.style))
        if len(widths) != length:
            return None
        ends = [first + n for n in accumulate(widths)]
        return [end - w for end, w in zip(ends, widths, strict=True)], ends


def _widths(source: str, style: str) -> list[int]:
    """How many characters of a quoted scalar stand for each character of its text."""
    escape = _ESCAPE if style == '"' else re.compile("''")
    widths, at = [], 0
    while at < len(source):
        match = escape.match(source, at)
        widths.append(len(match.group()) if match else 1)
        at += widths[-1]
    return widths


def _refusal(span: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Code.YAML, message, span=span, hint=hint)
