"""Offline checks of splits: names, patterns, the split file, runs named twice."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from croissant_recipes import intake
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span
from croissant_recipes.language.check_split_rules import RunChecker, check_name
from croissant_recipes.language.checked import PlacedSelector, RunChoice, SplitFileRow, SplitRule
from croissant_recipes.language.loading import Draft, SourceKinds
from croissant_recipes.language.yaml_nodes import Path
from croissant_recipes.location import is_url
from croissant_recipes.schema import STANDARD_SPLITS

_COLUMNS = ("split", "run")
_COMPARED = 100


@dataclass(frozen=True)
class CheckedSplits:
    assign: tuple[SplitRule, ...]
    rows: tuple[SplitFileRow, ...]
    unassign: tuple[RunChoice, ...]


def check(draft: Draft, kinds: SourceKinds, of_layers: Sequence[SplitRule]) -> tuple[CheckedSplits, list[Diagnostic]]:
    """Check ``splits:``, its file included, against itself and the layers' own rules."""
    splits, document = draft.splits, draft.document
    runs = RunChecker(document, kinds, _bringing(draft), "the layers bring")
    found = runs.found
    assign = runs.rules(splits.assign, ("splits", "assign"))
    rows: tuple[SplitFileRow, ...] = ()
    if splits.file is not None:
        rows, more = _read_file(draft, splits.file)
        found += more
        found += _replaced(draft, rows)
        rows = tuple(row for row in rows if row.split not in splits.assign)
    found += _twice([*of_layers, *assign], rows)
    found += _misspelt(draft, rows)
    if splits.random is not None:
        for name in splits.random.ratios or ():
            found += check_name(name, document.key_span("splits", "random", "ratios", name))
        if splits.random.group is not None:
            found += _check_group(runs, splits.random.group)
    unassign = runs.choices(splits.unassign, ("splits", "unassign")) if splits.unassign is not None else ()
    return CheckedSplits(assign, rows, unassign), found


def _bringing(draft: Draft) -> Collection[str]:
    """The sources that layers bring runs of. A layer that is wrong may bring those of any."""
    used = {source for layer in draft.layers if layer for source in layer.sources}
    return used if all(draft.layers) else used | draft.sources.keys()


def _check_group(runs: RunChecker, text: str) -> list[Diagnostic]:
    path: Path = ("splits", "random", "group")
    document = runs.document
    if not text.startswith("re:"):
        hint = "such as 're:(.*)_[0-9]+'; runs whose first group is equal stay together"
        message = f"{text!r} is no regular expression: it does not start with 're:'"
        return [Diagnostic(Code.VALUE, message, span=document.value_span(*path), hint=hint)]
    if text == "re:*":
        # As a selector it stands for everything, and no expression is looked for in it.
        message = f"{text!r} is no regular expression: nothing stands before '*' that it could repeat"
        hint = "leave it out, so that each run is a group of its own; or write 're:(.*)_[0-9]+'"
        return [Diagnostic(Code.VALUE, message, span=document.value_span(*path), hint=hint)]
    runs.pattern(text, path)
    return []


def _misspelt(draft: Draft, rows: Sequence[SplitFileRow]) -> Iterator[Diagnostic]:
    """Split names that are a slip away from one that everybody knows, or from another of the recipe."""
    document, splits = draft.document, draft.splits
    named = [(name, document.key_span("splits", "assign", name)) for name in splits.assign]
    if splits.random is not None:
        named += [(name, document.key_span("splits", "random", "ratios", name)) for name in splits.random.ratios or ()]
    for i, layer in enumerate(draft.layers):
        named += [(name, document.key_span("layers", i, "split", name)) for name in (layer.split if layer else ())]
    named += [(row.split, row.span) for row in rows]
    first: dict[str, Span] = {}
    for name, span in named:
        first.setdefault(name, span)
    earlier: list[str] = []
    for name, span in first.items():
        standard = () if name.casefold() in STANDARD_SPLITS else STANDARD_SPLITS
        near = [n for n in (*standard, *earlier) if _is_slip(name, n)]
        if near:
            message = f"split name {name!r} is nearly {near[0]!r}"
            hint = f"write {near[0]!r}, or a name less like it if another split is meant"
            yield Diagnostic(Code.SPLIT_LIKE_ANOTHER, message, Severity.WARNING, hint, span)
        elif len(earlier) < _COMPARED:
            # Whoever has more names did not write them by hand.
            earlier.append(name)


def _is_slip(name: str, meant: str) -> bool:
    """Whether a name is another one with two neighbouring letters exchanged, or a letter more or less inside, or
    other capitals. A letter more at the end or another one in its place may well tell two splits apart."""
    a, b = name.casefold(), meant.casefold()
    if a == b:
        return name != meant
    if len(a) == len(b):
        i = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
        return a[:i] + a[i : i + 2][::-1] + a[i + 2 :] == b
    short, long = sorted((a, b), key=len)
    inside = (i for i in range(len(long) - 1) if long[i].isalpha())
    return len(short) > 2 and any(long[:i] + long[i + 1 :] == short for i in inside)


def _replaced(draft: Draft, rows: Sequence[SplitFileRow]) -> Iterator[Diagnostic]:
    """Splits that both ``assign`` and the file have: the file's lines of those do not count, as with copick's flags."""
    for split in draft.splits.assign:
        lines = sum(row.split == split for row in rows)
        if lines:
            message = f"assign replaces the split {split!r} of {draft.splits.file} ({lines} line{'s' * (lines > 1)})"
            span = draft.document.key_span("splits", "assign", split)
            hint = "to add runs to those of the file, write them there"
            yield Diagnostic(Code.SPLIT_REPLACED, message, Severity.INFO, hint, span)


def _twice(rules: Sequence[SplitRule], rows: Sequence[SplitFileRow]) -> list[Diagnostic]:
    """Runs that stand in two splits word for word. What patterns match is for the plan, which knows the runs."""
    patterns = ((rule.split, rule.runs) for rule in rules if isinstance(rule.runs, PlacedSelector))
    named = [(pattern.text.strip(), split, pattern.span) for split, pattern in patterns if _is_name(pattern)]
    named += [(row.run, row.split, row.span) for row in rows]
    first: dict[str, tuple[str, Span]] = {}
    found = []
    for run, split, span in named:
        earlier, at = first.setdefault(run, (split, span))
        if earlier != split:
            message = f"{run!r} is in the splits {earlier!r} and {split!r}"
            hint = f"a run has one split; the other is at line {at.line}" + (f" of {at.file}" * (at.file != span.file))
            found.append(Diagnostic(Code.SPLIT_CONFLICT, message, span=span, hint=hint))
    return found


def _is_name(pattern: PlacedSelector) -> bool:
    """Whether it can be nothing but one run. The same pattern in two layers is about the runs of each."""
    return bool(pattern.selector.parts) and all(part.is_exact for _, part in pattern.selector.parts)


def _read_file(draft: Draft, name: str) -> tuple[tuple[SplitFileRow, ...], list[Diagnostic]]:
    """The rows of a split file. A row that is wrong is reported where it stands in that file."""
    in_recipe = draft.document.value_span("splits", "file")

    def refuse(message: str, hint: str, span: Span = in_recipe) -> tuple[tuple[SplitFileRow, ...], list[Diagnostic]]:
        return (), [Diagnostic(Code.SPLIT_FILE, message, span=span, hint=hint)]

    if is_url(name):
        return refuse(f"{name} is no local file", "keep the split file beside the recipe")
    path = draft.path.parent / name
    try:
        lines = re.split("\r\n|\r|\n", draft.files.read(path, intake.DOCUMENT_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError:
        return refuse(f"{name} is not UTF-8", "save it as UTF-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        start = "recipe file" if in_recipe.file == draft.document.file else "fragment"
        return refuse(f"{name}: {reason}", f"the path is relative to the {start}")
    header, found = _cells(lines[0], Span(str(path), 1, 1))
    missing = [column for column in _COLUMNS if column not in header]
    if missing and not found:
        hint = "begin it with the line `split,run`"
        return refuse(f"there is no column {missing[0]!r}", hint, Span(str(path), 1, 1))
    return ((), found) if found else _rows(str(path), header, lines[1:])


def _cells(line: str, span: Span) -> tuple[list[str], list[Diagnostic]]:
    """The cells of one line. A line at a time, so that an error can name it: a quoted cell cannot span two."""
    try:
        return next(csv.reader([line], strict=True), []), []
    except csv.Error as error:
        unclosed = "unexpected end of data" in str(error)
        message = "a quote is never closed" if unclosed else f"the line is no CSV: {error}"
        hint = "close it on the same line; a quote in a name is written twice"
        return [], [Diagnostic(Code.SPLIT_FILE, message, span=span, hint=hint)]


def _rows(file: str, header: Sequence[str], lines: Sequence[str]) -> tuple[tuple[SplitFileRow, ...], list[Diagnostic]]:
    rows: list[SplitFileRow] = []
    found: list[Diagnostic] = []
    for number, line in enumerate(lines, start=2):
        span = Span(file, number, 1)
        row, problems = _cells(line, span)
        found += problems
        if not any(row):
            continue
        if len(row) != len(header):
            message = f"the header has {len(header)} cells, and the line {len(row)}"
            hint = (
                "put a name that holds ',' in quotes" if len(row) > len(header) else "give the line a cell per column"
            )
            found.append(Diagnostic(Code.SPLIT_FILE, message, span=span, hint=hint))
            continue
        split, run = (row[header.index(column)] for column in _COLUMNS)
        if not run:
            found.append(Diagnostic(Code.SPLIT_FILE, "the line names no run", span=span, hint="such as `train,TS_001`"))
            continue
        found += check_name(split, span)
        rows.append(SplitFileRow(split, run, span))
    return tuple(rows), found
