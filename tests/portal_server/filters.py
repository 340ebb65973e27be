"""``where``, ``orderBy`` and ``limitOffset`` over the tables."""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from tests.portal_server.catalog import Catalog, Relation

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]
Where = Mapping[str, Any]
Test = Callable[[Any], bool]

DEPTH = 4
"""Relations that a filter may nest."""

AGGREGATE_DEPTH = DEPTH - 1

_REMEMBERED = 64


class QueryError(Exception):
    """What the portal answers with a GraphQL error."""


class Store:
    """Rows by type, found by the values of their fields.

    Relations in a filter become sets of ids, each found once for the whole query, and the field with the fewest rows to
    look at leads: a filter for the children of a few runs does not scan a table of a million rows.
    """

    def __init__(self, catalog: Catalog, tables: Tables) -> None:
        self.catalog = catalog
        self._tables = tables
        self._indexes: dict[tuple[str, str], dict[Any, list[Row]]] = {}
        self._found: OrderedDict[bytes, list[Row]] = OrderedDict()

    def index(self, entity: str, field: str) -> dict[Any, list[Row]]:
        """The rows of a type by the value of a field."""
        known = self._indexes.get((entity, field))
        if known is None:
            known = {}
            for row in self._tables.get(entity, ()):
                known.setdefault(row.get(field), []).append(row)
            self._indexes[entity, field] = known
        return known

    def by_id(self, entity: str, key: Any) -> Row | None:
        found = self.index(entity, "id").get(key)
        return found[0] if found else None

    def matching(self, entity: str, where: Where | None, depth: int = DEPTH) -> list[Row]:
        """The rows that a filter lets through. Not to be changed by the caller: it is remembered.

        Raises:
            QueryError: The filter nests more than ``depth`` relations.
        """
        if not where:
            return list(self._tables.get(entity, ()))
        key = orjson.dumps([entity, depth, where])
        found = self._found.pop(key, None)
        if found is None:
            found = self._match(entity, where, depth)
        self._found[key] = found
        while len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        return found

    def _match(self, entity: str, where: Where, depth: int) -> list[Row]:
        within: dict[str, Collection[Any]] = {}
        tests: list[tuple[str, Test]] = []
        for field, condition in where.items():
            if condition is None:
                continue
            relation = self.catalog.relations[entity].get(field)
            if relation is not None:
                if depth == 0:
                    raise QueryError("Max filter depth exceeded")
                column, keys = self._related(relation, condition, depth - 1)
                within[column] = _both(within.get(column), keys)
            elif self.catalog.aggregated(entity, field):
                raise QueryError("This stand-in has no filters on aggregates")
            else:
                for operator, argument in condition.items():
                    if operator in ("_eq", "_in") and argument is not None and not self._is_time(entity, field):
                        keys = dict.fromkeys(argument if operator == "_in" else [argument])
                        within[field] = _both(within.get(field), keys)
                    else:
                        tests.append((field, _test(operator, argument, self._is_time(entity, field))))
        return [row for row in self._candidates(entity, within) if all(test(row.get(f)) for f, test in tests)]

    def _is_time(self, entity: str, field: str) -> bool:
        return self.catalog.is_time(entity, field)

    def _related(self, relation: Relation, condition: Where, depth: int) -> tuple[str, dict[Any, None]]:
        """Which values of which column of this type satisfy a condition on a related one."""
        rows = self.matching(relation.target, condition, depth)
        if relation.many:
            return "id", dict.fromkeys(r[relation.key] for r in rows if r.get(relation.key) is not None)
        return relation.key, dict.fromkeys(r["id"] for r in rows)

    def _candidates(self, entity: str, within: Mapping[str, Collection[Any]]) -> Iterable[Row]:
        """Rows whose fields all have one of the values given for them."""
        if not within:
            return self._tables.get(entity, ())
        groups = {
            field: [g for v in values if (g := self.index(entity, field).get(v))] for field, values in within.items()
        }
        lead = min(groups, key=lambda field: sum(map(len, groups[field])))
        others = [(field, values) for field, values in within.items() if field != lead]
        return [row for group in groups[lead] for row in group if all(row.get(f) in v for f, v in others)]


def select(
    store: Store, entity: str, arguments: Mapping[str, Any], *, shuffle: random.Random | None = None
) -> Sequence[Row]:
    """The rows of a top-level list.

    Raises:
        QueryError: The filter is too deep, or there is an offset without a limit.
    """
    rows = ordered(store, entity, store.matching(entity, arguments.get("where")), arguments.get("orderBy"), shuffle)
    window = arguments.get("limitOffset") or {}
    limit, offset = window.get("limit"), window.get("offset") or 0
    if offset and limit is None:
        raise QueryError("Cannot use offset without limit")
    return rows if limit is None else rows[offset : offset + limit]


def ordered(
    store: Store,
    entity: str,
    rows: Sequence[Row],
    order_by: Sequence[Mapping[str, Any]] | None,
    shuffle: random.Random | None,
) -> Sequence[Row]:
    """Rows in the order asked for; what is equal in it is in any order when there is a ``shuffle``."""
    if shuffle is not None:
        rows = shuffle.sample(rows, len(rows))
    for clause in reversed(order_by or ()):
        for field, direction in clause.items():
            rows = _sorted(store, entity, rows, field, direction)
    return rows


def _sorted(store: Store, entity: str, rows: Sequence[Row], field: str, direction: Any) -> list[Row]:
    path = [field]
    while isinstance(direction, Mapping):
        ((name, direction),) = direction.items()
        path.append(name)
    values = [(_at(store, entity, row, path), row) for row in rows]
    nulls = [row for value, row in values if value is None]
    rest = sorted((pair for pair in values if pair[0] is not None), key=lambda p: p[0], reverse="desc" in direction)
    nulls_first = direction.endswith("_nulls_first") or direction == "desc"
    return nulls + [r for _, r in rest] if nulls_first else [r for _, r in rest] + nulls


def _at(store: Store, entity: str, row: Row | None, path: Sequence[str]) -> Any:
    for name in path[:-1]:
        relation = store.catalog.relations[entity][name]
        row = store.by_id(relation.target, row.get(relation.key)) if row else None
        entity = relation.target
    return row.get(path[-1]) if row else None


def _both(known: Collection[Any] | None, keys: dict[Any, None]) -> Collection[Any]:
    return keys if known is None else {k: None for k in keys if k in known}


def _test(operator: str, argument: Any, is_time: bool) -> Test:
    """A comparison as SQL makes it: nothing compares with a missing value but ``_is_null``."""
    if operator == "_is_null":
        return lambda value: (value is None) == argument
    if argument is None:
        return lambda value: (value is None) == (operator == "_eq")
    if is_time:
        argument = [_time(a) for a in argument] if isinstance(argument, list) else _time(argument)
    compare = _comparison(operator, argument)
    return lambda value: value is not None and compare(_time(value) if is_time else value)


def _comparison(operator: str, argument: Any) -> Test:
    plain: dict[str, Test] = {
        "_eq": lambda value: value == argument,
        "_neq": lambda value: value != argument,
        "_in": lambda value: value in argument,
        "_nin": lambda value: value not in argument,
        "_gt": lambda value: value > argument,
        "_gte": lambda value: value >= argument,
        "_lt": lambda value: value < argument,
        "_lte": lambda value: value <= argument,
    }
    return plain[operator] if operator in plain else _pattern(operator, argument)


def _pattern(operator: str, argument: str) -> Test:
    """``_like``, ``_regex`` and their ``n`` (not) and ``i`` (any case) forms."""
    form = operator.lstrip("_")
    negated, form = form.startswith("n"), form.removeprefix("n")
    flags = re.DOTALL | (re.IGNORECASE if form.startswith("i") else 0)
    if form.removeprefix("i") == "regex":
        expression = re.compile(argument, flags)
        return lambda value: bool(expression.search(value)) != negated
    text = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in argument)
    expression = re.compile(text, flags)
    return lambda value: bool(expression.fullmatch(value)) != negated


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
