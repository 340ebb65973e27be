"""Parameters: declared with a default, overridden with ``--set``, used as ``${name}`` in any text value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean
from croissant_recipes.language.yaml_nodes import Document, Path, Place, plain_value

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"

_NAME = re.compile(NAME + r"\Z")
_USE = re.compile(r"(?P<literal>\$\$\{)|\$\{(?P<name>[^{}]*)(?P<close>\}?)")


@dataclass(frozen=True)
class _Param:
    value: object
    text: str


@dataclass(frozen=True)
class _Piece:
    """A part of a filled-in text: ``text`` stands for what the raw text has from ``start`` to ``end``."""

    text: str
    start: int
    end: int
    copied: bool = False
    known: bool = True


def substitute(document: Document, overrides: Mapping[str, str]) -> tuple[Document, list[Diagnostic]]:
    """Fill in the parameters. The values filled in are never read as YAML again.

    A value that is nothing but ``${name}`` takes the parameter's type; inside a longer text its spelling is used, so
    ``wbp@${voxel}`` says ``wbp@13.480`` when that is how the parameter was written.
    """
    filler = _Filler(document, overrides)
    if not isinstance(document.value, dict):
        return document, []
    filler.declare(document.value.get("params", {}))
    rest = {key: child for key, child in document.value.items() if key != "params"}
    filled = {key: filler.fill(child, (key,)) for key, child in rest.items()}
    filler.report_keys(rest)
    filler.report_unused()
    # In the file's order: later stages go through the keys as they stand.
    value = {key: filled.get(key, child) for key, child in document.value.items()}
    return replace(document, value=value, places=filler.places), filler.diagnostics


class _Filler:
    def __init__(self, document: Document, overrides: Mapping[str, str]) -> None:
        self.document = document
        self.overrides = overrides
        self.places = dict(document.places)
        self.params: dict[str, _Param | None] = {}
        """By name; ``None`` where the declaration is wrong, so that its uses are not reported too."""
        self.declared_well = True
        self.used: set[str] = set()
        self.diagnostics: list[Diagnostic] = []

    # Declarations

    def declare(self, declared: object) -> None:
        self.declared_well = isinstance(declared, dict)
        table = declared if isinstance(declared, dict) else {}
        for name, default in table.items():
            self.params[name] = self._declared(name, default)
        for name in self.overrides:
            if name not in table:
                hint = did_you_mean(name, table, what="it declares") or "declare it under `params:` with its default"
                message = f"--set names parameter {name!r}, which the recipe does not declare"
                self._report(Code.PARAM_UNKNOWN, message, self.document.key_span("params"), hint)

    def _declared(self, name: str, default: object) -> _Param | None:
        if not _NAME.match(name):
            hint = "use letters, digits, '-' and '_', beginning with a letter"
            message = f"{name!r} is no name for a parameter"
            self._report(Code.PARAM_VALUE, message, self.document.key_span("params", name), hint)
            return None
        if not isinstance(default, str | int | float):
            return None  # The model says what a default can be.
        text = self.document.place(("params", name)).literal or ""
        if isinstance(default, str):
            if use := next((m for m in _USE.finditer(default) if not m["literal"]), None):
                self.used.add(use["name"])
                span = self.document.part_span(("params", name), *use.span())
                message = "a parameter cannot use another parameter"
                self._report(Code.PARAM_VALUE, message, span, "write its value out, or '$${' for a literal '${'")
                return None
            default = text = default.replace("$${", "${")
        return self._overridden(name, _Param(default, text))

    def _overridden(self, name: str, default: _Param) -> _Param:
        if name not in self.overrides:
            return default
        text = self.overrides[name]
        if not _is_text(text):
            hint = "write it in UTF-8, without NUL"
            message = f"--set {name}: the value is no text"
            self._report(Code.PARAM_VALUE, message, self.document.value_span("params", name), hint)
            return default
        if isinstance(default.value, str):
            return _Param(text, text)
        value = plain_value(text)
        wants_bool = isinstance(default.value, bool)
        if isinstance(value, bool) is not wants_bool or not isinstance(value, bool | int | float):
            expected = "true or false" if wants_bool else "a number"
            message = f"--set {name}={text}: the parameter takes {expected}"
            hint = f"its default is {default.text}"
            self._report(Code.PARAM_VALUE, message, self.document.value_span("params", name), hint)
            return default
        return _Param(value, text)

    # Uses

    def fill(self, value: object, path: Path) -> object:
        if isinstance(value, dict):
            return {key: self.fill(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self.fill(child, (*path, i)) for i, child in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._fill_text(value, path)
        return value

    def _fill_text(self, text: str, path: Path) -> object:
        place = self.places[path]
        whole = _USE.fullmatch(text)
        if whole and whole["close"]:
            param = self._lookup(whole, path)
            value = param.value if param else text
            pieces = [_Piece(param.text if param else text, 0, len(text), known=param is not None)]
            place = replace(place, parameter=whole["name"])
        else:
            pieces = list(self._pieces(text, path))
            value = "".join(p.text for p in pieces)
        self.places[path] = replace(_moved(place, pieces), unresolved=not all(p.known for p in pieces))
        return value

    def _pieces(self, text: str, path: Path) -> list[_Piece]:
        pieces, done = [], 0
        for use in _USE.finditer(text):
            pieces.append(_Piece(text[done : use.start()], done, use.start(), copied=True))
            done, param = use.end(), None
            if use["literal"]:
                param = _Param("${", "${")
            elif use["close"]:
                param = self._lookup(use, path)
            else:
                hint = "write '${name}', or '$${' for a literal '${'"
                self._report(Code.PARAM_UNKNOWN, "'${' is never closed", self._span(path, use), hint)
            filled = param.text if param else use.group()
            pieces.append(_Piece(filled, *use.span(), known=param is not None))
        return [*pieces, _Piece(text[done:], done, len(text), copied=True)]

    def _lookup(self, use: re.Match[str], path: Path) -> _Param | None:
        name = use["name"]
        self.used.add(name)
        if not name:
            form = "write '${name}', or '$${' for a literal '${'"
            self._report(Code.PARAM_UNKNOWN, "'${}' names no parameter", self._span(path, use), form)
        elif name not in self.params and self.declared_well:
            hint = did_you_mean(name, self.params, what="declared are")
            if hint is None and _NAME.match(name):
                hint = f"declare it with its default: `params: {{{name}: …}}`"
            self._report(Code.PARAM_UNKNOWN, f"parameter {name!r} is not declared", self._span(path, use), hint)
        return self.params.get(name)

    def _span(self, path: Path, use: re.Match[str]) -> Span:
        return self.document.part_span(path, *use.span())

    # What is left over

    def report_keys(self, value: object, path: Path = ()) -> None:
        """Parameters in keys, where they are not filled in."""
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            here = (*path, key)
            if isinstance(key, str) and (use := _USE.search(key)) and use["close"]:
                self.used.add(use["name"])
                message = f"{use.group()!r} stands in a key, and parameters are filled in only in values"
                self._report(Code.PARAM_VALUE, message, self.document.key_span(*here), "write the key out")
            self.report_keys(child, here)

    def report_unused(self) -> None:
        for name, param in self.params.items():
            if param is not None and name not in self.used:
                message = f"parameter {name!r} is declared and never used"
                hint = f"use it as ${{{name}}}, or remove it"
                self._report(Code.PARAM_UNUSED, message, self.document.key_span("params", name), hint)

    def _report(self, code: Code, message: str, span: Span, hint: str | None) -> None:
        self.diagnostics.append(Diagnostic(code, message, span=span, hint=hint))


def _is_text(value: str) -> bool:
    """Whether a value of the command line, which can be any bytes, is text that a file can hold and be named by."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _moved(place: Place, pieces: list[_Piece]) -> Place:
    """The place of a filled-in text: every character that a parameter gave stands where the parameter is used."""
    text = "".join(p.text for p in pieces)
    if not place.starts or not place.ends:
        return replace(place, literal=text)
    starts: list[int] = []
    ends: list[int] = []
    for piece in pieces:
        if piece.copied:
            starts += place.starts[piece.start : piece.end]
            ends += place.ends[piece.start : piece.end]
        else:
            starts += [place.starts[piece.start]] * len(piece.text)
            ends += [place.ends[piece.end - 1]] * len(piece.text)
    return replace(place, literal=text, starts=starts, ends=ends)
