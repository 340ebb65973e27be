"""What the compiler has to say about a recipe: values with a code and a place, never printed from here."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.location import without_credentials
from croissant_recipes.shown import printable, shown

_PLAIN = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_][\w.-]*", re.ASCII)
"""A text that needs no quotes in a YAML list."""


class Severity(StrEnum):
    """How much a diagnostic matters. Only an ``error`` stops a build."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class _Rank(IntEnum):
    error = 0
    warning = 1
    info = 2


@dataclass(frozen=True, order=True)
class Span:
    """A place in a text file. ``line`` and ``column`` count from 1; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int | None = field(default=None, compare=False)
    end_column: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Paint = Callable[[str, str], str]
"""Colours a text for its role: ``error``, ``warning``, ``info``, or ``+``, ``-`` and ``~`` for what comes, goes and
changes."""


def plain(text: str, role: str) -> str:  # noqa: ARG001 - one of several
    """No colours."""
    return text


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    Attributes:
        code: The stable code; ``docs/errors.md`` explains each.
        message: What is wrong, in one sentence.
        hint: What would be right, where the compiler can tell.
        span: Where in the recipe, where it is the recipe that is wrong.
        notes: Further facts, one a line (the two rows of a collision, say).
        shown_notes: How many of these a text shows where there may be very many; ``None`` for all. JSON has all.
        key: Below the entry of a source, what it is about: a source knows what the recipe says of it, and not where.
    """

    code: Code
    message: str
    severity: Severity = Severity.ERROR
    hint: str | None = None
    span: Span | None = None
    notes: tuple[str, ...] = ()
    shown_notes: int | None = field(default=None, kw_only=True)
    key: tuple[str | int, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        # Whatever the text is made of: no finding tells a password.
        for name in ("message", "hint"):
            if text := getattr(self, name):
                object.__setattr__(self, name, without_credentials(text))
        object.__setattr__(self, "notes", tuple(map(without_credentials, self.notes)))

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def as_error(self) -> Diagnostic:
        """The same finding as an error, for ``--strict``."""
        return replace(self, severity=Severity.ERROR)

    def to_json(self) -> dict[str, object]:
        """The record behind ``--format json``."""
        span = self.span
        return {
            "code": self.code.value,
            "name": self.code.title,
            "severity": self.severity.value,
            "message": self.message,
            "hint": self.hint,
            "file": span.file if span else None,
            "line": span.line if span else None,
            "column": span.column if span else None,
            "end_line": span.end_line if span else None,
            "end_column": span.end_column if span else None,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return self.text()

    def text(self, paint: Paint = plain) -> str:
        """All of it, the severity and notes of what comes and goes in the colours of ``paint``."""
        where = f"{shown(str(self.span))}: " if self.span else ""
        severity = self.severity.value
        lines = [f"{where}{paint(f'{severity}[{self.code.value}]', severity)}: {shown(self.message)}"]
        told = self.notes[: self.shown_notes]
        lines += [f"  {paint(shown(note), note[:1] if note[1:2] == ' ' else '')}" for note in told]
        if len(told) < len(self.notes):
            lines.append(f"  and {len(self.notes) - len(told):,} more, all of which --format json shows")
        if self.hint:
            lines.append(f"  hint: {shown(self.hint)}")
        return "\n".join(lines)


class DiagnosticError(ValueError):
    """Carries diagnostics out of a place that cannot go on, to the one place that reports them.

    A ``ValueError``, as what copick raises for the same mistakes is one. Where both can come, it is caught first.
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = diagnostics


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted as a reader goes through the file, the same whatever order they were found in, each once."""

    def key(d: Diagnostic) -> tuple[object, ...]:
        span = d.span
        place = (0, span.file, span.line, span.column) if span else (1, "", 0, 0)
        return (*place, _Rank[d.severity.value], d.code.value, d.message, d.notes)

    return tuple(sorted(dict.fromkeys(diagnostics), key=key))


def errors(diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    return (d for d in diagnostics if d.is_error)


def exit_code(diagnostics: Iterable[Diagnostic]) -> ExitCode:
    """The exit code of a process that found these."""
    return ExitCode.first(d.code.exit_code for d in errors(diagnostics))


_LONGEST_NAME = 300


def nearest(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """The names most like ``name``, best first; ties in alphabetical order."""
    # What is longer than any name is like none, and takes long to be compared.
    name = name[:_LONGEST_NAME]
    pool = sorted(n for n in set(names) if len(n) <= _LONGEST_NAME)
    folded: dict[str, list[str]] = {}
    for n in pool:
        folded.setdefault(n.casefold(), []).append(n)
    close = difflib.get_close_matches(name.casefold(), folded, n=limit, cutoff=0.6)
    found = [n for c in close for n in folded[c]]
    found += [n for n in pool if n not in found and name and (name.casefold() in n.casefold())]
    return found[:limit]


def listing(names: Iterable[str], limit: int = 8) -> str:
    """``'a', 'b' and 3 more``."""
    pool = list(names)
    shown = [repr(n) for n in pool[:limit]]
    if len(pool) > limit:
        return ", ".join(shown) + f" and {len(pool) - limit} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


NOTHING = "(none)"
"""What messages say for a missing value."""


def key_text(values: Iterable[object]) -> str:
    """The key of a row; what is missing in it is said, as a key may lack a part."""
    return ", ".join(NOTHING if v is None or v != v or v == "" else str(v) for v in values)


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def list_instead(text: str, known: Callable[[str], bool] = bool) -> str | None:
    """A hint that writes a text with commas as the list that was meant, where a part of it is ``known``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 or not all(parts) or text.startswith("re:") or not any(map(known, parts)):
        return None
    return f"a list is written [{', '.join(map(as_yaml, parts))}]"


def as_yaml(text: str) -> str:
    """A text as a key or in a list of YAML, with escapes for what could control a terminal."""
    return text if _PLAIN.fullmatch(text) else printable(json.dumps(text, ensure_ascii=False))


def did_you_mean(name: str, names: Sequence[str] | Iterable[str], *, what: str = "there are") -> str | None:
    """A hint that names the nearest names or, where none is near, what there is."""
    pool = sorted(set(names))
    close = nearest(name, pool)
    if close:
        return "did you mean " + " or ".join(repr(n) for n in close) + "?"
    return f"{what} {listing(pool)}" if pool else None
