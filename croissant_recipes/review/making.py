"""How a version came about: what its recipe, its sources and the tool were, as far as that is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from croissant_recipes.compiler import lineage
from croissant_recipes.croissant.build_record import Origin
from croissant_recipes.language.checked import TypeFilter
from croissant_recipes.language.normal_form import Parts

Described = Mapping[str, Any]
"""A layer, as ``lineage.described`` has it."""

BASE = 0
"""The number of the base among layers."""

_PLACE = ("layer", "operation")
_SINCE_PARTS = ("split", "on_collision")
"""What is noted of a layer since parts are."""


@dataclass(frozen=True)
class Making:
    """How a version came about.

    Attributes:
        recipe: The recipe's name.
        digest: Of its normal form.
        version: Of croissant-recipes.
        identities: What each source resolved to, by its name.
        base: What the base was.
        layers: By number; the base is layer 0.
        parts: Digests of what else the recipe says (``normal_form.parts``); empty where that is not known.
    """

    recipe: str
    digest: str
    version: str
    identities: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    layers: Mapping[int, Described] = field(default_factory=dict)
    parts: Parts = field(default_factory=dict)

    @classmethod
    def of_origin(cls, origin: Origin) -> Making | None:
        """How a build came or would come about, by its record; ``None`` where that says nothing of it."""
        if not origin.recipe_digest:
            return None
        try:
            plain = [_plain(layer) for layer in origin.layers]
            layers = {int(layer["layer"]): layer for layer in plain if layer.keys() & {"source", "sources"}}
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return cls(
            origin.recipe, origin.recipe_digest, origin.version, origin.sources, origin.base, layers, origin.parts
        )

    def sources_of(self, layer: int) -> Sequence[str]:
        """The names of a layer's sources."""
        found = self.layers[layer]
        return list(found["sources"]) if "sources" in found else [str(found["source"])]

    def asks(self, layer: int, artifact: str) -> Described:
        """What a layer asks of rows of a type beside their names, and of their runs."""
        takes = self.layers[layer].get("takes", {})
        return {
            f"{kind} {key}": value
            for kind in dict.fromkeys((artifact, "runs"))
            if isinstance(of_kind := takes.get(kind), Mapping)
            for key, value in of_kind.items()
            if key in ("where", "authors", "having", "lacking")
        }

    def filters(self, layer: int) -> Mapping[str, TypeFilter] | None:
        """What a layer took, ``None`` where this version of the tool does not understand it."""
        try:
            return lineage.filters_of(self.layers[layer])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _plain(layer: Described) -> Described:
    found: Described = json.loads(json.dumps(layer))
    return found


@dataclass(frozen=True)
class Comparison:
    """How two versions differ in how they came about."""

    before: Making
    after: Making

    @property
    def same_recipe(self) -> bool:
        return self.before.digest == self.after.digest

    @property
    def same_tool(self) -> bool:
        return self.before.version == self.after.version

    @property
    def same_sources(self) -> bool:
        of = ((dict(making.identities), making.base) for making in (self.before, self.after))
        return next(of) == next(of)

    def is_same_source(self, name: str) -> bool:
        """Whether a source resolves to what it did."""
        return name in self.before.identities and self.before.identities[name] == self.after.identities.get(name)

    @property
    def parts_known(self) -> bool:
        return self.same_recipe or bool(self.before.parts)

    @cached_property
    def pairs(self) -> Mapping[int, int]:
        """The layers of the one that are layers of the other, by number: those that do the same, else those of the same
        sources, else those that stand in one place and have a source in common."""
        old, new = self.before.layers, self.after.layers
        found: dict[int, int] = {BASE: BASE} if BASE in old and BASE in new else {}
        for alike in (self._do_the_same, self._have_the_same_sources, self._share_a_source):
            for number in sorted(new):
                left = [n for n in sorted(old) if n not in found and alike(n, number) and BASE not in (n, number)]
                if number not in found.values() and left:
                    found[number if number in left else left[0]] = number
        return found

    @cached_property
    def earlier(self) -> Mapping[int, int]:
        """The other way round: by the number after, that before."""
        return {new: old for old, new in self.pairs.items()}

    def unchanged(self, layer: int) -> bool:
        """Whether a layer of the one after does what it did."""
        old = self.earlier.get(layer)
        return old is not None and self._do_the_same(old, layer)

    def says_otherwise(self, layer: int, *keys: str) -> bool:
        """Whether a layer of the one after says something else under a key of ``Described``, or of what it takes."""
        one, other = self.before.layers[self.earlier[layer]], self.after.layers[layer]
        return any(
            (a.get(key) if isinstance(a, Mapping) else a) != (b.get(key) if isinstance(b, Mapping) else b)
            for a, b in ((one, other), (one.get("takes", {}), other.get("takes", {})))
            for key in keys
        )

    def differing(self, *path: str) -> tuple[str, ...] | None:
        """The path below ``path`` of the first part of the recipe that is another one, itself included; ``None`` where
        there is none that is known of."""
        if self.same_recipe or not self.before.parts:
            return None
        return _differing(_below(self.before.parts, path), _below(self.after.parts, path), path)

    def _do_the_same(self, old: int, new: int) -> bool:
        left_out = _PLACE if self.before.parts else (*_PLACE, *_SINCE_PARTS)
        one, other = (
            {k: v for k, v in layer.items() if k not in left_out}
            for layer in (self.before.layers[old], self.after.layers[new])
        )
        return one == other

    def _have_the_same_sources(self, old: int, new: int) -> bool:
        return list(self.before.sources_of(old)) == list(self.after.sources_of(new))

    def _share_a_source(self, old: int, new: int) -> bool:
        return old == new and bool({*self.before.sources_of(old)} & {*self.after.sources_of(new)})


def _below(parts: Any, path: Sequence[str]) -> Any:
    for key in path:
        parts = parts.get(key) if isinstance(parts, Mapping) else None
    return parts


def _differing(one: Any, other: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
    if one == other:
        return None
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            found = _differing(one.get(key), other.get(key), (*path, key))
            if found is not None:
                return found
    return path
