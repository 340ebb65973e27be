"""The objects that a portal dataset has annotations of, as copick's pickable objects.

One for each object id. Its name and database ids come from the annotation with the highest id among those of all
datasets, as copick lets the last one win. So nothing about an object depends on the runs that a layer reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

PICKS_SHAPES = ("Point", "OrientedPoint")
SEGMENTATION_SHAPES = {"SegmentationMask": "binary", "InstanceSegmentationMask": "instance"}
"""Shape types that are volumes in copick, and the segmentation type of each."""

SHAPES: Mapping[str, tuple[str, ...]] = {"picks": PICKS_SHAPES, "segmentations": tuple(SEGMENTATION_SHAPES)}
"""The shape types that an artifact type comes from."""

USER = "data-portal"
"""copick's user of every annotation."""

RADIUS = 50.0
"""Å, as the portal gives none."""

_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1F\x7F\s_]')
_PDB_OBJECT = re.compile(r"PDB-([0-9a-z]{4,8})\Z", re.IGNORECASE)


@dataclass(frozen=True)
class PortalObject:
    """An object that annotations of the datasets have.

    Attributes:
        identifier: The portal's object id.
        name: copick's name of it.
        spelled: The object as the portal spells it.
        annotations: How many annotations of it there are.
        shapes: How many shapes of each type they have.
        emdb_id, pdb_id: As the annotation's publications say.
        modified: When an annotation of it was changed last, as the portal spells it.
    """

    identifier: str
    name: str
    spelled: str
    annotations: int
    shapes: Mapping[str, int] = field(default_factory=dict)
    emdb_id: str | None = None
    pdb_id: str | None = None
    modified: str = ""

    @property
    def is_particle(self) -> bool:
        return self.count("picks") > 0

    def shapes_of(self, artifact: str) -> frozenset[str]:
        """The shape types that it has among those that become artifacts of a type."""
        return frozenset(shape for shape in SHAPES[artifact] if self.shapes.get(shape))

    def count(self, artifact: str) -> int:
        """How many shapes there are that become artifacts of a type."""
        return sum(self.shapes.get(shape, 0) for shape in SHAPES[artifact])


def object_name(spelled: str, identifier: str) -> str:
    """copick's name of a portal object; that of its id where nothing of the name can be kept."""
    for text in (spelled, identifier, "object"):
        name = _UNUSABLE.sub("-", text).strip("-").lower()
        if name:
            return name
    raise AssertionError("a plain word is always usable")


def portal_objects(
    annotation_groups: Iterable[Mapping[str, Any]], shape_groups: Iterable[Mapping[str, Any]]
) -> tuple[PortalObject, ...]:
    """The objects by object id, from annotations grouped by object and publication, and shapes grouped by object."""
    latest: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    modified: dict[str, str] = {}
    for group in annotation_groups:
        identifier = group["groupBy"]["objectId"]
        counts[identifier] = counts.get(identifier, 0) + group["count"]
        modified[identifier] = max(modified.get(identifier, ""), group["max"]["lastModifiedDate"] or "")
        if identifier not in latest or group["max"]["id"] > latest[identifier]["max"]["id"]:
            latest[identifier] = group
    shapes: dict[str, dict[str, int]] = {}
    for group in shape_groups:
        by = group["groupBy"]
        if by["annotation"] is not None and by["shapeType"] is not None:
            shapes.setdefault(by["annotation"]["objectId"], {})[by["shapeType"]] = group["count"]
    return tuple(
        replace(_object(i, latest[i]["groupBy"], counts[i], shapes.get(i, {})), modified=modified[i])
        for i in sorted(latest)
    )


def _object(identifier: str, by: Mapping[str, Any], annotations: int, shapes: Mapping[str, int]) -> PortalObject:
    publications = [p.strip() for p in (by["annotationPublication"] or "").split(",")]
    in_pdb = _PDB_OBJECT.match(identifier.strip())
    return PortalObject(
        identifier,
        object_name(by["objectName"], identifier),
        by["objectName"],
        annotations,
        shapes,
        emdb_id=next((p for p in publications if p.startswith("EMD")), None),
        pdb_id=next((p for p in publications if p.startswith("PDB")), in_pdb and in_pdb[1]),
    )


def pickable(objects: Iterable[PortalObject]) -> tuple[Mapping[str, Any], ...]:
    """The fields of copick's ``PickableObject``. The portal has no labels and colours; the compiler gives them."""
    return tuple(
        {
            "name": o.name,
            "is_particle": o.is_particle,
            "label": None,
            "color": None,
            "emdb_id": o.emdb_id,
            "pdb_id": o.pdb_id,
            "identifier": o.identifier,
            "map_threshold": None,
            "radius": RADIUS,
            "metadata": {},
        }
        for o in objects
    )
