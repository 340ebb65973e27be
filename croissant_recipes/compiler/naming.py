"""New names for runs, sessions, tomogram types and objects, worked out once per distinct value."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Span
from croissant_recipes.language.templates import Template


def mapped(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    """The column with values replaced by ``names``; values without an entry stay."""
    distinct = {value: names.get(value, value) for value in column.unique()}
    return column.map(distinct).astype("str")


def renamed(table: pd.DataFrame, column: str, names: Mapping[str, str], keeps: str | None) -> pd.DataFrame:
    """The table with a column renamed; ``keeps`` is the column in which a portal row keeps its old name."""
    new = mapped(table[column], names)
    changes: dict[str, pd.Series] = {column: new}
    if keeps is not None:
        from_portal = (table["portal_tomogram_id"] != "") & (new != table[column]) & (table[keeps] == "")
        changes[keeps] = table[keeps].where(~from_portal, table[column])
    return table.assign(**changes)


def name_sessions(table: pd.DataFrame, template: Template, span: Span | None) -> tuple[pd.DataFrame, list[Diagnostic]]:
    """Session ids by a template over the ``annotation.`` columns. An empty result keeps the session as it was."""
    rendered, problems = _render(table, template, "annotation.", "session_id", span)
    names = {text: _sanitized(text) for text in rendered.unique()}
    new = rendered.map(names).astype("str")
    new = new.where(new != "", table["session_id"])
    changed = (new != table["session_id"]) & (table["portal_annotation_id"] != "") & (table["portal_session_id"] == "")
    kept = table["portal_session_id"].where(~changed, table["session_id"])
    return table.assign(session_id=new, portal_session_id=kept), problems


def run_names(table: pd.DataFrame, template: Template, span: Span | None) -> tuple[dict[str, str], list[Diagnostic]]:
    """New run names by old. An empty result keeps the name; a name that cannot be a folder is refused."""
    rendered, problems = _render(table, template, "run.", "run_name", span)
    names = {old: new or old for old, new in zip(table["name"], rendered, strict=True)}
    for old, new in names.items():
        if "/" in new or new.startswith(".") or "\0" in new:
            message = f"run {old!r} would be named {new!r}, which cannot be the name of a folder"
            problems.append(Diagnostic(Code.RUN_NAME, message, span=span, hint="leave '/' and a leading '.' out"))
    return names, problems


def _render(
    table: pd.DataFrame, template: Template, prefix: str, key: str, span: Span | None
) -> tuple[pd.Series, list[Diagnostic]]:
    """The template rendered for every row, once per distinct combination of the fields it uses."""
    fields = sorted(template.fields)
    columns = [table[prefix + f] for f in fields]
    rendered: dict[tuple[object, ...], str] = {}
    problems: list[Diagnostic] = []
    texts = []
    for values in zip(*columns, strict=True):
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
