"""Where a row's data is when the Croissant is read: its ``url``, and ``copick:baseUrl``, which relative ones start at.

A path becomes part of a URL here, and nowhere else. On the web ``#``, ``?``, ``%`` and a space mean something, so that
a row whose path holds one is written whole and percent-encoded, and every reader finds the file. All other rows stay
relative, so that a mirror of them works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from croissant_recipes import tables
from croissant_recipes.location import UNFIT_FOR_THE_WEB, WEB_URL, as_url, percent_encoded_address
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.base import Root


@dataclass(frozen=True)
class Publication:
    """Where a Croissant is written and read.

    Attributes:
        project_root: Absolute path or URL that it is written below.
        base_url: URL that its relative row URLs are joined to, ``None`` for a relocatable Croissant.
    """

    project_root: str
    base_url: str | None

    @property
    def anchor(self) -> str:
        """What relative URLs are relative to."""
        return self.base_url if self.base_url is not None else self.project_root


def place_of(root: Root, source_base: str | None, output_url: str | None) -> str:
    """Where a root lies when the Croissant is read, as a URL without a trailing slash: at a URL of its own; or, if it
    is the primary one, at the source's ``base_url`` or else the output's; or where it is now.

    Args:
        root: A root of a source.
        source_base: The recipe's ``base_url`` of the source.
        output_url: The URL of the output for layers that export, ``None`` for others and where it does not stand for
            the root.
    """
    base = root.base_url
    if base is None and root.primary:
        base = source_base or output_url
    return (base or root.location.uri).rstrip("/")


def places(rows: pd.DataFrame, roots: Mapping[str, str]) -> pd.Series:
    """The absolute place of every row, given the place of every root."""
    named = tables.arrow_texts(rows["root"]).dictionary_encode()
    where = {**{key: f"{place}/" for key, place in roots.items()}, "": ""}
    prefixes = pa.array([where[key] for key in named.dictionary.to_pylist()], pa.large_string()).take(named.indices)
    return _texts(pc.binary_join_element_wise(prefixes, tables.arrow_texts(rows["path"]), _text("")), rows.index)


def is_below(places: pd.Series, anchor: str) -> pd.Series:
    """Which places lie below an anchor."""
    return places.str.startswith(f"{as_url(anchor).rstrip('/')}/")


def relative(places: pd.Series, anchor: str) -> pd.Series:
    """Places relative to an anchor where they lie below it, otherwise as they are."""
    prefix = f"{as_url(anchor).rstrip('/')}/"
    texts = tables.arrow_texts(places)
    below = pc.starts_with(texts, prefix)
    if not pc.any(below).as_py():
        return places
    return _texts(pc.if_else(below, pc.utf8_slice_codeunits(texts, len(prefix)), texts), places.index)


def urls(rows: pd.DataFrame, places: pd.Series, anchor: str | None, *, keep: bool) -> pd.Series:
    """What the rows' ``url`` says.

    Args:
        rows: Rows of one layer. Those whose ``root`` is empty are somebody's URLs already and never encoded again.
        places: Their absolute places.
        anchor: Rows below it are relative to it; ``None`` leaves all of them absolute.
        keep: Whether somebody's URLs stay absolute wherever they lie.
    """
    found = places if anchor is None else relative(places, anchor)
    ours = rows["root"] != ""
    if keep:
        found = found.where(ours, places)
    unfit = pc.match_substring_regex(tables.arrow_texts(found), pattern=UNFIT_FOR_THE_WEB)
    if not pc.any(unfit).as_py():
        return found
    odd = found.str.contains(UNFIT_FOR_THE_WEB, regex=True) & places.str.match(WEB_URL)
    if not odd.any():
        return found
    encoded = places[odd & ours].map(percent_encoded_address)
    return found.where(~odd, places).where(~(odd & ours), encoded.reindex(found.index)).astype("str")


def expected_by_copick(artifact: str, table: pd.DataFrame) -> pd.Series:
    """Where copick looks for each artifact below the base URL when it goes by names alone, as it does without an
    overlay for everything but picks."""
    by_type = ARTIFACTS[artifact].places
    if len(by_type) == 1:
        return _filled_in(by_type[""], table)
    found = pd.Series("", index=table.index, dtype="str")
    for kind, place in by_type.items():
        of_kind = table["segmentation_type"] == kind
        found = found.where(~of_kind, _filled_in(place, table))
    return found


def _filled_in(place: str, table: pd.DataFrame) -> pd.Series:
    """A format over the columns of a table, filled in for every row."""
    parts: list[pa.Array | pa.Scalar] = []
    for literal, column, form, _ in Formatter().parse(place):
        parts.append(_text(literal))
        if column is not None:
            parts.append(_formatted(table[column], form or ""))
    return _texts(pc.binary_join_element_wise(*parts, _text("")), table.index)


def _formatted(values: pd.Series, form: str) -> pa.Array:
    if isinstance(values.dtype, pd.StringDtype):
        return tables.arrow_texts(values)
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    return pa.array([format(v, form) for v in distinct.tolist()], pa.large_string()).take(pa.array(codes))


def _texts(values: pa.Array, index: pd.Index) -> pd.Series:
    return pd.Series(values.to_pandas().array, index=index, dtype="str")


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
