"""copick filesystem projects for tests: described by a spec, written straight to disk, read back by copick.

The files carry the names that copick gives them. Picks are real picks files; Zarr stores are empty groups and meshes
opaque bytes, since nothing that the tests look at reads them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")

Place = Literal["static", "overlay", "both"]
"""Where an artifact of a project with two roots lies. A project with one root has all of it in ``static``."""

SegmentationType = Literal["binary", "multilabel", "instance", "panoptic"]
SEGMENTATION_TYPES: tuple[SegmentationType, ...] = ("binary", "multilabel", "instance", "panoptic")

_SEGMENTATION_FOLDERS = {"instance": "InstanceSegmentations", "panoptic": "PanopticSegmentations"}
_IDENTITY = [[1.0 if row == column else 0.0 for column in range(4)] for row in range(4)]


@dataclass(frozen=True)
class Tomogram:
    voxel_size: float  # Å
    tomo_type: str
    place: Place = "static"

    @property
    def path(self) -> str:
        return f"VoxelSpacing{self.voxel_size:.3f}/{self.tomo_type}.zarr"


@dataclass(frozen=True)
class Features:
    """A feature map. copick finds it only when its tomogram is there too, in either root."""

    voxel_size: float  # Å
    tomo_type: str
    feature_type: str
    place: Place = "static"

    @property
    def path(self) -> str:
        return f"VoxelSpacing{self.voxel_size:.3f}/{self.tomo_type}_{self.feature_type}_features.zarr"


@dataclass(frozen=True)
class Picks:
    user_id: str
    session_id: str
    object_name: str
    points: int = 2
    voxel_spacing: float | None = None  # Å, as the file states it
    place: Place = "static"

    @property
    def path(self) -> str:
        return f"Picks/{self.user_id}_{self.session_id}_{self.object_name}.json"


@dataclass(frozen=True)
class Mesh:
    user_id: str
    session_id: str
    object_name: str
    place: Place = "static"

    @property
    def path(self) -> str:
        return f"Meshes/{self.user_id}_{self.session_id}_{self.object_name}.glb"


@dataclass(frozen=True)
class Segmentation:
    voxel_size: float  # Å
    user_id: str
    session_id: str
    name: str
    type: SegmentationType = "binary"
    place: Place = "static"

    @property
    def path(self) -> str:
        suffix = "-multilabel" if self.type == "multilabel" else ""
        folder = _SEGMENTATION_FOLDERS.get(self.type, "Segmentations")
        return f"{folder}/{self.voxel_size:.3f}_{self.user_id}_{self.session_id}_{self.name}{suffix}.zarr"


Artifact = Tomogram | Features | Picks | Mesh | Segmentation


@dataclass(frozen=True)
class Run:
    name: str
    tomograms: tuple[Tomogram, ...] = ()
    features: tuple[Features, ...] = ()
    picks: tuple[Picks, ...] = ()
    meshes: tuple[Mesh, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return (*self.tomograms, *self.features, *self.picks, *self.meshes, *self.segmentations)


@dataclass(frozen=True)
class PickableObject:
    name: str
    is_particle: bool = True
    label: int = 1
    color: tuple[int, int, int, int] = (100, 100, 100, 255)
    radius: float | None = None  # Å
    density_map: bool = False
    place: Place = "static"  # of the density map


@dataclass(frozen=True)
class ProjectSpec:
    runs: tuple[Run, ...] = ()
    objects: tuple[PickableObject, ...] = ()
    two_roots: bool = False
    name: str | None = "Test project"  # what the config does not say is None
    description: str | None = "A project written by a test."
    user_id: str | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        placed = [a for run in self.runs for a in run.artifacts] + list(self.objects)
        if not self.two_roots and any(a.place != "static" for a in placed):
            raise ValueError("a project with one root has no overlay")


@dataclass(frozen=True)
class Project:
    """A project on disk.

    Attributes:
        config: The copick config (JSON, ``config_type`` filesystem), with absolute roots.
        root: The only root or, of two, the static one.
        overlay: The overlay root, where there are two.
    """

    config: Path
    root: Path
    overlay: Path | None = None


def write_project(folder: Path, spec: ProjectSpec) -> Project:
    """Writes the project to ``folder/static`` (or, with one root, ``folder/project``), ``folder/overlay`` and
    ``folder/filesystem.json``. An artifact in both roots has other content in each.

    Raises:
        FileExistsError: If two artifacts of the spec have one path, or the folder holds a project already.
    """
    root = folder / ("static" if spec.two_roots else "project")
    project = Project(folder / "filesystem.json", root, folder / "overlay" if spec.two_roots else None)
    for run in spec.runs:
        _write_run(project, run)
    for o in spec.objects:
        for _, place in _roots(project, o.place) if o.density_map else ():
            _write_zarr(place / "Objects" / f"{o.name}.zarr")
    for _, place in _roots(project, "both" if spec.two_roots else "static"):
        (place / "ExperimentRuns").mkdir(parents=True, exist_ok=True)
    project.config.write_text(json.dumps(_config(project, spec), indent=4))
    return project


def _config(project: Project, spec: ProjectSpec) -> dict[str, object]:
    roots = {"overlay_root": str(project.overlay or project.root)}
    if project.overlay:
        roots["static_root"] = str(project.root)
    about = {key: getattr(spec, key) for key in ("name", "description", "user_id", "session_id")}
    return {
        "config_type": "filesystem",
        **{key: value for key, value in about.items() if value is not None},
        "version": "1.0.0",
        "pickable_objects": [
            {
                "name": o.name,
                "is_particle": o.is_particle,
                "label": o.label,
                "color": list(o.color),
                **({} if o.radius is None else {"radius": o.radius}),
            }
            for o in spec.objects
        ],
        **roots,
    }


def _roots(project: Project, place: Place) -> Iterator[tuple[str, Path]]:
    if place in ("static", "both"):
        yield "static", project.root
    if place in ("overlay", "both"):
        assert project.overlay is not None
        yield "overlay", project.overlay


def _write_run(project: Project, run: Run) -> None:
    if not run.artifacts:
        (project.root / "ExperimentRuns" / run.name).mkdir(parents=True)
    for artifact in run.artifacts:
        for where, root in _roots(project, artifact.place):
            path = root / "ExperimentRuns" / run.name / artifact.path
            if isinstance(artifact, Picks):
                _write_file(path, _picks_json(run.name, artifact, where).encode())
            elif isinstance(artifact, Mesh):
                _write_file(path, f"glTF {where} {run.name} {artifact.path}".encode())
            else:
                _write_zarr(path)


def _write_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def _write_zarr(path: Path) -> None:
    path.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')


def _picks_json(run: str, picks: Picks, where: str) -> str:
    shift = 0.5 if where == "overlay" else 0.0
    return json.dumps(
        {
            "pickable_object_name": picks.object_name,
            "user_id": picks.user_id,
            "session_id": picks.session_id,
            "run_name": run,
            "voxel_spacing": picks.voxel_spacing,
            "unit": "angstrom",
            "points": [
                {
                    "location": {"x": 10.0 * n + shift, "y": 20.0 * n, "z": 30.0 * n},
                    "transformation_": _IDENTITY,
                    "instance_id": 0,
                    "score": 1.0,
                }
                for n in range(picks.points)
            ],
            "trust_orientation": True,
        },
        indent=4,
    )


def spec_keys(spec: ProjectSpec) -> dict[str, set[tuple[object, ...]]]:
    """What the project holds: for each artifact type the keys of its artifacts, each the run's name and then the
    artifact's own fields in the order of its dataclass, without ``points`` and ``place``. Objects that have a density
    map are there by name."""
    return {
        "runs": {(r.name,) for r in spec.runs},
        "tomograms": {(r.name, t.voxel_size, t.tomo_type) for r in spec.runs for t in r.tomograms},
        "features": {(r.name, f.voxel_size, f.tomo_type, f.feature_type) for r in spec.runs for f in r.features},
        "picks": {
            (r.name, p.user_id, p.session_id, p.object_name, p.voxel_spacing) for r in spec.runs for p in r.picks
        },
        "meshes": {(r.name, m.user_id, m.session_id, m.object_name) for r in spec.runs for m in r.meshes},
        "segmentations": {
            (r.name, s.voxel_size, s.user_id, s.session_id, s.name, s.type) for r in spec.runs for s in r.segmentations
        },
        "objects": {(o.name,) for o in spec.objects if o.density_map},
    }


def copick_root(project: Project) -> Any:
    """The project, opened by copick."""
    import copick

    return copick.from_file(str(project.config))


def copick_keys(root: Any) -> dict[str, set[tuple[object, ...]]]:
    """The same as ``spec_keys``, of what copick finds."""
    runs = list(root.runs)
    tomograms = [(r.name, v.voxel_size, t) for r in runs for v in r.voxel_spacings for t in v.tomograms]
    return {
        "runs": {(r.name,) for r in runs},
        "tomograms": {(run, voxel_size, t.tomo_type) for run, voxel_size, t in tomograms},
        "features": {(run, size, t.tomo_type, f.feature_type) for run, size, t in tomograms for f in t.features},
        "picks": {
            (r.name, p.user_id, p.session_id, p.pickable_object_name, p.load().voxel_spacing)
            for r in runs
            for p in r.picks
        },
        "meshes": {(r.name, m.user_id, m.session_id, m.pickable_object_name) for r in runs for m in r.meshes},
        "segmentations": {
            (r.name, s.voxel_size, s.user_id, s.session_id, s.name, s.segmentation_type)
            for r in runs
            for s in r.get_segmentations(is_instance=None, is_panoptic=None)
        },
        # Not by o.zarr(), which makes the store where there is none.
        "objects": {
            (o.name,)
            for o in root.pickable_objects
            if o.fs_static.exists(o.static_path) or o.fs_overlay.exists(o.overlay_path)
        },
    }


_NAMES: Mapping[str, Sequence[str]] = {
    "runs": ("TS_001", "TS_002", "TS-3", "16463", "position.04", "L1_G1_ts_002"),
    "users": ("curator", "template-matching", "user.1", "alice"),
    "sessions": ("0", "1", "round-2", "2024.05"),
    "objects": ("ribosome", "proteasome-26S", "membrane", "apo.ferritin", "vlp"),
    "tomograms": ("wbp", "denoised", "wbp-denoised.v2"),
    "features": ("sobel", "embedding.3", "edge-1"),
}
_NASTY = (
    "0042",
    "1e5",
    "NA",
    "null",
    "nan",
    "1.10",
    "true",
    "Zellkern-µm",
    "核糖体",
    "a,b",
    "'q'",
    "(x)",
    "+5",
    "@home",
)
_NASTY_FILE_ONLY = ('q"q', "a b", "1:2")
_VOXEL_SIZES = (4.99, 7.84, 10.0, 10.012, 13.48, 20.0)


def random_spec(rng: random.Random, *, nasty: bool = False) -> ProjectSpec:
    """A small project of 2 to 5 runs with two voxel sizes, sometimes in two roots.

    With ``nasty``, about half of the names are such that CSV readers, URLs or shells are easily wrong about them. They
    are all names that copick itself reads back.
    """
    pools = {kind: _pool(rng, kind, ordinary, nasty) for kind, ordinary in _NAMES.items()}
    two_roots = rng.random() < 0.4
    voxel_sizes = rng.sample(_VOXEL_SIZES, 2)
    objects = tuple(
        PickableObject(
            name,
            is_particle=rng.random() < 0.7,
            label=label,
            color=(rng.randrange(256), rng.randrange(256), rng.randrange(256), 255),
            radius=rng.choice((None, 60.0, 130.5)),
            density_map=rng.random() < 0.4,
            place=_place(rng, two_roots),
        )
        for label, name in enumerate(pools["objects"], start=1)
    )
    runs = tuple(_random_run(rng, name, pools, voxel_sizes, two_roots) for name in pools["runs"])
    return ProjectSpec(runs, objects, two_roots)


def _pool(rng: random.Random, kind: str, ordinary: Sequence[str], nasty: bool) -> list[str]:
    size = rng.randint(2, 5 if kind == "runs" else 3)
    if not nasty:
        return rng.sample(ordinary, size)
    # The names of pickable objects are the ones that copick itself checks.
    odd = _NASTY if kind == "objects" else (*_NASTY, *_NASTY_FILE_ONLY)
    return rng.sample(ordinary, size // 2) + rng.sample(odd, size - size // 2)


def _place(rng: random.Random, two_roots: bool) -> Place:
    return rng.choice(("static", "static", "overlay", "both")) if two_roots else "static"


def _some(rng: random.Random, items: Iterable[_T], share: float) -> list[_T]:
    return [item for item in items if rng.random() < share]


def _random_run(
    rng: random.Random, name: str, pools: Mapping[str, Sequence[str]], voxel_sizes: Sequence[float], two_roots: bool
) -> Run:
    def place() -> Place:
        return _place(rng, two_roots)

    tomograms = [Tomogram(v, t, place()) for v in voxel_sizes for t in _some(rng, pools["tomograms"], 0.5)]
    users = [(u, s, o) for u in pools["users"] for s in pools["sessions"] for o in pools["objects"]]
    segmented = [(v, *who, kind) for v in voxel_sizes for who in users for kind in SEGMENTATION_TYPES]
    return Run(
        name,
        tomograms=tuple(tomograms),
        features=tuple(
            Features(t.voxel_size, t.tomo_type, f, place())
            for t in tomograms
            for f in _some(rng, pools["features"], 0.3)
        ),
        picks=tuple(
            Picks(*who, rng.randint(0, 3), rng.choice((None, *voxel_sizes)), place()) for who in _some(rng, users, 0.3)
        ),
        meshes=tuple(Mesh(*who, place()) for who in _some(rng, users, 0.1)),
        segmentations=tuple(Segmentation(*fields, place()) for fields in _some(rng, segmented, 0.06)),
    )
