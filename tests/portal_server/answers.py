"""Answers a query: selected fields of selected rows, connections in pages."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.portal_server.aggregates import aggregate
from tests.portal_server.catalog import Relation
from tests.portal_server.filters import AGGREGATE_DEPTH, QueryError, Row, Store, ordered, select
from tests.portal_server.selections import Selected, Selections, selections_of

PAGE = 100
"""Items that a nested connection gives at most at once."""

_CURSOR = "arrayconnection:"
_Resolve = Callable[[Row], Any]


def answer(
    store: Store, query: str, variables: Mapping[str, Any], shuffle: random.Random | None = None
) -> tuple[dict[str, Any], int]:
    """The data of a query, and how many rows are in it.

    Raises:
        QueryError: The query does not fit the schema or breaks one of the portal's limits.
    """
    selections = selections_of(store.catalog.schema, query, variables)
    projection = _Projection(store, shuffle)
    data: dict[str, Any] = {}
    for selected in selections:
        entity, counted = _root(store, selected.name)
        if entity is None:
            data[selected.alias] = "Query"
        elif counted:
            rows: Sequence[Row] = store.matching(entity, selected.arguments.get("where"), AGGREGATE_DEPTH)
            data[selected.alias] = aggregate(store, entity, rows, selected.selections)
        else:
            rows = select(store, entity, selected.arguments, shuffle=shuffle)
            data[selected.alias] = projection.rows(entity, selected.selections)(rows)
    return data, projection.count


def _root(store: Store, name: str) -> tuple[str | None, bool]:
    if name == "__typename":
        return None, False
    listed = store.catalog.lists(name)
    return (listed, False) if listed else (store.catalog.counts(name), True)


@dataclass
class _Projection:
    """Makes functions from rows to answers, each selection understood once for all its rows."""

    store: Store
    shuffle: random.Random | None
    count: int = field(default=0)

    def rows(self, entity: str, selections: Selections) -> Callable[[Sequence[Row]], list[dict[str, Any]]]:
        relations = self.store.catalog.relations[entity]
        scalars: list[tuple[str, str, object]] = []
        resolvers: list[tuple[str, _Resolve]] = []
        for selected in selections:
            relation = relations.get(selected.name)
            if selected.name == "__typename":
                scalars.append((selected.alias, selected.name, entity))
            elif selected.name == "_id":
                resolvers.append((selected.alias, lambda row: _encoded(f"{entity}:{row['id']}")))
            elif relation is not None:
                make = self._connection if relation.many else self._one
                resolvers.append((selected.alias, make(relation, selected)))
            elif counted := self.store.catalog.aggregated(entity, selected.name):
                back = relations[selected.name.removesuffix("Aggregate")]
                resolvers.append((selected.alias, self._aggregate(counted, back, selected)))
            else:
                empty = self.store.catalog.empty_value(entity, selected.name)
                scalars.append((selected.alias, selected.name, empty))

        def project(rows: Sequence[Row]) -> list[dict[str, Any]]:
            self.count += len(rows)
            projected = [{alias: row.get(name, empty) for alias, name, empty in scalars} for row in rows]
            for alias, resolve in resolvers:
                for row, made in zip(rows, projected, strict=True):
                    made[alias] = resolve(row)
            return projected

        return project

    def _one(self, relation: Relation, selected: Selected) -> _Resolve:
        project = self.rows(relation.target, selected.selections)
        allowed = self._allowed(relation, selected)

        def resolve(row: Row) -> Any:
            target = self.store.by_id(relation.target, row.get(relation.key))
            return project([target])[0] if target is not None and allowed(target) else None

        return resolve

    def _children(self, relation: Relation, selected: Selected) -> Callable[[Row], Sequence[Row]]:
        allowed = self._allowed(relation, selected)
        index = self.store.index(relation.target, relation.key)
        return lambda row: [child for child in index.get(row["id"], ()) if allowed(child)]

    def _allowed(self, relation: Relation, selected: Selected) -> Callable[[Row], bool]:
        where = selected.arguments.get("where")
        if not where:
            return lambda _: True
        ids = {row["id"] for row in self.store.matching(relation.target, where)}
        return lambda row: row["id"] in ids

    def _aggregate(self, entity: str, relation: Relation, selected: Selected) -> _Resolve:
        children = self._children(relation, selected)
        return lambda row: aggregate(self.store, entity, children(row), selected.selections)

    def _connection(self, relation: Relation, selected: Selected) -> _Resolve:
        start, end = _window(selected.arguments)
        order_by = selected.arguments.get("orderBy")
        children = self._children(relation, selected)
        parts = [self._part(relation, part, start, end) for part in selected.selections]

        def resolve(row: Row) -> dict[str, Any]:
            everything = ordered(self.store, relation.target, children(row), order_by, self.shuffle)
            return {alias: make(everything) for alias, make in parts}

        return resolve

    def _part(
        self, relation: Relation, part: Selected, start: int, end: int
    ) -> tuple[str, Callable[[Sequence[Row]], Any]]:
        if part.name == "pageInfo":
            return part.alias, lambda rows: _page_info(part.selections, len(rows), start, end)
        if part.name != "edges":
            return part.alias, lambda _: f"{relation.target}Connection"
        nodes = [(e.alias, self.rows(relation.target, e.selections)) for e in part.selections if e.name == "node"]
        cursors = [e.alias for e in part.selections if e.name == "cursor"]

        def edges(rows: Sequence[Row]) -> list[dict[str, Any]]:
            page = rows[start:end]
            made: list[dict[str, Any]] = [{alias: _cursor(start + i) for alias in cursors} for i in range(len(page))]
            for alias, project in nodes:
                for edge, node in zip(made, project(page), strict=True):
                    edge[alias] = node
            return made

        return part.alias, edges


def _window(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """The first item of the page asked for and the one past its last."""
    if arguments.get("before") is not None or arguments.get("last") is not None:
        raise QueryError("This stand-in pages forward only")
    first, after = arguments.get("first"), arguments.get("after")
    if first is not None and first < 0:
        raise QueryError("Argument 'first' must be a non-negative integer.")
    if first is not None and first > PAGE:
        raise QueryError(f"Argument 'first' cannot be higher than {PAGE}.")
    start = _position(after) + 1 if after is not None else 0
    return start, start + (PAGE if first is None else first)


def _page_info(selections: Selections, total: int, start: int, end: int) -> dict[str, Any]:
    empty = start >= min(end, total)
    values = {
        "hasNextPage": total > end,
        "hasPreviousPage": start > 0,
        "startCursor": None if empty else _cursor(start),
        "endCursor": None if empty else _cursor(min(end, total) - 1),
        "__typename": "PageInfo",
    }
    return {s.alias: values[s.name] for s in selections}


def _cursor(position: int) -> str:
    return _encoded(f"{_CURSOR}{position}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _position(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix(_CURSOR))
    except ValueError:
        raise QueryError(f"Argument 'after' is no cursor: {cursor!r}") from None
