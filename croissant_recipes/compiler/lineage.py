"""Where final rows come from, in the words of the recipe and of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.compiler import merging
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.language.checked import HeldRows, LayerSpec, NewName, Take, TypeFilter
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS


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
        selector = table["selector"].astype("Int16")
        columns: dict[str, Any] = {"layer": table["layer"], "selector": selector.mask(selector < 0)}
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
        source = tables.take(layers[number].stock.table(artifact)[changeable], rows["row"].to_numpy())
        for column in changeable:
            differs = tables.differs(source[column], rows[column])
            if differs.any():
                found = names.setdefault(column, np.full(len(table), "", dtype=object))
                found[rows.index[differs]] = source[column][differs].to_numpy()
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
    }


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
