"""Templates of sessions, users and runs: ``{field}``, ``{field:format}``, or Jinja2 as far as ``expressions`` goes.

Plain templates are those of ``str.format`` without attribute access, indexing, conversions or nested fields. A template
that holds ``{{`` or ``{%`` is a Jinja2 template over the same fields.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from croissant_recipes.diagnostics import did_you_mean
from croissant_recipes.language import expressions

if TYPE_CHECKING:
    from jinja2 import TemplateSyntaxError
    from jinja2.nodes import Template as JinjaTree

_FORMS = "write only {field} or {field:format}"
_ELSEWHERE = ("c", "n")
"""Formats that make control characters, or what depends on the user's language."""

_WIDTH = re.compile(r"[0-9]{4,}")
_DATE_FORMAT = re.compile(r"([^%]|%[YymdjGVuwUW%])*\Z")
"""What ``strftime`` makes the same of on every machine, in every language."""

_DATE_PART = re.compile(r"%[^%]")


class TemplateError(ValueError):
    """A template that cannot be used.

    Attributes:
        message, hint: What is wrong and what would be right.
        start, end: Offsets into the template's text.
        unknown_field: Whether the trouble is a field that does not exist.
    """

    def __init__(self, message: str, hint: str | None, start: int, end: int, *, unknown_field: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.start, self.end = message, hint, start, end
        self.unknown_field = unknown_field


@dataclass(frozen=True)
class Template:
    """A checked template.

    Attributes:
        text: As written.
        fields: The fields it uses.
    """

    text: str
    fields: frozenset[str]

    @property
    def is_jinja(self) -> bool:
        return _is_jinja(self.text)

    def render(self, values: Mapping[str, object]) -> str:
        """Fill in the fields. A field that is missing or ``None`` gives the empty string.

        Raises:
            ValueError: A format does not fit its value, a Jinja2 expression fails, or the text is too long.
        """
        present = {name: "" if values.get(name) is None else values[name] for name in self.fields}
        if self.is_jinja:
            texts = {name: str(value) if isinstance(value, date) else value for name, value in present.items()}
            return expressions.render(self._tree, texts)
        # A missing number has no digits to format: it is empty, whatever the format says.
        parts = []
        for literal, name, spec, _ in string.Formatter().parse(self.text):
            parts.append(literal)
            if name is not None:
                value = present[name]
                parts.append("" if value == "" else format(value, spec or ""))
        text = "".join(parts)
        if len(text) > expressions.LONGEST:
            raise ValueError(f"it makes more than {expressions.LONGEST:,} characters")
        return text

    @cached_property
    def _tree(self) -> JinjaTree:
        return expressions.environment().parse(self.text)


def _is_jinja(text: str) -> bool:
    return "{{" in text or "{%" in text


def parse(text: str, fields: Mapping[str, object]) -> Template:
    """Check a template against the fields that there are.

    Args:
        fields: An example value of every field, of the type that its values have.

    Raises:
        TemplateError: It does not parse, uses what is not allowed, names a field that does not exist, or formats one in
            a way that its values do not take.
    """
    used = _fields_of_jinja(text, fields) if _is_jinja(text) else _fields_of_plain(text, fields)
    if not used:
        hint = did_you_mean("", fields, what="use one of")
        raise TemplateError("the template holds no field, so every name would be the same", hint, 0, len(text))
    return Template(text, frozenset(used))


def _fields_of_plain(text: str, fields: Mapping[str, object]) -> set[str]:
    used: set[str] = set()
    position = 0
    while position < len(text):
        if text[position] == "}":
            if text[position : position + 2] != "}}":
                raise TemplateError("'}' without '{'", "write '}}' for a brace", position, position + 1)
            position += 2
            continue
        if text[position] != "{":
            position += 1
            continue
        end = text.find("}", position)
        if end < 0:
            raise TemplateError("'{' is never closed", "close the field with '}'", position, len(text))
        used.add(_checked_field(text[position + 1 : end], position + 1, fields))
        position = end + 1
    return used


def _checked_field(inner: str, start: int, fields: Mapping[str, object]) -> str:
    """The field that ``{inner}`` names."""
    name, colon, spec = inner.partition(":")
    end = start + len(inner)
    if "{" in inner:
        raise TemplateError("a field within a field is not allowed", _FORMS, start, end)
    for sign, what in (("!", "a conversion"), (".", "attribute access"), ("[", "indexing")):
        if sign in name:
            raise TemplateError(f"{what} ({inner!r}) is not allowed", _FORMS, start, end)
    if not name:
        raise TemplateError("a field without a name", did_you_mean("", fields, what="name one of"), start - 1, end + 1)
    if name not in fields:
        raise _unknown(name, fields, start)
    if colon:
        _check_format(name, spec, fields[name], end - len(spec), end)
    return name


def _unknown(name: str, fields: Mapping[str, object], start: int) -> TemplateError:
    hint = did_you_mean(name, fields)
    return TemplateError(f"field {name!r} does not exist", hint, start, start + len(name), unknown_field=True)


def _check_format(name: str, spec: str, example: object, start: int, end: int) -> None:
    if isinstance(example, date):
        _check_date_format(name, spec, start, end)
        return
    what = "text" if isinstance(example, str) else "a number"
    hint = "such as {object_name:.8} for text" if what == "text" else "such as {id:06d} for a number"
    if spec[-1:] in _ELSEWHERE:
        raise TemplateError(f"format {spec!r} is not allowed", hint, start, end)
    if _WIDTH.search(spec):
        raise TemplateError(f"format {spec!r} asks for too many characters", hint, start, end)
    try:
        format(example, spec)
    except ValueError:
        raise TemplateError(f"format {spec!r} does not fit {name}, which is {what}", hint, start, end) from None


def _check_date_format(name: str, spec: str, start: int, end: int) -> None:
    hint = f"such as {{{name}:%Y-%m-%d}}, of %Y, %y, %m, %d, %j, %G, %V, %u, %w, %U and %W"
    if not spec or (_DATE_PART.search(spec) and _DATE_FORMAT.match(spec)):
        return
    if wrong := next((part for part in re.findall("%.?", spec) if not _DATE_FORMAT.match(part)), None):
        raise TemplateError(f"format {wrong!r} is not allowed for {name}, which is a day", hint, start, end)
    raise TemplateError(f"format {spec!r} does not fit {name}, which is a day", hint, start, end)


def _fields_of_jinja(text: str, fields: Mapping[str, object]) -> set[str]:
    from jinja2 import TemplateSyntaxError, meta, nodes

    try:
        tree = expressions.environment().parse(text)
    except TemplateSyntaxError as error:
        raise _syntax(error, text) from error
    except RecursionError as error:
        raise TemplateError("Jinja2: nested too deeply", None, 0, len(text)) from error
    except ValueError as error:
        raise TemplateError("Jinja2: a number is too large", None, 0, len(text)) from error
    for kind, table in ((nodes.Filter, expressions.FILTERS), (nodes.Test, expressions.TESTS)):
        for node in tree.find_all(kind):
            if node.name not in table:
                what = kind.__name__.lower()
                hint = did_you_mean(node.name, table)
                raise TemplateError(f"{what} {node.name!r} does not exist", hint, *_occurrence(node.name, text))
    _refuse_reaching_out(tree, text)
    used: set[str] = meta.find_undeclared_variables(tree)
    used |= {node.name for node in tree.find_all(nodes.Name) if node.name in ("self", "loop")}
    for name in sorted(used - set(fields), key=lambda name: _occurrence(name, text)):
        raise _unknown(name, fields, _occurrence(name, text)[0])
    return used


def _refuse_reaching_out(tree: JinjaTree, text: str) -> None:
    """Refuse what looks into values or at other templates."""
    from jinja2 import nodes

    for attribute in tree.find_all(nodes.Getattr):
        at = _occurrence(attribute.attr, text)
        raise TemplateError(f"attribute access (.{attribute.attr}) is not allowed", "use a field and filters", *at)
    for _ in tree.find_all(nodes.Getitem):
        raise TemplateError("indexing is not allowed", "use a field and filters", 0, len(text))
    for _ in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise TemplateError("there are no other templates", "write the template out", 0, len(text))
    for call in tree.find_all(nodes.Call):
        name = getattr(call.node, "name", "")
        raise TemplateError("functions are not allowed", "use a field and filters", *_occurrence(name, text))
    for node in tree.find_all(nodes.Node):
        if type(node).__name__ not in expressions.KNOWN:
            what = type(node).__name__.lower()
            raise TemplateError(f"Jinja2: {what} is not allowed", "use fields, filters, if, for and set", 0, len(text))


def _syntax(error: TemplateSyntaxError, text: str) -> TemplateError:
    return TemplateError(f"Jinja2: {(error.message or 'syntax error').rstrip('.')}", None, 0, len(text))


def _occurrence(name: str, text: str) -> tuple[int, int]:
    """Where a name stands in the code of a Jinja2 template, or the whole template where it is not found."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for code in re.finditer(r"\{\{.*?\}\}|\{%.*?%\}", text, re.DOTALL):
        if found := word.search(text, *code.span()):
            return found.span()
    return 0, len(text)
