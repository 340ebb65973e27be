"""Offline checks of splits: names, patterns, the split file, runs named twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from croissant_recipes import selectors
from croissant_recipes.checked import PlacedSelector, SplitFileRow, SplitRule
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span, did_you_mean
from croissant_recipes.loading import Draft
from croissant_recipes.yaml_nodes import Document, Path

_COLUMNS = ("split", "run")


@dataclass(frozen=True)
class CheckedSplits:
    assign: tuple[SplitRule, ...]
    rows: tuple[SplitFileRow, ...]
    unassign: tuple[PlacedSelector, ...]


def check(draft: Draft) -> tuple[CheckedSplits, list[Diagnostic]]:
    """Check ``splits:``, its file included."""
    splits, document = draft.splits, draft.document
    assign, found = split_rules(document, splits.assign, ("splits", "assign"))
    found += _twice(assign)
    rows: tuple[SplitFileRow, ...] = ()
    if splits.file is not None:
        rows, more = _read_file(draft, splits.file)
        found += more
    if splits.random is not None:
        for name in splits.random.ratios:
            found += _check_name(name, document.key_span("splits", "random", "ratios", name))
        if splits.random.group is not None:
            found += _check_group(document, splits.random.group)
    unassign: list[PlacedSelector] = []
    for path, text in _texts(splits.unassign, ("splits", "unassign")):
        pattern, more = _pattern(document, text, path)
        found += more
        unassign += [pattern] if pattern else []
    return CheckedSplits(assign, rows, tuple(unassign)), found


def split_rules(
    document: Document, assigned: Mapping[str, str | tuple[str, ...]], where: Path
) -> tuple[tuple[SplitRule, ...], list[Diagnostic]]:
    """The rules of a mapping of split names to runs."""
    rules: list[SplitRule] = []
    found: list[Diagnostic] = []
    for split, runs in assigned.items():
        found += _check_name(split, document.key_span(*where, split))
        for path, text in _texts(runs, (*where, split)):
            pattern, problems = _pattern(document, text, path)
            found += problems
            rules += [SplitRule(split, pattern)] if pattern else []
    return tuple(rules), found


def _texts(value: str | tuple[str, ...] | None, path: Path) -> list[tuple[Path, str]]:
    if value is None:
        return []
    return [(path, value)] if isinstance(value, str) else [((*path, i), text) for i, text in enumerate(value)]


def _pattern(document: Document, text: str, path: Path) -> tuple[PlacedSelector | None, list[Diagnostic]]:
    place = document.place(path)
    try:
        return PlacedSelector(selectors.parse("runs", text), place.value), []
    except selectors.SelectorError as error:
        span = place.at(error.start, error.end)
        return None, [Diagnostic(Code.SELECTOR, f"{text!r}: {error.message}", span=span, hint=error.hint)]


def _check_group(document: Document, text: str) -> list[Diagnostic]:
    path: Path = ("splits", "random", "group")
    if not text.startswith("re:"):
        hint = "such as 're:(.*)_[0-9]+'; runs whose first group is equal stay together"
        message = f"{text!r} is no regular expression: it does not start with 're:'"
        return [Diagnostic(Code.VALUE, message, span=document.value_span(*path), hint=hint)]
    return _pattern(document, text, path)[1]


def _check_name(name: str, span: Span) -> list[Diagnostic]:
    if not name.strip():
        return [Diagnostic(Code.SPLIT_NAME, "a split has a name", span=span, hint="such as `train`")]
    try:
        float(name)
    except ValueError:
        return []
    hint = f"call it 'fold-{name.strip()}'"
    message = f"split name {name!r} reads as a number, and copick cannot open a Croissant that has it"
    return [Diagnostic(Code.SPLIT_NAME, message, span=span, hint=hint)]


def _twice(rules: tuple[SplitRule, ...]) -> list[Diagnostic]:
    """Runs that stand in two splits word for word. Patterns are for the plan, which knows the runs."""
    first: dict[str, SplitRule] = {}
    found = []
    for rule in rules:
        text = rule.pattern.text
        earlier = first.setdefault(text, rule)
        if earlier.split != rule.split:
            found.append(
                Diagnostic(
                    Code.SPLIT_CONFLICT,
                    f"{text!r} is in the splits {earlier.split!r} and {rule.split!r}",
                    span=rule.pattern.span,
                    hint=f"a run has one split; the other is at line {earlier.pattern.span.line}",
                )
            )
    return found


def _read_file(draft: Draft, name: str) -> tuple[tuple[SplitFileRow, ...], list[Diagnostic]]:
    span = draft.document.value_span("splits", "file")

    def refuse(message: str, hint: str | None, at: Span = span) -> tuple[tuple[SplitFileRow, ...], list[Diagnostic]]:
        return (), [Diagnostic(Code.SPLIT_FILE, message, span=at, hint=hint)]

    if "://" in name:
        return refuse(f"{name} is no local file", "keep the split file beside the recipe; a check reads no network")
    path = draft.path.parent / name
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return refuse(f"{name}: {error.strerror or error}", "the path is relative to the recipe file")
    except UnicodeDecodeError:
        return refuse(f"{name} is not UTF-8", "save it as UTF-8")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = reader.fieldnames or []
    missing = [c for c in _COLUMNS if c not in header]
    if missing:
        hint = did_you_mean(missing[0], header, what="its columns are") or "start it with the line `split,run`"
        return refuse(f"{name} has no column {missing[0]!r}", hint, Span(str(path), 1, 1))
    rows: list[SplitFileRow] = []
    found: list[Diagnostic] = []
    seen: dict[str, str] = {}
    for row in reader:
        at = Span(str(path), reader.line_num, 1)
        split, run = row["split"] or "", row["run"] or ""
        if not run:
            found.append(Diagnostic(Code.SPLIT_FILE, "a row without a run", span=at, hint="write `train,TS_001`"))
            continue
        found += _check_name(split, at)
        if seen.setdefault(run, split) != split:
            message = f"run {run!r} is in the splits {seen[run]!r} and {split!r}"
            found.append(Diagnostic(Code.SPLIT_CONFLICT, message, span=at, hint="a run has one split"))
            continue
        rows.append(SplitFileRow(split, run, at))
    return tuple(rows), found
