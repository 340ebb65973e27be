"""What the metadata of a Zarr store says of the array that copick opens: Zarr 2 and 3, with or without OME-NGFF.

No chunk is ever asked for, and no folder listed: only the few files that hold metadata, each by its name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from croissant_recipes import intake
from croissant_recipes.sources.base import ArrayFacts

Get = Callable[[str], bytes | None]
"""The content of a file of a store, ``None`` where there is none."""

_ATTRIBUTES, _ARRAY, _BOTH = ".zattrs", ".zarray", "zarr.json"
_LEVEL = "0"
"""Where copick looks for the array."""

_SPATIAL = 3
_PREFIXES = {
    "yotta": 24,
    "zetta": 21,
    "exa": 18,
    "peta": 15,
    "tera": 12,
    "giga": 9,
    "mega": 6,
    "kilo": 3,
    "hecto": 2,
    "": 0,
    "deci": -1,
    "centi": -2,
    "milli": -3,
    "micro": -6,
    "nano": -9,
    "pico": -12,
    "femto": -15,
    "atto": -18,
    "zepto": -21,
    "yocto": -24,
}
_UNITS = {"angstrom": 1.0, **{f"{prefix}meter": 10.0 ** (power + 10) for prefix, power in _PREFIXES.items()}}
"""Å of each unit of length of OME-NGFF, other than feet, miles and parsecs."""


class _ForeignError(ValueError):
    """Metadata that is none that copick could read."""


def array_facts(get: Get) -> ArrayFacts:
    """What a store says of itself.

    Args:
        get: Reads a file of the store. What it raises is not caught.
    """
    try:
        attributes, array = _documents(get)
        scales = _scales(attributes)
        axes = _axes(scales)
        shape = _shape(array)
        spatial = _spatial(axes, len(shape))
    except _ForeignError as error:
        return ArrayFacts(problem=str(error))
    known = tuple(shape[i] for i in spatial)
    try:
        sizes = _voxel_size(scales, axes, len(shape))
    except _ForeignError as error:
        return ArrayFacts(known, unsized=str(error))  # type: ignore[arg-type]
    return ArrayFacts(known, tuple(sizes[i] for i in spatial))  # type: ignore[arg-type]


def as_text(facts: ArrayFacts) -> str:
    """What the cache keeps of metadata that could be read."""
    return json.dumps([facts.shape, facts.voxel_size, facts.unsized])


def from_text(text: str) -> ArrayFacts | None:
    """What ``as_text`` kept, ``None`` where the text is none of its own."""
    try:
        (z, y, x), sizes, unsized = json.loads(text)
        size = None if sizes is None else (float(sizes[0]), float(sizes[1]), float(sizes[2]))
        return ArrayFacts((int(z), int(y), int(x)), size, unsized=str(unsized))
    except (ValueError, TypeError, IndexError):
        return None


def _shape(array: Mapping[str, Any]) -> Sequence[int]:
    shape = array.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise _ForeignError(f"its array {_LEVEL!r} has no shape")
    return shape


def _documents(get: Get) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The attributes of the store, and what is said of the array."""
    attributes, name = _parsed(get, _ATTRIBUTES), f"{_LEVEL}/{_ARRAY}"
    if attributes is None:
        group = _parsed(get, _BOTH)
        if group is not None:
            attributes, name = _mapping(group, "attributes"), f"{_LEVEL}/{_BOTH}"
            attributes = _mapping(attributes, "ome") or attributes
    array = _parsed(get, name)
    if array is None and attributes is None:
        raise _ForeignError(f"it has no {_ATTRIBUTES}, no {_BOTH} and no {name}")
    if array is None:
        named = [path for path in (d.get("path") for d in _datasets(_scales(attributes or {}))) if path != _LEVEL]
        other = f": its largest scale is {named[0]!r}, and copick opens {_LEVEL!r}" if named else ""
        raise _ForeignError(f"it has no {name}{other}")
    return attributes or {}, array


def _mapping(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = of.get(key)
    return found if isinstance(found, Mapping) else {}


def _parsed(get: Get, name: str) -> Mapping[str, Any] | None:
    data = get(name)
    if data is None:
        return None
    try:
        # Zarr writes the fill value NaN as Python does.
        value = intake.parse_json(data, nan=True)
    except ValueError as error:
        raise _ForeignError(f"{name}: {error}") from None
    if not isinstance(value, Mapping):
        raise _ForeignError(f"{name}: it is no JSON object")
    return value


def _scales(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first of the store's multiscales, empty where it has none."""
    found = attributes.get("multiscales")
    first = found[0] if isinstance(found, list) and found else {}
    if not isinstance(first, Mapping):
        raise _ForeignError("its multiscales are none of OME-NGFF")
    return first


def _datasets(scales: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = scales.get("datasets")
    return [d for d in found if isinstance(d, Mapping)] if isinstance(found, list) else []


def _axes(scales: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """The axes with their names, types and units, ``None`` where the store does not say."""
    axes = scales.get("axes")
    if not isinstance(axes, list):
        return None
    # OME-NGFF 0.3 has names alone.
    return [axis if isinstance(axis, Mapping) else {"name": axis} for axis in axes]


def _spatial(axes: Sequence[Mapping[str, Any]] | None, dimensions: int) -> Sequence[int]:
    """Which three of an array's axes are those of space."""
    if axes is None or len(axes) != dimensions:
        if dimensions < _SPATIAL:
            raise _ForeignError(f"its array has {dimensions} axes, and not three of space")
        return range(dimensions - _SPATIAL, dimensions)
    found = [i for i, axis in enumerate(axes) if axis.get("type", axis.get("name")) in ("space", "z", "y", "x")]
    if len(found) != _SPATIAL:
        raise _ForeignError(f"its array has {len(found)} axes of space, and not three")
    return found


def _voxel_size(
    scales: Mapping[str, Any], axes: Sequence[Mapping[str, Any]] | None, dimensions: int
) -> Sequence[float]:
    """Å along each axis of the array."""
    opened = next((d for d in _datasets(scales) if d.get("path") == _LEVEL), {})
    stated = [*_transformations(opened), *_transformations(scales)] if opened else []
    if not any(t.get("type") == "scale" for t in stated):
        raise _ForeignError("it states no voxel size")
    sizes = [1.0] * dimensions
    for each in stated:
        if each.get("type") in ("translation", "identity"):
            continue
        factors = each.get("scale") if each.get("type") == "scale" else None
        if not isinstance(factors, list) or len(factors) != dimensions:
            raise _ForeignError("its scale is no number for each axis")
        if not all(isinstance(f, int | float) and math.isfinite(f) and f > 0 for f in factors):
            raise _ForeignError("its scale is no number for each axis")
        sizes = [size * factor for size, factor in zip(sizes, factors, strict=True)]
    units = [axis.get("unit") for axis in axes] if axes is not None and len(axes) == dimensions else [None] * dimensions
    for i in _spatial(axes, dimensions):
        # Who states no unit means Å, as copick does.
        unit = "angstrom" if units[i] is None else units[i]
        if not isinstance(unit, str) or unit not in _UNITS:
            raise _ForeignError(f"its voxel size is in {unit!r}, which is no unit of length that is known here")
        sizes[i] *= _UNITS[unit]
    return sizes


def _transformations(of: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = of.get("coordinateTransformations")
    return [t for t in found if isinstance(t, Mapping)] if isinstance(found, list) else []
