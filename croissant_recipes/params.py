"""Parameters: declared with a default, overridden with ``--set``, used as ``${name}`` in any text value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, did_you_mean
from croissant_recipes.yaml_nodes import Document, Path, plain_value

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_USE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")


@dataclass(frozen=True)
class _Param:
    value: object
    text: str


def substitute(document: Document, overrides: Mapping[str, str]) -> tuple[Document, list[Diagnostic]]:
    """Fill in the parameters. The values filled in are never read as YAML again.

    A value that is nothing but ``${name}`` takes the parameter's type; inside a longer text its spelling is used, so
    ``wbp@${voxel}`` says ``wbp@13.480`` when that is how the parameter was written.
    """
    filler = _Filler(document, overrides)
    if not isinstance(document.value, dict):
        return document, []
    filler.declare(document.value.get("params", {}))
    value = {key: child if key == "params" else filler.fill(child, (key,)) for key, child in document.value.items()}
    filler.report_unused()
    return replace(document, value=value, places=filler.places), filler.diagnostics


class _Filler:
    def __init__(self, document: Document, overrides: Mapping[str, str]) -> None:
        self.document = document
        self.overrides = overrides
        self.places = dict(document.places)
        self.params: dict[str, _Param] = {}
        self.used: set[str] = set()
        self.diagnostics: list[Diagnostic] = []

    def declare(self, declared: object) -> None:
        table = declared if isinstance(declared, dict) else {}
        for name, default in table.items():
            place = self.document.place(("params", name))
            if not _NAME.match(name):
                self._report(
                    Code.PARAM_VALUE,
                    f"{name!r} is no name for a parameter",
                    ("params", name),
                    "use letters, digits, '-' and '_', starting with a letter",
                )
            elif isinstance(default, str | int | float):
                if isinstance(default, str) and _USE.search(default):
                    self._report(
                        Code.PARAM_VALUE,
                        "a default cannot use another parameter",
                        ("params", name),
                        "write the value out",
                    )
                text = place.literal if place.literal is not None else str(default)
                self.params[name] = self._override(name, _Param(default, text))
        for name in self.overrides:
            if name not in table:
                self.diagnostics.append(
                    Diagnostic(
                        Code.PARAM_UNKNOWN,
                        f"--set names parameter {name!r}, which the recipe does not declare",
                        hint=did_you_mean(name, table, what="it declares")
                        or "declare it under `params:` with its default",
                    )
                )

    def _override(self, name: str, default: _Param) -> _Param:
        if name not in self.overrides:
            return default
        text = self.overrides[name]
        if isinstance(default.value, str):
            return _Param(text, text)
        value = plain_value(text)
        wants_bool = isinstance(default.value, bool)
        if isinstance(value, bool) is not wants_bool or not isinstance(value, bool | int | float):
            expected = "true or false" if wants_bool else "a number"
            self.diagnostics.append(
                Diagnostic(
                    Code.PARAM_VALUE,
                    f"--set {name}={text}: the parameter takes {expected}",
                    hint=f"its default is {default.text}",
                )
            )
            return default
        return _Param(value, text)

    def fill(self, value: object, path: Path) -> object:
        if isinstance(value, dict):
            return {key: self.fill(child, (*path, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self.fill(child, (*path, i)) for i, child in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._fill_text(value, path)
        return value

    def _fill_text(self, text: str, path: Path) -> object:
        whole = _USE.fullmatch(text)
        if whole and whole.group(1) is not None and whole.group(2):
            param = self._lookup(whole.group(1), path, whole.start(), whole.end())
            self.places[path] = replace(self.places[path], verbatim=False, literal=param.text if param else text)
            return param.value if param else text

        def use(match: re.Match[str]) -> str:
            if match.group(0) == "$${":
                return "${"
            if not match.group(2):
                self._report(
                    Code.PARAM_UNKNOWN,
                    "'${' is never closed",
                    path,
                    "write '${name}', or '$${' for a literal '${'",
                    match.span(),
                )
                return match.group(0)
            param = self._lookup(match.group(1), path, *match.span())
            return param.text if param else match.group(0)

        filled = _USE.sub(use, text)
        self.places[path] = replace(self.places[path], verbatim=False, literal=filled)
        return filled

    def _lookup(self, name: str, path: Path, start: int, end: int) -> _Param | None:
        param = self.params.get(name)
        if param is None:
            self._report(
                Code.PARAM_UNKNOWN,
                f"parameter {name!r} is not declared",
                path,
                did_you_mean(name, self.params, what="declared are") or f"declare it: `params: {{{name}: …}}`",
                (start, end),
            )
        self.used.add(name)
        return param

    def report_unused(self) -> None:
        for name in self.params:
            if name not in self.used:
                self.diagnostics.append(
                    Diagnostic(
                        Code.PARAM_UNUSED,
                        f"parameter {name!r} is declared and never used",
                        span=self.document.key_span("params", name),
                        hint=f"use it as ${{{name}}}, or remove it",
                    )
                )

    def _report(
        self, code: Code, message: str, path: Path, hint: str | None, part: tuple[int, int] | None = None
    ) -> None:
        span = self.document.part_span(path, *part) if part else self.document.value_span(*path)
        self.diagnostics.append(Diagnostic(code, message, span=span, hint=hint))
