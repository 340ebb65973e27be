"""YAML text to plain values and the position of each of them.

Scalars follow JSON, as YAML 1.2's JSON schema does: ``null``, ``true``, ``false`` and JSON numbers are what they say,
everything else is text. So ``no`` is a word, ``2026-01-15`` is no date object and ``0042`` keeps its zeros. Duplicate
keys, custom tags, merge keys and cyclic aliases are refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field

import yaml

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span

Path = tuple[str | int, ...]
"""The way from the top of the file to a value: keys and list indices."""

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_NODE_LIMIT = 200_000
_STANDARD_TAGS = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Place:
    """Where a value stands.

    Attributes:
        value: Span of the value.
        key: Span of the key that introduces it, where it has one.
        literal: The text of a scalar as written, ``None`` for lists and mappings.
        verbatim: Whether the n-th character of the text is the n-th character of the file after ``value``'s start
            (or after an opening quote), so that an offset in the text is a column.
        quoted: Whether the scalar stands in quotes.
    """

    value: Span
    key: Span | None = None
    literal: str | None = None
    verbatim: bool = False
    quoted: bool = False

    def at(self, start: int, end: int) -> Span:
        """The span of a part of a scalar's text, or of the whole scalar where columns do not follow offsets."""
        if not self.verbatim:
            return self.value
        shift = self.value.column + (1 if self.quoted else 0)
        return Span(self.value.file, self.value.line, shift + start, self.value.line, shift + max(end, start + 1))


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
        here: Path = ()
        for part in path:
            if isinstance(part, str | int) and (*here, part) in self.places:
                here = (*here, part)
        return self.places[here]

    def value_span(self, *path: str | int) -> Span:
        return self.place(path).value

    def key_span(self, *path: str | int) -> Span:
        place = self.place(path)
        return place.key or place.value

    def part_span(self, path: Path, start: int, end: int) -> Span:
        return self.place(path).at(start, end)


def parse(text: str, file: str) -> tuple[Document | None, list[Diagnostic]]:
    """Parse one YAML document. Returns no document where the text is not YAML at all."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return None, [_syntax_error(error, file)]
    if node is None:
        return None, [Diagnostic(Code.YAML, "the file is empty", span=Span(file, 1, 1), hint="start with `recipe: 1`")]
    builder = _Builder(file)
    value = builder.build(node, (), None, ())
    return Document(file, value, builder.places), builder.diagnostics


def _syntax_error(error: yaml.YAMLError, file: str) -> Diagnostic:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    span = Span(file, mark.line + 1, mark.column + 1) if mark else Span(file, 1, 1)
    message = f"{context}: {problem}" if context else str(problem)
    hint = None
    if "\\t" in message:
        hint = "indent with spaces; YAML does not allow tabs there"
    elif "another document" in message or "single document" in message:
        hint = "a recipe is one YAML document; remove the second `---`"
    elif "mapping values are not allowed" in message:
        hint = "quote a value that holds `: `, or check the indentation"
    elif "`" in message or "cannot start any token" in message or "alias" in message:
        hint = "quote the value: a leading `*`, `&`, `%`, `@` or backtick means something else in YAML"
    return Diagnostic(Code.YAML, message, span=span, hint=hint)


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Path, Place] = {}
        self.diagnostics: list[Diagnostic] = []
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path, key: Span | None, above: tuple[int, ...]) -> object:
        span = self._span(node)
        self._nodes += 1
        if id(node) in above or self._nodes > _NODE_LIMIT:
            if self._nodes <= _NODE_LIMIT + 1:
                reason = "an alias that holds itself" if id(node) in above else "too many values"
                self._refuse(span, f"{reason} cannot be a recipe", "write the value out")
            self.places[path] = Place(span, key)
            return None
        if not node.tag.startswith(_STANDARD_TAGS) or node.tag.endswith((":binary", ":set", ":omap", ":pairs")):
            self._refuse(
                span, f"tag {node.tag!r} is not allowed", "a recipe holds plain text, numbers, lists and mappings"
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, key, span)
        self.places[path] = Place(span, key)
        inner = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, i), None, inner) for i, child in enumerate(node.value)]
        return self._mapping(node, path, inner)

    def _scalar(self, node: yaml.ScalarNode, path: Path, key: Span | None, span: Span) -> object:
        text = str(node.value)
        width = (span.end_column or 0) - span.column
        quoted = node.style in ("'", '"')
        verbatim = (
            span.line == span.end_line and width == len(text) + (2 if quoted else 0) and node.style not in ("|", ">")
        )
        self.places[path] = Place(span, key, text, verbatim, quoted)
        return text if node.style else plain_value(text)

    def _mapping(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, object]:
        seen: dict[Hashable, Span] = {}
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            span = self._span(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(span, "a key must be text, not a list or mapping", None)
                continue
            name = str(key_node.value)
            if name == "<<" and not key_node.style:
                self._refuse(
                    span, "merge keys (`<<`) are not allowed", "write the keys out, or use an alias as a whole value"
                )
                continue
            if name in seen:
                self.diagnostics.append(
                    Diagnostic(
                        Code.DUPLICATE_KEY,
                        f"key {name!r} stands twice",
                        span=span,
                        hint=f"remove one; the first is at line {seen[name].line}",
                    )
                )
                continue
            seen[name] = span
            result[name] = self.build(value_node, (*path, name), span, above)
        return result

    def _refuse(self, span: Span, message: str, hint: str | None) -> None:
        self.diagnostics.append(Diagnostic(Code.YAML, message, span=span, hint=hint))

    def _span(self, node: yaml.Node) -> Span:
        start, end = node.start_mark, node.end_mark
        return Span(self.file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def plain_value(text: str) -> object:
    """What an unquoted scalar means."""
    if text in ("", "null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _JSON_NUMBER.match(text):
        return float(text) if any(c in text for c in ".eE") else int(text)
    return text
