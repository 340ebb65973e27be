"""Pickable objects: the union over the layers' sources, renamed, overridden, labelled."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, did_you_mean
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.recipe import ObjectOverride
from croissant_recipes.language.yaml_nodes import Document
from croissant_recipes.schema import ARTIFACTS

PickableObject = dict[str, Any]

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

ORIGINAL_NAME = "portal_original_name"


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
) -> tuple[dict[str, PickableObject], list[Diagnostic]]:
    """The objects of all sources of all layers by name. The earlier entry wins; a later one that says otherwise is
    reported, unless the recipe itself says what is right.

    Args:
        offered: Each layer, the name of one of its sources, and the objects of that.
        overrides: The recipe's ``objects:``.
    """
    merged: dict[str, PickableObject] = {}
    origin: dict[str, tuple[LayerSpec, str]] = {}
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
    return merged, found


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
                hint = did_you_mean(name, [*result, *named]) or "overrides go by output name, after renames"
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


def complete(objects: Mapping[str, PickableObject]) -> tuple[list[PickableObject], list[Diagnostic]]:
    """Give a label and a colour to objects that have none, the same in every process: labels by the source's names,
    from the lowest that is free; colours by a hash of the name."""
    taken = {o["label"] for o in objects.values() if o.get("label") is not None}
    result = {name: dict(entry) for name, entry in objects.items()}
    label = 1
    for name in sorted(result, key=lambda n: _label_order(n, result)):
        entry = result[name]
        if entry.get("label") is None:
            while label in taken:
                label += 1
            entry["label"] = label
            taken.add(label)
        if entry.get("color") is None:
            entry["color"] = color_of(name)
    return list(result.values()), _shared_labels(result)


def _label_order(name: str, objects: Mapping[str, PickableObject]) -> tuple[bool, str, str]:
    """By the source's name, so that no rename moves a label. An object that another layer has under its old name comes
    after all others, so that a layer more or less moves none either."""
    original = str((objects[name].get("metadata") or {}).get(ORIGINAL_NAME, name))
    return original != name and original in objects, original, name


def _shared_labels(objects: Mapping[str, PickableObject]) -> list[Diagnostic]:
    by_label: dict[int, list[str]] = {}
    for name in sorted(objects):
        by_label.setdefault(objects[name]["label"], []).append(name)
    return [
        Diagnostic(
            Code.OBJECT_DRIFT,
            f"objects {' and '.join(repr(n) for n in names)} have the label {label}",
            Severity.WARNING,
            hint=f"labels tell objects apart in multilabel segmentations; set one under `objects: {{{names[-1]}: …}}`",
        )
        for label, names in sorted(by_label.items())
        if len(names) > 1
    ]


def color_of(name: str) -> list[int]:
    """An opaque RGBA colour that depends on nothing but the name."""
    digest = hashlib.sha256(name.encode()).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + digest[2] / 1024, 0.75 + digest[3] / 1024)
    return [round(red * 255), round(green * 255), round(blue * 255), 255]
