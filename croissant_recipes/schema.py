"""The record sets of a copick Croissant: columns, keys, types.

The facts are those of ``copick.impl.mlcroissant.CSV_SCHEMA`` (copick 1.31); a test holds the two equal. They are
written down here because importing copick takes longer than a whole ``check``.
"""

from __future__ import annotations

from dataclasses import dataclass

ARTIFACT_TYPES = ("runs", "tomograms", "features", "picks", "meshes", "segmentations", "objects")
"""What a layer can name, in the order of the recipe format."""

SEGMENTATION_TYPES = ("binary", "multilabel", "instance", "panoptic")

_PORTAL_ANNOTATION = ("portal_object_name", "portal_session_id", "portal_annotation_id", "portal_annotation_file_id")


@dataclass(frozen=True)
class RecordSet:
    """One CSV of the Croissant.

    Attributes:
        name: ``picks``; the record set's id is ``copick/picks`` and its file ``picks.csv``.
        artifact: The artifact type that a recipe selects it by, ``None`` for the derived voxel spacings.
        columns: The header, in order.
        key: The columns that identify a row.
        floats: Columns of type ``sc:Float`` (voxel sizes, in Å).
        booleans: Columns of type ``sc:Boolean``. All others are ``sc:Text``.
    """

    name: str
    artifact: str | None
    columns: tuple[str, ...]
    key: tuple[str, ...]
    floats: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"copick/{self.name}"

    @property
    def csv_name(self) -> str:
        return f"{self.name}.csv"

    @property
    def parquet_name(self) -> str:
        return f"{self.name}.parquet"

    @property
    def file_object_id(self) -> str:
        return f"{self.name.replace('_', '-')}-csv"

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(c for c in self.columns if c not in self.floats and c not in self.booleans)

    def data_type(self, column: str) -> str:
        return "sc:Float" if column in self.floats else "sc:Boolean" if column in self.booleans else "sc:Text"


def _typed_segmentations(name: str) -> RecordSet:
    key = ("run", "voxel_size", "user_id", "session_id", "name")
    return RecordSet(name, "segmentations", (*key, "url", *_PORTAL_ANNOTATION), key, ("voxel_size",))


RECORD_SETS: dict[str, RecordSet] = {
    r.name: r
    for r in (
        RecordSet("runs", "runs", ("name", "portal_run_id", "split"), ("name",)),
        RecordSet("voxel_spacings", None, ("run", "voxel_size"), ("run", "voxel_size"), ("voxel_size",)),
        RecordSet(
            "tomograms",
            "tomograms",
            ("run", "voxel_size", "tomo_type", "url", "portal_tomo_type", "portal_tomogram_id"),
            ("run", "voxel_size", "tomo_type"),
            ("voxel_size",),
        ),
        RecordSet(
            "features",
            "features",
            ("run", "voxel_size", "tomo_type", "feature_type", "url"),
            ("run", "voxel_size", "tomo_type", "feature_type"),
            ("voxel_size",),
        ),
        RecordSet(
            "picks",
            "picks",
            ("run", "user_id", "session_id", "object_name", "voxel_size", "url", "sha256", *_PORTAL_ANNOTATION),
            ("run", "user_id", "session_id", "object_name"),
            ("voxel_size",),
        ),
        RecordSet(
            "meshes",
            "meshes",
            ("run", "user_id", "session_id", "object_name", "url", "sha256"),
            ("run", "user_id", "session_id", "object_name"),
        ),
        RecordSet(
            "segmentations",
            "segmentations",
            ("run", "voxel_size", "user_id", "session_id", "name", "is_multilabel", "url", *_PORTAL_ANNOTATION),
            ("run", "voxel_size", "user_id", "session_id", "name", "is_multilabel"),
            ("voxel_size",),
            ("is_multilabel",),
        ),
        _typed_segmentations("instance_segmentations"),
        _typed_segmentations("panoptic_segmentations"),
        RecordSet("objects", "objects", ("name", "url"), ("name",)),
    )
}
"""Every record set by name, in the order in which copick writes them."""

SEGMENTATION_RECORD_SETS = {
    "binary": "segmentations",
    "multilabel": "segmentations",
    "instance": "instance_segmentations",
    "panoptic": "panoptic_segmentations",
}
"""The record set that holds each type of segmentation."""

STANDARD_SPLITS = {
    "train": "https://mlcommons.org/definitions/training_split",
    "val": "https://mlcommons.org/definitions/validation_split",
    "validation": "https://mlcommons.org/definitions/validation_split",
    "test": "https://mlcommons.org/definitions/test_split",
    "eval": "https://mlcommons.org/definitions/test_split",
}
"""MLCommons definitions of the standard split names, compared without case."""
