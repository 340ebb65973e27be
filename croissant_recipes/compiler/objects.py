"""Pickable objects: the union over the layers' sources, renamed, overridden, labelled."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.compiler.labels import ORIGINAL_NAME, Entry, Giver, Labelling, original_name
from croissant_recipes.diagnostics import Diagnostic, Severity, did_you_mean
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.recipe import ObjectOverride, Output
from croissant_recipes.language.yaml_nodes import Document
from croissant_recipes.schema import ARTIFACTS

PickableObject = dict[str, Any]

Origin = tuple[LayerSpec, str]
"""A layer, and the name of one of its sources."""

FIELDS = (
    "name",
    "is_particle",
    "label",
    "color",
    "emdb_id",
    "pdb_id",
    "identifier",
    "map_threshold",
    "radius",
    "metadata",
)
"""The fields of copick's ``PickableObject``, in its order; a test holds them equal."""


@dataclass(frozen=True)
class Offered:
    """The pickable objects that a result may list.

    Attributes:
        objects: By name, as the sources and the recipe have them.
        origin: The layer that each is of, and the name of its source.
        used: Names that rows have, whatever a result shows of these.
    """

    objects: Mapping[str, PickableObject]
    origin: Mapping[str, Origin] = field(default_factory=dict)
    used: frozenset[str] = frozenset()


def renamed(objects: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> list[PickableObject]:
    """Objects under their new names; ``metadata.portal_original_name`` keeps the old one."""
    result = []
    for given in objects:
        entry = {f: given.get(f) for f in FIELDS} | {k: v for k, v in given.items() if k not in FIELDS}
        metadata = dict(given.get("metadata") or {})
        entry["metadata"] = metadata
        old = str(given["name"])
        new = names.get(old, old)
        if new != old:
            entry["name"] = new
            metadata.setdefault(ORIGINAL_NAME, old)
        result.append(entry)
    return result


def union(
    offered: Sequence[tuple[LayerSpec, str, Sequence[PickableObject]]],
    overrides: Mapping[str, ObjectOverride],
) -> tuple[dict[str, PickableObject], dict[str, Origin], list[Diagnostic]]:
    """The objects of all sources of all layers by name, and where each is from. The earlier entry wins; a later
    one that says otherwise is reported, unless the recipe itself says what is right.

    Args:
        offered: Each layer, the name of one of its sources, and the objects of that.
        overrides: The recipe's ``objects:``.
    """
    merged: dict[str, PickableObject] = {}
    origin: dict[str, Origin] = {}
    found: list[Diagnostic] = []
    for spec, source, entries in offered:
        for entry in entries:
            name = str(entry["name"])
            if name not in merged:
                merged[name], origin[name] = entry, (spec, source)
                continue
            decided = overrides[name].model_fields_set if name in overrides else set()
            differing = [f for f in _differences(merged[name], entry) if f not in decided]
            if not differing:
                continue
            earlier, known_to = origin[name]
            same = earlier is spec and known_to == source
            kept = "an earlier object" if same else f"the entry of {earlier.label_of(known_to)}"
            found.append(
                Diagnostic(
                    Code.OBJECT_DRIFT,
                    f"object {name!r} of {spec.label_of(source)} differs in {', '.join(differing)}; {kept} is kept",
                    Severity.INFO if same else Severity.WARNING,
                    hint=f"say what is right under `objects: {{{name}: …}}`",
                    span=spec.span,
                )
            )
    return merged, origin, found


def _differences(one: PickableObject, other: PickableObject) -> list[str]:
    return [
        f
        for f in FIELDS
        if f not in ("name", "metadata")
        and other.get(f) is not None
        and json.dumps(one.get(f), default=list) != json.dumps(other.get(f), default=list)
    ]


def override(
    objects: dict[str, PickableObject],
    overrides: Mapping[str, ObjectOverride],
    used: Iterable[str],
    document: Document,
) -> tuple[dict[str, PickableObject], list[Diagnostic]]:
    """Apply the recipe's ``objects:``. An object that only rows name can be defined here with ``is_particle``."""
    result = dict(objects)
    found: list[Diagnostic] = []
    named = set(used)
    for name, values in overrides.items():
        given = {f: v for f, v in values.model_dump(exclude_unset=True).items() if v is not None}
        if "color" in given:
            given["color"] = list(given["color"])
        if name in result:
            metadata = {**(result[name].get("metadata") or {}), **given.pop("metadata", {})}
            result[name] = {**result[name], **given, "metadata": metadata}
        elif name in named and "is_particle" in given:
            blank: PickableObject = dict.fromkeys(FIELDS)
            result[name] = {**blank, "name": name, "metadata": {}, **given}
        else:
            span = document.key_span("objects", name)
            if name in named:
                message = f"object {name!r} is in no source's pickable objects"
                hint = "add `is_particle: true` or `false` to define it here"
            else:
                message = f"no pickable object is called {name!r}"
                renamed = sorted(n for n, entry in result.items() if n != name and original_name(entry) == name)
                near = did_you_mean(name, renamed or [*result, *named])
                hint = near or "overrides go by output name, after renames"
            found.append(Diagnostic(Code.OBJECT_UNKNOWN, message, span=span, hint=hint))
    return result, found


def undefined(objects: Mapping[str, PickableObject], artifacts: Mapping[str, pd.DataFrame]) -> list[Diagnostic]:
    """Objects that picks and meshes name and no source defines: copick has no colour or radius for them."""
    found = []
    for artifact, described in ARTIFACTS.items():
        if described.object_column != "object_name":
            continue
        counts = artifacts[artifact]["object_name"].value_counts()
        for name in sorted(set(counts.index) - set(objects)):
            message = f"{counts[name]} {artifact} are of {name!r}, which is no pickable object of any source"
            hint = f"define it with `objects: {{{name}: {{is_particle: true}}}}`"
            found.append(Diagnostic(Code.OBJECT_MISSING, message, Severity.WARNING, hint))
    return found


def labelling(offered: Offered, overrides: Mapping[str, ObjectOverride], output: Output) -> Labelling:
    """What decides the labels of a result. What it does not show of the rows changes nothing: objects are the classes.

    Args:
        offered: All objects, with the recipe's ``objects:`` applied.
        overrides: ``objects:`` of the recipe.
        output: What the recipe says of the result.
    """
    entries = []
    for name, entry in offered.objects.items():
        given, (spec, source) = entry.get("label"), offered.origin.get(name, (None, None))
        giver = Giver.TOOL
        if name in overrides and overrides[name].label is not None:
            giver = Giver.RECIPE
        elif given is not None and spec is not None:
            giver = Giver.SOURCE if spec.number else Giver.BASE
        source = source if giver is Giver.SOURCE else None
        listed = name in offered.used or output.unused_objects == "keep"
        entries.append(Entry(name, original_name(entry), given, giver, source, name in offered.used, listed))
    return Labelling(tuple(entries), output.labels == "dense")


def complete(offered: Offered, numbers: Mapping[str, int]) -> list[PickableObject]:
    """The objects that are listed, with their labels, and with a colour where they have none: a hash of the name, the
    same in every process."""
    return [
        {**entry, "label": numbers[name]} | ({"color": color_of(name)} if entry.get("color") is None else {})
        for name, entry in offered.objects.items()
        if name in numbers
    ]


def color_of(name: str) -> list[int]:
    """An opaque RGBA colour that depends on nothing but the name."""
    digest = hashlib.sha256(name.encode()).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + digest[2] / 1024, 0.75 + digest[3] / 1024)
    return [round(red * 255), round(green * 255), round(blue * 255), 255]
