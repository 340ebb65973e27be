"""Selectors against artifact tables.

Patterns are matched against the distinct values of a column, and the answer is mapped back to the rows.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Span
from croissant_recipes.language import patterns
from croissant_recipes.language.selectors import Pattern, Selector, as_number
from croissant_recipes.schema import ARTIFACTS, SEGMENTATION_TYPES

Mask = npt.NDArray[np.bool_]

_SEPARATOR = re.compile("[:/@]")
_TYPE_ENDINGS = {t: "" if t == "binary" else f"?{t}=true" for t in SEGMENTATION_TYPES}


def match(selector: Selector, table: pd.DataFrame) -> Mask:
    """Which rows of an artifact table a selector selects: one bool a row.

    Raises:
        KeyError: If the table lacks a column that the selector asks about, that is, holds another kind of artifact.
    """
    return match_any((selector,), table)


def match_any(selectors: Iterable[Selector], table: pd.DataFrame) -> Mask:
    """Which rows at least one of the selectors selects; none without selectors.

    Raises:
        KeyError: As ``match``.
    """
    columns = _Columns(table)
    chosen = np.zeros(len(table), dtype=np.bool_)
    for selector in selectors:
        chosen |= _mask(selector, columns)
    return chosen


def match_texts(pattern: Pattern, values: Sequence[str]) -> Mask:
    """Which of the texts match a pattern: globs with case, regular expressions from the start of the text.

    Raises:
        DiagnosticError: ``PATTERN_TIME``.
    """
    if pattern.is_any:
        return np.ones(len(values), dtype=np.bool_)
    if pattern.is_exact:
        return np.fromiter((v == pattern.text for v in values), np.bool_, len(values))
    if pattern.regex:
        with _in_time(pattern.text, pattern.span):
            return patterns.compiled(pattern.text).matches(values)
    # What ``fnmatch`` writes for a glob never goes back behind a ``*``: its time is at most name times pattern.
    matches = re.compile(fnmatch.translate(pattern.text)).match
    return np.fromiter((matches(v) is not None for v in values), np.bool_, len(values))


def groups(regex: str, values: Sequence[str], span: Span | None) -> list[str | None]:
    """Of each text what the first group of a regular expression (without ``re:``) matched, see ``Expression.groups``.

    Raises:
        DiagnosticError: ``PATTERN_TIME``, at ``span``.
    """
    with _in_time(regex, span):
        return patterns.compiled(regex).groups(values)


@contextmanager
def _in_time(regex: str, span: Span | None) -> Iterator[None]:
    try:
        yield
    except patterns.TooSlowError:
        message = f"regular expression {regex!r} was given up after {patterns.SECONDS:g} s"
        hint = "write it without look-around, back-references and repeats in repeats, or as several selectors"
        raise DiagnosticError(Diagnostic(Code.PATTERN_TIME, message, span=span, hint=hint)) from None


def match_sizes(pattern: Pattern, values: Sequence[float]) -> Mask:
    """Which of the voxel sizes (Å) match a pattern: by number where it reads as one, else by Python's text of them."""
    number = None if pattern.regex else as_number(pattern.text)
    if number is not None:
        return np.fromiter((v == number for v in values), np.bool_, len(values))
    return match_texts(pattern, [str(v) for v in values])


def names(kind: str, table: pd.DataFrame) -> list[str]:
    """The distinct artifacts of a table as selectors would name them (``ribosome:alice/1``, ``wbp@10.0``), sorted."""
    described = ARTIFACTS[kind]
    found = table.loc[:, list(described.selected_by)].drop_duplicates()
    separators = iter(("", *_SEPARATOR.findall((described.selector_form or "").partition("?")[0])))
    texts = pd.Series("", index=found.index, dtype="str")
    for column in described.selected_by:
        if column == "segmentation_type":
            texts += found[column].map(_TYPE_ENDINGS)
        else:
            texts += next(separators) + found[column].map(str).astype("str")
    return sorted(texts)


class _Columns:
    """The distinct values of a table's columns and each row's place among them, found once for many selectors."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self._found: dict[str, tuple[npt.NDArray[np.intp], list[Any]]] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, column: str) -> tuple[npt.NDArray[np.intp], list[Any]]:
        if column not in self._found:
            codes, values = pd.factorize(self._table[column], use_na_sentinel=False)
            self._found[column] = codes, values.tolist()
        return self._found[column]


def _mask(selector: Selector, columns: _Columns) -> Mask:
    mask = np.ones(len(columns), dtype=np.bool_)
    if selector.types is not None:
        codes, values = columns["segmentation_type"]
        mask &= np.fromiter((v in selector.types for v in values), np.bool_, len(values))[codes]
    for column, pattern in selector.parts:
        codes, values = columns[column]
        found = match_sizes(pattern, values) if column == "voxel_size" else match_texts(pattern, values)
        mask &= found[codes]
    return mask
