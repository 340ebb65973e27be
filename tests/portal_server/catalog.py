"""What the client's schema says about types: relations, keys, and what a field holds when a row leaves it out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cryoet_data_portal
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

_CONNECTION = "Connection"
_AGGREGATE = "Aggregate"
_EMPTY = {"Int": 0, "Float": 0.0, "String": "", "Boolean": False, "ID": "", "DateTime": "1970-01-01T00:00:00+00:00"}


@dataclass(frozen=True)
class Relation:
    """A field that leads to another type.

    Attributes:
        target: The type it leads to.
        key: For a to-one relation the field of this type that holds the target's id; for a to-many relation the
            field of the target that holds this type's id.
        many: Whether it is a connection.
    """

    target: str
    key: str
    many: bool


@dataclass(frozen=True)
class Catalog:
    """The schema, and its entity types by name with their relations."""

    schema: GraphQLSchema
    relations: Mapping[str, Mapping[str, Relation]]

    def field(self, entity: str, name: str) -> GraphQLField:
        """A field of an entity type or of ``Query``."""
        field: GraphQLField = _object(self.schema, entity).fields[name]
        return field

    def aggregated(self, entity: str, name: str) -> str | None:
        """The type that a field of an entity counts, ``None`` for any other field."""
        return _aggregated(self.field(entity, name))

    def lists(self, name: str) -> str | None:
        """The type that a field of ``Query`` lists, ``None`` for an aggregate."""
        field = self.field("Query", name)
        return None if _aggregated(field) else get_named_type(field.type).name

    def counts(self, name: str) -> str | None:
        """The type that a field of ``Query`` counts."""
        return _aggregated(self.field("Query", name))

    def is_time(self, entity: str, name: str) -> bool:
        return get_named_type(self.field(entity, name).type).name == "DateTime"

    def empty_value(self, entity: str, name: str) -> object:
        """What a row that lacks the field answers: ``None`` where the schema allows it."""
        declared = self.field(entity, name).type
        if not is_non_null_type(declared):
            return None
        if is_list_type(declared.of_type):
            return []
        named = get_named_type(declared)
        return next(iter(named.values)) if isinstance(named, GraphQLEnumType) else _EMPTY[named.name]


@functools.cache
def catalog() -> Catalog:
    """The catalog of the schema in the installed ``cryoet_data_portal``."""
    text = (Path(cryoet_data_portal.__file__).parent / "data" / "schema.graphql").read_text()
    schema = build_schema(text)
    entities = [
        name
        for name, found in schema.type_map.items()
        if isinstance(found, GraphQLObjectType) and any(i.name == "EntityInterface" for i in found.interfaces)
    ]
    return Catalog(schema, {entity: _relations(schema, entity, set(entities)) for entity in entities})


def _relations(schema: GraphQLSchema, entity: str, entities: set[str]) -> dict[str, Relation]:
    found = {}
    for name, field in _object(schema, entity).fields.items():
        named = get_named_type(field.type).name
        if named in entities:
            found[name] = Relation(named, f"{name}Id", many=False)
        elif named.endswith(_CONNECTION):
            target = named.removesuffix(_CONNECTION)
            found[name] = Relation(target, f"{_back_reference(schema, target, entity)}Id", many=True)
    return found


def _back_reference(schema: GraphQLSchema, target: str, entity: str) -> str:
    name: str
    (name,) = [n for n, f in _object(schema, target).fields.items() if get_named_type(f.type).name == entity]
    return name


def _aggregated(field: GraphQLField) -> str | None:
    named = get_named_type(field.type).name
    return named.removesuffix(_AGGREGATE) if named.endswith(_AGGREGATE) else None


def _object(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = schema.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found
