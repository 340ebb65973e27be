"""Templates of session ids and run names: ``{field}``, ``{field:format}``, or Jinja2 in its sandbox.

Plain templates are those of ``str.format`` without attribute access, indexing, conversions or nested fields. A template
that holds ``{{`` or ``{%`` is a Jinja2 template over the same fields.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from croissant_recipes.diagnostics import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template as JinjaTemplate
    from jinja2.sandbox import SandboxedEnvironment

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SPEC = re.compile(r"(.?[<>=^])?[ +-]?z?#?0?\d*[_,]?(\.\d+)?[a-zA-Z%]?\Z")


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
            ValueError: A format does not fit its value, or a Jinja2 expression fails.
        """
        present = {name: "" if values.get(name) is None else values[name] for name in self.fields}
        if self.is_jinja:
            return self._render_jinja(present)
        # A missing number has no digits to format: it is empty, whatever the format says.
        parts = []
        for literal, name, spec, _ in string.Formatter().parse(self.text):
            parts.append(literal)
            if name is not None:
                value = present[name]
                parts.append("" if value == "" else format(value, spec or ""))
        return "".join(parts)

    def _render_jinja(self, values: Mapping[str, object]) -> str:
        from jinja2 import TemplateError as JinjaError

        try:
            return self._compiled.render(values)
        except JinjaError as error:
            raise ValueError(str(error)) from error
        except (ArithmeticError, TypeError, AttributeError, LookupError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    @cached_property
    def _compiled(self) -> JinjaTemplate:
        return _environment().from_string(self.text)


def _is_jinja(text: str) -> bool:
    return "{{" in text or "{%" in text


def parse(text: str, fields: Collection[str]) -> Template:
    """Check a template against the fields that there are.

    Raises:
        TemplateError: It does not parse, uses what is not allowed, or names a field that does not exist.
    """
    return _parse_jinja(text, fields) if _is_jinja(text) else _parse_plain(text, fields)


def _parse_plain(text: str, fields: Collection[str]) -> Template:
    used: set[str] = set()
    position = 0
    while position < len(text):
        char = text[position]
        if char == "}":
            if text[position : position + 2] != "}}":
                raise TemplateError("'}' without '{'", "write '}}' for a brace", position, position + 1)
            position += 2
            continue
        if char != "{":
            position += 1
            continue
        end = text.find("}", position)
        if end < 0:
            raise TemplateError("'{' is never closed", "close the field with '}'", position, len(text))
        _check_field(text[position + 1 : end], position + 1, fields)
        used.add(re.split(r"[:]", text[position + 1 : end], maxsplit=1)[0])
        position = end + 1
    if not used:
        raise TemplateError(
            "the template holds no field, so every name would be the same",
            did_you_mean("", fields, what="use one of"),
            0,
            len(text),
        )
    return Template(text, frozenset(used))


def _check_field(inner: str, start: int, fields: Collection[str]) -> None:
    name, colon, spec = inner.partition(":")
    end = start + len(inner)
    if "{" in inner:
        raise TemplateError("a field within a field is not allowed", "write only {field} or {field:format}", start, end)
    for sign, what in (("!", "a conversion"), (".", "attribute access"), ("[", "indexing")):
        if sign in name:
            raise TemplateError(
                f"{what} ({inner!r}) is not allowed", "write only {field} or {field:format}", start, end
            )
    if not name:
        raise TemplateError("an empty field", did_you_mean("", fields, what="name one of"), start - 1, start + 1)
    if name not in fields:
        raise TemplateError(
            f"field {name!r} does not exist", did_you_mean(name, fields), start, start + len(name), unknown_field=True
        )
    if colon and not _SPEC.match(spec):
        raise TemplateError(
            f"format {spec!r} is not a format", "such as {id:06d} or {name:.8}", start + len(name) + 1, end
        )


def _parse_jinja(text: str, fields: Collection[str]) -> Template:
    from jinja2 import TemplateSyntaxError, meta, nodes

    environment = _environment()
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"Jinja2: {error.message}", None, 0, len(text)) from error
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        accessed = getattr(node, "attr", "[…]")
        what = "indexing" if isinstance(node, nodes.Getitem) else f"attribute access (.{accessed})"
        raise TemplateError(f"{what} is not allowed", "use the fields themselves and filters", 0, len(text))
    used = meta.find_undeclared_variables(tree)
    for name in sorted(used - set(fields)):
        start = max(text.find(name), 0)
        raise TemplateError(
            f"field {name!r} does not exist", did_you_mean(name, fields), start, start + len(name), unknown_field=True
        )
    if not used:
        raise TemplateError("the template holds no field, so every name would be the same", None, 0, len(text))
    for name in _unknown_filters(tree):
        raise TemplateError(f"filter {name!r} does not exist", did_you_mean(name, environment.filters), 0, len(text))
    return Template(text, frozenset(used))


def _unknown_filters(tree: object) -> list[str]:
    from jinja2 import nodes

    assert isinstance(tree, nodes.Template)
    return sorted({f.name for f in tree.find_all(nodes.Filter) if f.name not in _environment().filters})


@cache
def _environment() -> SandboxedEnvironment:
    """The sandbox: immutable, without globals, and without a filter that draws lots."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment()
    environment.globals.clear()
    environment.filters.pop("random", None)
    return environment
