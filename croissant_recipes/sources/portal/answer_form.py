"""The form that the answer to a query has by the portal's schema. What comes over the network may have any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)

from croissant_recipes.location import is_of

Check = Callable[[Any], str | None]
"""Says what of a value is not as it should be, and where: ``rows.3.id is no Int``; ``None`` where all is."""

_PLACES = frozenset({"s3Path", "s3OmezarrDir"})
"""Fields that say where data lies, which becomes the URL of a row."""

_SCALARS: Mapping[str, tuple[type, ...]] = {"Int": (int,), "Float": (int, float), "Boolean": (bool,), "ID": (int, str)}


def form_of(schema: GraphQLSchema, document: DocumentNode) -> Check:
    """What checks the ``data`` of answers to a query that the schema allows."""
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert schema.query_type is not None
    return _object(schema.query_type, operation.selection_set)


def _of(kind: Any, selection: SelectionSetNode | None) -> Check:
    if isinstance(kind, GraphQLNonNull):
        return _of_values(kind.of_type, selection)
    check = _of_values(kind, selection)
    return lambda value: None if value is None else check(value)


def _of_values(kind: Any, selection: SelectionSetNode | None) -> Check:
    if isinstance(kind, GraphQLList):
        return _list(_of(kind.of_type, selection))
    if isinstance(kind, GraphQLObjectType):
        assert selection is not None
        return _object(kind, selection)
    return _scalar(kind)


def _object(kind: GraphQLObjectType, selection: SelectionSetNode) -> Check:
    checks = []
    for node in selection.selections:
        assert isinstance(node, FieldNode)
        name = node.alias.value if node.alias else node.name.value
        check_value = _of(kind.fields[node.name.value].type, node.selection_set)
        checks.append((name, _place(check_value) if node.name.value in _PLACES else check_value))

    def check(value: Any) -> str | None:
        if type(value) is not dict:
            return f"is no {kind.name}"
        for name, inner in checks:
            if name not in value:
                return f"has no {name}"
            if (problem := inner(value[name])) is not None:
                return _below(name, problem)
        return None

    return check


def _list(inner: Check) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not list:
            return "is no list"
        for at, item in enumerate(value):
            if (problem := inner(item)) is not None:
                return _below(at, problem)
        return None

    return check


def _scalar(kind: Any) -> Check:
    if kind.name == "DateTime":
        return _date
    # What else there may be are texts.
    types = (str,) if isinstance(kind, GraphQLEnumType) else _SCALARS.get(kind.name, (str,))
    problem = f"is no {kind.name}"
    return lambda value: None if type(value) in types else problem


def _place(inner: Check) -> Check:
    """Of a server that names a file of whoever asks, or of another kind of store, no row is made."""

    def check(value: Any) -> str | None:
        problem = inner(value)
        if problem is None and value and not is_of(value, "s3"):
            return "is no place on S3"
        return problem

    return check


def _date(value: Any) -> str | None:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return "is no DateTime"
    return None


def _below(name: object, problem: str) -> str:
    return f"{name} {problem}" if problem.startswith(("is ", "has ")) else f"{name}.{problem}"
