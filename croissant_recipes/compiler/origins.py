"""What the rows of a result are from: datasets and depositions of the portal, and Croissants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from croissant_recipes import __version__
from croissant_recipes.compiler import merging
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.croissant import provenance
from croissant_recipes.croissant.provenance import Provenance
from croissant_recipes.language import normal_form
from croissant_recipes.language.checked import CheckedRecipe

PORTAL_KINDS = {"portal_dataset_id": "datasets", "portal_deposition_id": "depositions"}
"""What the columns of an inventory's tables that name records of the portal are the ids of."""


@dataclass(frozen=True)
class Records:
    """The datasets and depositions of the portal that rows of one source are from.

    Attributes:
        datasets, depositions: By id, in order, what was published of each, as the portal says it.
        all: Whether every row is of the portal.
    """

    datasets: Mapping[int, str]
    depositions: Mapping[int, str]
    all: bool


def by_source(layers: Mapping[int, LayerRows], artifacts: Mapping[str, pd.DataFrame]) -> dict[str, Records]:
    """What the rows of each source are from that any row is of."""
    found: dict[str, dict[str, dict[int, str]]] = {}
    others: set[str] = set()
    for artifact, table in artifacts.items():
        for number, rows in merging.by_layer(table):
            layer = layers[number]
            known, positions = layer.stock.table(artifact), rows["source"].to_numpy()
            for position, (name, part) in enumerate(layer.sources):
                taken = rows["row"].to_numpy()[positions == position]
                if not len(taken):
                    continue
                of_source = found.setdefault(name, {kind: {} for kind in PORTAL_KINDS.values()})
                for column, kind in PORTAL_KINDS.items():
                    values = known[column].iloc[taken].fillna("") if column in known else pd.Series([""])
                    said = part.publications.get(kind, {})
                    of_source[kind] |= {int(i): said.get(i, "") for i in values.unique() if i}
                    if column == "portal_dataset_id" and not values.all():
                        others.add(name)
    return {
        name: Records(
            dict(sorted(kinds["datasets"].items())), dict(sorted(kinds["depositions"].items())), all=name not in others
        )
        for name, kinds in found.items()
    }


def of_result(
    checked: CheckedRecipe,
    layers: Mapping[int, LayerRows],
    artifacts: Mapping[str, pd.DataFrame],
    *,
    in_place: bool,
    hides: bool = False,
) -> Provenance:
    """The provenance of a result.

    Args:
        checked: The recipe.
        layers: Its layers by number; a base is layer 0.
        artifacts: The rows of the result, with their lineage.
        in_place: Whether the result takes the place of its base, which then is no other Croissant.
        hides: Whether it does not show all that the recipe makes.
    """
    used = {
        (number, position)
        for table in artifacts.values()
        for number, rows in merging.by_layer(table)
        for position in rows["source"].unique().tolist()
    }
    entities: list[Mapping[str, Any]] = []
    records = by_source(layers, artifacts).values()
    for kind in PORTAL_KINDS.values():
        said = {number: text for each in records for number, text in getattr(each, kind).items()}
        entities += [provenance.of_portal(kind, str(number), text) for number, text in sorted(said.items())]
    for number, layer in layers.items():
        for position, (name, part) in enumerate(layer.sources):
            if part.manifest is None or (in_place if number == 0 else (number, position) not in used):
                continue
            place = checked.recipe.base if number == 0 else _place(checked, name)
            croissant = provenance.of_croissant(part.manifest, place)
            if croissant not in entities:
                entities.append(croissant)
    digest = None if hides else normal_form.digest(checked)
    return Provenance(tuple(entities), checked.recipe.name, digest, __version__)


def _place(checked: CheckedRecipe, source: str) -> str | None:
    place: str | None = getattr(checked.recipe.sources[source].spec, "url", None)
    return place
