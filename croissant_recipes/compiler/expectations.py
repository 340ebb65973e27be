"""Whether a plan holds what the recipe expects of it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, did_you_mean
from croissant_recipes.language import counts
from croissant_recipes.language.recipe import Count, Expect
from croissant_recipes.language.yaml_nodes import Document, Path
from croissant_recipes.schema import ARTIFACTS

_BY = {
    **{name: described.counted_by for name, described in ARTIFACTS.items() if described.counted_by},
    "voxel_spacings": "voxel_size",
    "splits": "split",
}
"""The column that a mapping of expected counts goes by."""


def check(expect: Expect, tables: Mapping[str, pd.DataFrame], document: Document) -> list[Diagnostic]:
    """Compare the counts of the final tables (``voxel_spacings`` among them, ``splits`` taken from the runs)."""
    found: list[Diagnostic] = []
    for key in Expect.model_fields:
        expected = getattr(expect, key)
        if expected is None:
            continue
        rows = tables["runs"][tables["runs"]["split"] != ""] if key == "splits" else tables[key]
        if not isinstance(expected, Mapping):
            found += _compare(expected, len(rows), key, ("expect", key), document, None)
            continue
        numbers = rows[_BY[key]].value_counts()
        by_name = {_name(value): int(n) for value, n in numbers.items()}
        for name, count in expected.items():
            hint = did_you_mean(name, by_name) if _name(name, key) not in by_name else None
            where = ("expect", key, name)
            found += _compare(count, by_name.get(_name(name, key), 0), f"{key} {name!r}", where, document, hint)
    return found


def _name(value: object, key: str = "") -> str:
    """The name of a count; voxel sizes compare as numbers."""
    if isinstance(value, float):
        return repr(value)
    if key == "voxel_spacings":
        try:
            return repr(float(str(value)))
        except ValueError:
            return str(value)
    return str(value)


def _compare(expected: Count, n: int, what: str, path: Path, document: Document, hint: str | None) -> list[Diagnostic]:
    bound = counts.parse(expected)
    if bound.holds(n):
        return []
    there = "there is 1" if n == 1 else f"there are {n}"
    message = f"{what}: expected {bound.text}, and {there}"
    return [Diagnostic(Code.EXPECTATION, message, span=document.value_span(*path), hint=hint)]
