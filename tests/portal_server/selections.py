"""A query document with everything but its fields taken away."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
    get_variable_values,
    parse,
    validate,
)

from tests.portal_server.filters import QueryError


@dataclass(frozen=True)
class Selected:
    """A field that the query asks for, with its arguments as plain values."""

    name: str
    alias: str
    arguments: Mapping[str, Any]
    selections: Selections


Selections = tuple[Selected, ...]


@functools.lru_cache(maxsize=64)
def _validated(schema: GraphQLSchema, query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(schema, document))


def selections_of(schema: GraphQLSchema, query: str, variables: Mapping[str, Any]) -> Selections:
    """The fields that a query asks for.

    Raises:
        QueryError: The query or its variables do not fit the schema, or it is not one operation of type query.
    """
    document, errors = _validated(schema, query)
    if document is None or errors:
        raise QueryError("\n".join(error.message for error in errors))
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation.value != "query":
        raise QueryError("This stand-in takes one operation of type query")
    values = get_variable_values(schema, operations[0].variable_definitions or (), dict(variables))
    if isinstance(values, list):
        raise QueryError("\n".join(error.message for error in values))
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    assert schema.query_type is not None
    return _Reader(values, fragments).read(schema.query_type, [operations[0].selection_set])


@dataclass(frozen=True)
class _Reader:
    variables: Any
    fragments: Mapping[str, FragmentDefinitionNode]

    def read(self, parent: GraphQLObjectType, selection_sets: Sequence[SelectionSetNode]) -> Selections:
        """The fields of selection sets; a field that is asked for twice is one field."""
        by_alias: dict[str, list[FieldNode]] = {}
        for selection_set in selection_sets:
            for node in self._fields(selection_set):
                by_alias.setdefault((node.alias or node.name).value, []).append(node)
        return tuple(self._selected(parent, alias, nodes) for alias, nodes in by_alias.items())

    def _fields(self, selection_set: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                yield from self._fields(self.fragments[node.name.value].selection_set)

    def _selected(self, parent: GraphQLObjectType, alias: str, nodes: Sequence[FieldNode]) -> Selected:
        name = nodes[0].name.value
        if name.startswith("__"):
            return Selected(name, alias, {}, ())
        field = parent.fields[name]
        inner = get_named_type(field.type)
        sets = [node.selection_set for node in nodes if node.selection_set]
        selections = self.read(inner, sets) if isinstance(inner, GraphQLObjectType) else ()
        return Selected(name, alias, get_argument_values(field, nodes[0], self.variables), selections)
