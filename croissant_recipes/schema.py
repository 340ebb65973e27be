"""What there is in a copick project and in a Croissant: the types of artifact, each described once, and the record sets
that hold them.

The facts of the record sets are those of ``copick.impl.mlcroissant.CSV_SCHEMA`` (copick 1.31); a test holds the two
equal. They are written down here because importing copick takes longer than a whole ``check``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SEGMENTATION_TYPES = ("binary", "multilabel", "instance", "panoptic")

PROJECT_KEYS = ("name", "description", "version", "user_id", "session_id")
"""What ``copick:config`` says of the copick project, beside its pickable objects."""

PORTAL_ANNOTATION = ("portal_object_name", "portal_session_id", "portal_annotation_id", "portal_annotation_file_id")
"""What rows of picks and segmentations say of the portal's record of them."""


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
    return RecordSet(name, "segmentations", (*key, "url", *PORTAL_ANNOTATION), key, ("voxel_size",))


RECORD_SETS: Mapping[str, RecordSet] = {
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
            ("run", "user_id", "session_id", "object_name", "voxel_size", "url", "sha256", *PORTAL_ANNOTATION),
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
            ("run", "voxel_size", "user_id", "session_id", "name", "is_multilabel", "url", *PORTAL_ANNOTATION),
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

_TAKEN_FOR_NOTHING = frozenset(
    {"NA", "N/A", "#N/A", "#NA", "<NA>", "n/a", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"}
)
_TAKEN_FOR_FLAGS = frozenset({"true", "false"})


def unreadable_split(name: str) -> str | None:
    """What other readers take the name of a split for, where copick then cannot open the Croissant."""
    try:
        float(name)
    except ValueError:
        pass
    else:
        return "a number"
    if name.strip() in _TAKEN_FOR_NOTHING:
        return "nothing"
    return "a flag" if name.strip().lower() in _TAKEN_FOR_FLAGS else None


RUNS_FOLDER = "ExperimentRuns"
OBJECTS_FOLDER = "Objects"
SPACING_PREFIX = "VoxelSpacing"

SEGMENTATION_FOLDERS = {
    "Segmentations": "binary",
    "InstanceSegmentations": "instance",
    "PanopticSegmentations": "panoptic",
}
"""The folders of segmentations, each with the type of a name without mark in it."""

MULTILABEL_MARK = "-multilabel"
"""What the name of a multilabel segmentation ends in, beside binary ones."""


@dataclass(frozen=True)
class ArtifactType:
    """One type of artifact: everything that tells it from the others. A new type is an entry here, a record set, and
    what reads its folder.

    Attributes:
        name: What a layer calls it, in the plural: ``meshes``.
        one, many: A single one and several of them, as messages say it. Picks come in sets, which have no word of their
            own.
        record_sets: The record sets that its rows go to.
        selected_by: The columns that a selector speaks of, in the order in which it does.
        selector_form: The form of its selectors, ``None`` where a selector is a plain name or pattern.
        counted_by: The column by which ``expect`` counts it when it gives counts by name.
        renamed: The columns that rename maps reach, by the name of the map.
        portal_names: For columns that may be renamed, the column in which a row of the portal keeps what it was called.
        portal_id: The column that holds the id of the portal's record of it, ``None`` where there is no such record.
        of_run: Whether it belongs to a run.
        spaces: Whether it makes voxel spacings: a row of them exists for each run and voxel size that it has.
        hashed: Whether it is one file, whose SHA-256 a row gives.
        places: Where copick puts one, below the project's root, as a format over its row; by type of segmentation for
            segmentations, else under ``""``.
    """

    name: str
    one: str
    many: str
    record_sets: tuple[str, ...]
    selected_by: tuple[str, ...]
    selector_form: str | None = None
    counted_by: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    portal_names: Mapping[str, str] = field(default_factory=dict)
    portal_id: str | None = None
    of_run: bool = True
    spaces: bool = False
    hashed: bool = False
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def found_by_name(self) -> bool:
        """Whether copick, without an overlay, looks for one where its names say, whatever its row says."""
        return bool(self.places) and self.name != "picks"

    @property
    def object_column(self) -> str | None:
        """The column that names what is picked or segmented."""
        return self.renamed.get("objects")

    @property
    def in_portal(self) -> bool:
        """Whether the portal has records of it, each with metadata and authors."""
        return self.portal_id is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its artifact table (see ``tables``). All types of segmentation share one table."""
        record_set = RECORD_SETS[self.record_sets[0]]
        kept = [c for c in record_set.columns if c not in ("url", "is_multilabel")]
        typed = ["segmentation_type"] if len(self.record_sets) > 1 else []
        return (*kept, *typed, *(("root", "path") if self.places else ()))

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two of them the same one."""
        key = RECORD_SETS[self.record_sets[0]].key
        return tuple("segmentation_type" if c == "is_multilabel" else c for c in key)


RENAME_MAPS: Mapping[str, str] = {
    "tomo_types": "tomogram type",
    "objects": "object",
    "users": "user",
    "sessions": "session",
}
"""The maps of ``rename``, and what the names in each are names of."""

_MAKERS = {"users": "user_id", "sessions": "session_id"}
_OF_RUN = f"{RUNS_FOLDER}/{{run}}"
_OF_SPACING = f"{_OF_RUN}/{SPACING_PREFIX}{{voxel_size:.3f}}"
_MADE_BY = "{user_id}_{session_id}"
_VOLUME = f"{{voxel_size:.3f}}_{_MADE_BY}_{{name}}"
_PICKED = "object[:user[/session]]"

ARTIFACTS: Mapping[str, ArtifactType] = {
    a.name: a
    for a in (
        ArtifactType("runs", "run", "runs", ("runs",), ("name",), of_run=False),
        ArtifactType(
            "tomograms",
            "tomogram",
            "tomograms",
            ("tomograms",),
            ("tomo_type", "voxel_size"),
            "tomo_type[@voxel_size]",
            counted_by="tomo_type",
            renamed={"tomo_types": "tomo_type"},
            portal_names={"tomo_type": "portal_tomo_type"},
            portal_id="portal_tomogram_id",
            spaces=True,
            places={"": f"{_OF_SPACING}/{{tomo_type}}.zarr"},
        ),
        ArtifactType(
            "features",
            "feature",
            "features",
            ("features",),
            ("tomo_type", "voxel_size", "feature_type"),
            "tomo_type[@voxel_size[:feature_type]]",
            counted_by="feature_type",
            renamed={"tomo_types": "tomo_type"},
            spaces=True,
            places={"": f"{_OF_SPACING}/{{tomo_type}}_{{feature_type}}_features.zarr"},
        ),
        ArtifactType(
            "picks",
            "picks",
            "picks",
            ("picks",),
            ("object_name", "user_id", "session_id"),
            _PICKED,
            counted_by="object_name",
            renamed={"objects": "object_name", **_MAKERS},
            portal_names={"session_id": "portal_session_id"},
            portal_id="portal_annotation_id",
            hashed=True,
            places={"": f"{_OF_RUN}/Picks/{_MADE_BY}_{{object_name}}.json"},
        ),
        ArtifactType(
            "meshes",
            "mesh",
            "meshes",
            ("meshes",),
            ("object_name", "user_id", "session_id"),
            _PICKED,
            counted_by="object_name",
            renamed={"objects": "object_name", **_MAKERS},
            hashed=True,
            places={"": f"{_OF_RUN}/Meshes/{_MADE_BY}_{{object_name}}.glb"},
        ),
        ArtifactType(
            "segmentations",
            "segmentation",
            "segmentations",
            ("segmentations", "instance_segmentations", "panoptic_segmentations"),
            ("name", "user_id", "session_id", "voxel_size", "segmentation_type"),
            "name[:user[/session]][@voxel_size][?multilabel=true|instance=true|panoptic=true]",
            counted_by="name",
            renamed={"objects": "name", **_MAKERS},
            portal_names={"session_id": "portal_session_id"},
            portal_id="portal_annotation_id",
            spaces=True,
            places={
                **{kind: f"{_OF_RUN}/{folder}/{_VOLUME}.zarr" for folder, kind in SEGMENTATION_FOLDERS.items()},
                "multilabel": f"{_OF_RUN}/Segmentations/{_VOLUME}{MULTILABEL_MARK}.zarr",
            },
        ),
        ArtifactType(
            "objects",
            "density map",
            "density maps",
            ("objects",),
            ("name",),
            renamed={"objects": "name"},
            of_run=False,
            places={"": f"{OBJECTS_FOLDER}/{{name}}.zarr"},
        ),
    )
}
"""Every type of artifact by name, in the order of the recipe format."""

ARTIFACT_TYPES = tuple(ARTIFACTS)
"""What a layer can name."""
