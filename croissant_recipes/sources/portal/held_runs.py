"""Runs by what a layer takes of them, as far as the server can choose them.

The condition may hold for more runs than the layer takes: the compiler looks at the rows themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from croissant_recipes.language.checked import HeldRows, LayerSpec, Take
from croissant_recipes.sources.portal.conditions import both
from croissant_recipes.sources.portal.fetching import Rows
from croissant_recipes.sources.portal.overview import Overview, run_rows
from croissant_recipes.sources.portal.portal_tables import PORTAL_TYPES, Reading
from croissant_recipes.sources.portal.queries import Clause, PortalError
from croissant_recipes.sources.portal.transport import Endpoint


def can_be_asked_for(layer: LayerSpec) -> bool:
    """Whether the server can choose a layer's runs. What a run lacks it cannot be asked for, and of what another source
    has of a run it knows nothing."""
    having = layer.filters["runs"].having
    return bool(having) and layer.runs_apart and all(item.artifact in PORTAL_TYPES for item in having)


def ask(endpoint: Endpoint, layer: LayerSpec, overview: Overview, fields: Collection[str]) -> Rows | None:
    """The rows of runs that may have what a layer asks for, by id; ``None`` where that has to be found out from all.

    Args:
        fields: Those of runs that templates name.
    """
    clause = _clause(layer, overview)
    if clause is None:
        return None
    what = " and ".join(item.artifact for item in layer.filters["runs"].having)
    try:
        found = run_rows(endpoint, f"runs with {what}", clause, fields)
    except PortalError as error:
        if not error.may_be_too_large:
            raise
        return None
    # Where there is none, what the layer selects has to be seen to say what is amiss.
    return found if found.rows else None


def _clause(layer: LayerSpec, overview: Overview) -> Clause | None:
    """A condition on runs. It can ask for one thing about each relation: for what there is least of."""
    rarest: dict[str, tuple[int, Clause]] = {}
    for item in layer.filters["runs"].having:
        reading = _reading(layer, item, overview)
        if reading is None:
            return None
        for relation, clause in PORTAL_TYPES[item.artifact].of_run(reading.main.where).items():
            if relation not in rarest or reading.most < rarest[relation][0]:
                rarest[relation] = (reading.most, clause)
    return both(overview.holdings.runs, {relation: clause for relation, (_, clause) in rarest.items()})


def _reading(layer: LayerSpec, item: HeldRows, overview: Overview) -> Reading | None:
    """What would be asked for the rows that the layer takes, or for those that the item selects, if these are fewer."""
    kind, chosen = PORTAL_TYPES[item.artifact], layer.filters[item.artifact]
    own = kind.plan(layer, overview)
    if own is None or item.selector is None:
        return own
    narrow = replace(chosen, take=Take.SELECTED, select=(item.selector,), exclude=())
    asked = kind.plan(replace(layer, filters={**layer.filters, item.artifact: narrow}), overview)
    return own if asked is not None and own.most < asked.most else asked
