"""Aggregates: counts, extremes and sums of rows, in groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.portal_server.filters import QueryError, Row, Store
from tests.portal_server.selections import Selected, Selections

_Key = tuple[Any, ...]

_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "sum": lambda values: sum(values) if values else None,
    "avg": lambda values: sum(values) / len(values) if values else None,
}


def aggregate(store: Store, entity: str, rows: Sequence[Row], selected: Selections) -> dict[str, Any]:
    """The answer of an aggregate field over rows.

    ``groupBy`` joins as SQL does: over a to-many relation a row counts once for each child, and once without any.

    Raises:
        QueryError: For an aggregate function that this stand-in does not have.
    """
    answer: dict[str, Any] = {}
    for field in selected:
        functions = field.selections
        by = next((f for f in functions if f.name == "groupBy"), None)
        groups = _groups(store, entity, rows, by)
        answer[field.alias] = [_one(functions, key, members) for key, members in groups]
    return answer


def _groups(
    store: Store, entity: str, rows: Sequence[Row], by: Selected | None
) -> Iterable[tuple[dict[str, Any] | None, Sequence[Row]]]:
    if by is None:
        return [(None, rows)]
    joined: dict[_Key, list[Row]] = {}
    for row in rows:
        for key in _keys(store, entity, row, by.selections):
            joined.setdefault(key, []).append(row)
    return [(_nested(by.selections, key), members) for key, members in joined.items()]


def _keys(store: Store, entity: str, row: Row, selections: Selections) -> list[_Key]:
    """Every group key of a row: the product over its to-many relations."""
    parts: list[list[Any]] = []
    for field in selections:
        relation = store.catalog.relations[entity].get(field.name)
        if relation is None:
            parts.append([row.get(field.name)])
            continue
        if relation.many:
            kin = store.index(relation.target, relation.key).get(row["id"], [])
        else:
            one = store.by_id(relation.target, row.get(relation.key))
            kin = [one] if one else []
        keys = [key for r in kin for key in _keys(store, relation.target, r, field.selections)]
        parts.append(list(keys) or [None])
    return list(itertools.product(*parts))


def _nested(selections: Selections, key: _Key | None) -> dict[str, Any] | None:
    if key is None:
        return None
    return {
        field.alias: _nested(field.selections, part) if field.selections else part
        for field, part in zip(selections, key, strict=True)
    }


def _one(functions: Selections, key: dict[str, Any] | None, rows: Sequence[Row]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for function in functions:
        if function.name == "groupBy":
            answer[function.alias] = key
        elif function.name == "count":
            answer[function.alias] = _count(function.arguments, rows)
        elif function.name in _FUNCTIONS:
            compute = _FUNCTIONS[function.name]
            answer[function.alias] = {
                column.alias: compute([v for row in rows if (v := row.get(column.name)) is not None])
                for column in function.selections
            }
        else:
            raise QueryError(f"This stand-in does not compute {function.name}")
    return answer


def _count(arguments: Mapping[str, Any], rows: Sequence[Row]) -> int:
    column = arguments.get("columns")
    if column is None:
        return len(rows)
    values = [v for row in rows if (v := row.get(column)) is not None]
    return len(set(values)) if arguments.get("distinct") else len(values)
