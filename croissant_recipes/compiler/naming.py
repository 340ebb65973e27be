"""New names for runs, sessions, users, tomogram types and objects, worked out once per distinct value."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, did_you_mean, nearest
from croissant_recipes.language.checked import NewName
from croissant_recipes.language.matching import match_texts
from croissant_recipes.language.templates import Template
from croissant_recipes.schema import ARTIFACTS, RENAME_MAPS

_COLUMNS = {"run": "run", "user": "user_id", "session": "session_id", "voxel_size": "voxel_size"}
"""The columns of fields that templates of every source take; that of ``object`` depends on the type."""

FIELDS = frozenset({*_COLUMNS, "object"})
"""The fields that sessions and users of every source can be named by."""


def mapped(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    """The column with values replaced by ``names``; values without an entry stay."""
    distinct = {value: names.get(value, value) for value in column.unique()}
    return column.map(distinct).astype("str")


# Renames


@dataclass(frozen=True)
class Renaming:
    """What the entries of a rename map make of the names that there are.

    Attributes:
        names: New names by old, of those that an entry decides.
        entries: Of each of these, the position of that entry.
        applied: Positions of the entries that mean any name that is there, also where another one decides.
        conflicts: Names that two patterns call differently.
    """

    names: Mapping[str, str]
    entries: Mapping[str, int]
    applied: frozenset[int]
    conflicts: tuple[Diagnostic, ...] = ()


@dataclass
class _Tier:
    """Entries of which a more specific one comes first: a name, then patterns, then ``*``."""

    exact: dict[str, int] = field(default_factory=dict)
    patterns: list[int] = field(default_factory=list)
    everything: int | None = None


def renaming(given: Sequence[NewName], names: Iterable[str]) -> Renaming:
    """Work out a rename map. Its order means nothing: a layer's own entries come before the recipe's, a name before
    patterns, and these before ``*``.

    Args:
        given: The entries.
        names: Those that there are.
    """
    there = sorted(set(names))
    tiers = [_tier(given, set(there), shared=shared) for shared in (False, True)]
    matches = {at: _matching(given[at], there) for tier in tiers for at in tier.patterns}
    decided: dict[str, int] = {}
    conflicts: dict[tuple[int, int], Diagnostic] = {}
    for name in there:
        for tier in tiers:
            meant = [tier.exact[name]] if name in tier.exact else [at for at in tier.patterns if name in matches[at]]
            if not meant and tier.everything is not None:
                meant = [tier.everything]
            if meant:
                decided[name] = meant[0]
                for other in meant[1:]:
                    if given[other].new != given[meant[0]].new:
                        conflicts.setdefault((meant[0], other), _conflict(name, given[meant[0]], given[other]))
                break
    applied = {at for tier in tiers for at in tier.exact.values()} | {at for at, found in matches.items() if found}
    applied |= {tier.everything for tier in tiers if tier.everything is not None and there}
    new = {name: given[at].new for name, at in decided.items()}
    return Renaming(new, decided, frozenset(applied), tuple(conflicts.values()))


def _tier(given: Sequence[NewName], there: set[str], *, shared: bool) -> _Tier:
    tier = _Tier()
    for at, entry in enumerate(given):
        if entry.shared is not shared:
            continue
        if entry.old in there:
            # A name that is there is meant, whatever signs it holds.
            tier.exact[entry.old] = at
        elif entry.pattern.is_any:
            tier.everything = at
        elif not entry.pattern.is_exact:
            tier.patterns.append(at)
    return tier


def _matching(entry: NewName, there: Sequence[str]) -> frozenset[str]:
    found = match_texts(entry.pattern, there)
    return frozenset(name for name, yes in zip(there, found, strict=True) if yes)


def _conflict(name: str, one: NewName, other: NewName) -> Diagnostic:
    first, second = sorted((one, other), key=lambda entry: entry.span)
    message = f"{name!r} is {first.new!r} by {first.old!r} and {second.new!r} by {second.old!r}"
    hint = f"a name comes before patterns: give {name!r} an entry of its own, or let one of the patterns leave it out"
    return Diagnostic(Code.RENAME_PATTERN, message, hint=hint, span=second.span)


def met_nowhere(unmet: Sequence[Mapping[tuple[str, NewName], Collection[str]]], recipe: str) -> Iterator[Diagnostic]:
    """What to say of entries of a recipe's own ``rename`` that no layer has the name of: they may be misspelt. What
    recipes share in a fragment fits each of them in part, so there a name has to be near.

    Args:
        unmet: ``LayerRows.unmet`` of each layer.
        recipe: The recipe's file.
    """
    for kind, entry in unmet[0] if unmet else ():
        if all((kind, entry) in of_layer for of_layer in unmet):
            there = {name for of_layer in unmet for name in of_layer[kind, entry]}
            if entry.span.file == recipe or nearest(entry.old, there):
                yield Diagnostic(
                    Code.RENAME_UNKNOWN,
                    f"{entry.old!r} names no {RENAME_MAPS[kind]} in any layer",
                    severity=Severity.WARNING,
                    span=entry.span,
                    hint=did_you_mean(entry.old, there),
                )


def renamed(table: pd.DataFrame, artifact: str, column: str, new: pd.Series) -> pd.DataFrame:
    """The table of an artifact type with new values of a column. A row of the portal keeps what it was called."""
    described = ARTIFACTS[artifact]
    changes: dict[str, pd.Series] = {column: new}
    keeps = described.portal_names.get(column)
    if keeps is not None:
        changed = (table[described.portal_id] != "") & (new != table[column]) & (table[keeps] == "")
        changes[keeps] = table[keeps].where(~changed, table[column])
    return table.assign(**changes)


# Templates


def has_fields(artifact: str, template: Template) -> bool:
    """Whether a type of artifact can have the fields of a template: those of the portal's records are of no mesh."""
    return ARTIFACTS[artifact].in_portal or template.fields <= FIELDS


def named(
    table: pd.DataFrame, artifact: str, column: str, template: Template, key: str, span: Span | None
) -> tuple[pd.Series, list[Diagnostic]]:
    """The values of a column by a template over what the source calls things, made names that copick takes. An empty
    result leaves the name as it is.

    Args:
        table: Rows of an artifact type as the source has them.
        key: The template's key in the recipe.
    """
    columns = {name: _column(artifact, name) for name in template.fields}
    rendered, problems = _render(table, template, columns, key, span)
    names = {text: _sanitized(text) for text in rendered.unique()}
    new = rendered.map(names).astype("str")
    return new.where(new != "", table[column]), problems


def _column(artifact: str, field_name: str) -> str:
    if field_name == "object":
        return ARTIFACTS[artifact].object_column or ""
    # What a Croissant has of the portal's records is in columns of the same names.
    own = _COLUMNS.get(field_name) or (field_name if field_name.startswith("portal_") else None)
    return own or f"annotation.{field_name}"


def run_names(table: pd.DataFrame, template: Template, span: Span | None) -> tuple[dict[str, str], list[Diagnostic]]:
    """New run names by old. An empty result keeps the name; a name that cannot be a folder is refused."""
    columns = {name: f"run.{name}" for name in template.fields}
    rendered, problems = _render(table, template, columns, "run_name", span)
    names = {old: new or old for old, new in zip(table["name"], rendered, strict=True)}
    for old, new in names.items():
        if "/" in new or new.startswith(".") or "\0" in new:
            message = f"run {old!r} would be named {new!r}, which cannot be the name of a folder"
            problems.append(Diagnostic(Code.RUN_NAME, message, span=span, hint="leave '/' and a leading '.' out"))
    return names, problems


def _render(
    table: pd.DataFrame, template: Template, columns: Mapping[str, str], key: str, span: Span | None
) -> tuple[pd.Series, list[Diagnostic]]:
    """The template rendered for every row, once per distinct combination of the fields it uses. A field whose column
    the table has not is missing in every row."""
    fields = sorted(template.fields)
    nothing = [None] * len(table)
    values_of = [table.get(columns[f], nothing) for f in fields]
    rendered: dict[tuple[object, ...], str] = {}
    problems: list[Diagnostic] = []
    texts = []
    for values in zip(*values_of, strict=True):
        if values not in rendered:
            present = {f: None if _missing(v) else v for f, v in zip(fields, values, strict=True)}
            try:
                rendered[values] = template.render(present)
            except ValueError as error:
                rendered[values] = ""
                shown = ", ".join(f"{f}={present[f]!r}" for f in fields)
                message = f"{key}: {template.text!r} does not fit {shown}: {error}"
                problems.append(Diagnostic(Code.TEMPLATE, message, span=span))
        texts.append(rendered[values])
    return pd.Series(texts, index=table.index, dtype="str"), problems[:1]


def _missing(value: object) -> bool:
    return value is None or value != value


def _sanitized(text: str) -> str:
    from copick.util.escape import sanitize_name

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(sanitize_name(text, suppress_warnings=True))
    except ValueError:
        return ""
