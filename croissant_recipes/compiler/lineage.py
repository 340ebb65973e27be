"""Where final rows come from, in the words of the recipe and of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.compiler import merging
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.diagnostics import Span
from croissant_recipes.language import selectors
from croissant_recipes.language.checked import (
    HeldRows,
    LayerSpec,
    NewName,
    PlacedSelector,
    SplitRule,
    Take,
    TypeFilter,
)
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS

_NOWHERE = Span("", 1, 1)


def of_rows(rows: Mapping[str, pd.DataFrame], layers: Mapping[int, LayerRows]) -> dict[str, pd.DataFrame]:
    """For every row of each record set that has any: ``layer``, where any layer has several the position of its
    ``source``, ``selector`` (missing where the layer takes all), and for each key column that a rename or a template
    changed ``source_<column>``, what the source calls it (empty where the same).

    Args:
        rows: Rows with their lineage, see ``records``.
        layers: By number.
    """
    found = {}
    for name, schema in RECORD_SETS.items():
        table = rows[name]
        if schema.artifact is None or "layer" not in table or not len(table):
            continue
        selector = table["selector"].to_numpy()
        numbers = pd.arrays.IntegerArray(selector.astype(np.int16), selector < 0)
        columns: dict[str, Any] = {"layer": table["layer"], "selector": numbers}
        several = [number for number, layer in layers.items() if len(layer.spec.sources) > 1]
        if several:
            columns["source"] = table["source"].astype("Int16").where(table["layer"].isin(several))
        columns |= {f"source_{c}": v for c, v in _source_names(schema.artifact, schema.key, table, layers).items()}
        found[name] = pd.DataFrame(columns, index=table.index)
    return found


def _source_names(
    artifact: str, key: tuple[str, ...], table: pd.DataFrame, layers: Mapping[int, LayerRows]
) -> dict[str, pd.Series]:
    """Key columns as the source has them, empty where that is what they are; only columns that differ anywhere."""
    described = ARTIFACTS[artifact]
    changeable = [c for c in key if c in {"run", "name", *described.renamed.values(), *described.portal_names}]
    names: dict[str, np.ndarray[Any, Any]] = {}
    for number, rows in merging.by_layer(table):
        stock, positions = layers[number].stock.table(artifact), rows["row"].to_numpy()
        for column in changeable:
            source = stock[column].take(positions)
            differs = tables.differs(source, rows[column])
            if differs.any():
                found = names.setdefault(column, np.full(len(table), "", dtype=object))
                found[rows.index[differs]] = source[differs].to_numpy()
    return {c: pd.Series(names[c], index=table.index, dtype="str") for c in changeable if c in names}


def described(spec: LayerSpec) -> dict[str, Any]:
    """What a layer is, in plain JSON values: what it takes and how it names that. Not where it stands: lines are the
    recipe's to know."""
    taken = {artifact: _taken(chosen) for artifact, chosen in spec.filters.items() if chosen.take is not Take.NONE}
    renames = {kind: _map(names) for kind, names in spec.renames.items() if names}
    return {
        "layer": spec.number,
        "operation": spec.operation,
        **({"source": spec.sources[0]} if len(spec.sources) == 1 else {"sources": list(spec.sources)}),
        "takes": taken,
        **({"rename": renames} if renames else {}),
        **({"run_name": spec.run_name.text} if spec.run_name else {}),
        **({"session_id": spec.session_id.text} if spec.session_id else {}),
        **({"user_id": spec.user_id.text} if spec.user_id else {}),
        **({"split": _splits(spec.splits)} if spec.splits else {}),
        **({"on_collision": spec.on_collision} if spec.on_collision != "error" else {}),
    }


def filters_of(layer: Mapping[str, Any]) -> dict[str, TypeFilter]:
    """What a layer took, from what ``described`` made of it. Nothing in it has a place.

    Raises:
        ValueError: It has a selector that is none, or is nothing that ``described`` makes.
    """
    taken = layer["takes"]
    if not isinstance(taken, Mapping):
        raise TypeError("what a layer takes is no mapping")
    return {artifact: _filter_of(artifact, taken.get(artifact)) for artifact in ARTIFACTS}


def _filter_of(artifact: str, taken: Any) -> TypeFilter:
    if taken is None:
        return TypeFilter(artifact, Take.NONE)
    if taken == "all":
        return TypeFilter(artifact, Take.ALL)
    select, exclude = ([_placed(artifact, text) for text in taken.get(key, ())] for key in ("select", "exclude"))
    having, lacking = ([_held_of(item) for item in taken.get(key, ())] for key in ("having", "lacking"))
    return TypeFilter(
        artifact,
        Take.SELECTED if select else Take.ALL,
        tuple(select),
        tuple(exclude),
        dict(taken.get("where", {})),
        tuple(taken.get("authors", ())),
        tuple(having),
        tuple(lacking),
    )


def _placed(artifact: str, text: str) -> PlacedSelector:
    return PlacedSelector(selectors.parse(artifact, text), _NOWHERE)


def _held_of(item: Any) -> HeldRows:
    if isinstance(item, str):
        return HeldRows(item, None, _NOWHERE)
    ((artifact, text),) = item.items()
    return HeldRows(artifact, _placed(artifact, text), _NOWHERE)


def _splits(rules: Sequence[SplitRule]) -> list[list[str]]:
    return [[rule.split, rule.runs.text] for rule in rules]


def _map(names: Sequence[NewName]) -> dict[str, str]:
    """A rename map. Of two entries for one name the layer's own counts, which stands first."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.old, name.new)
    return found


def _held(item: HeldRows) -> Any:
    return item.artifact if item.selector is None else {item.artifact: item.selector.text}


def _taken(chosen: TypeFilter) -> Any:
    parts = {
        "select": [s.text for s in chosen.select],
        "exclude": [s.text for s in chosen.exclude],
        "where": dict(chosen.where),
        "authors": list(chosen.authors),
        "having": [_held(item) for item in chosen.having],
        "lacking": [_held(item) for item in chosen.lacking],
    }
    return {k: v for k, v in parts.items() if v} or "all"
