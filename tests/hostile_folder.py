"""A folder with a source of every kind, one of which a seed spoils, and what a build has to make of it."""

from __future__ import annotations

import json
import random
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from croissants import write_croissant
from mutations import mutate, of_json

from croissant_recipes import Options, build, check, plan
from croissant_recipes.api import Planned
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.render import findings
from croissant_recipes.render.formats import FORMATS
from croissant_recipes.render.view import View
from tests.portal_server import Fault, Mangle

DATASET = """\
dataset: {name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15, url: https://example.org,
          creators: [{name: C}]}
"""
OF_PROJECT = f"""\
recipe: 1
name: lab
params: {{voxel: 10.0}}
{DATASET}
output: {{project_root: out-lab, base_url: "https://example.org/data", parquet: true}}
sources: {{lab: {{copick: {{config: lab/filesystem.json}}}}}}
objects: {{ribosome: {{label: 7}}}}
layers:
  - export: lab
    tomograms: ["wbp@${{voxel}}"]
    others: include
splits: {{file: splits.csv, random: {{ratios: {{train: 0.5, val: 0.5}}, seed: 1}}}}
"""
OF_CROISSANT = f"""\
recipe: 1
name: old
{DATASET}
output: {{project_root: out-old, base_url: "https://example.org/data"}}
sources: {{old: {{croissant: {{url: old/Croissant/metadata.json}}}}}}
layers:
  - {{export: old, runs: "re:TS_.*", rename: {{objects: {{ribosome: other}}}}, others: include, allow_empty: true}}
"""
OF_BOTH = f"""\
recipe: 1
name: laid
{DATASET}
output: {{project_root: out-laid, base_url: "https://example.org/data"}}
sources: {{laid: {{copick: {{config: laid/mixed.json}}}}}}
layers: [{{export: laid}}]
"""
ON_BASE = """\
recipe: 1
name: based
base: base/Croissant/metadata.json
output: {project_root: base}
splits: {assign: {train: ["TS_001"]}}
"""
OF_PORTAL = """\
recipe: 1
name: portal
output: {project_root: out-portal, base_url: "https://example.org/data"}
dataset: {from: portal, version: 1.0.0, name: A, description: B, license: MIT}
sources:
  cdp: {portal: {datasets: [10440, 10301], url: "URL"}}
  then: {portal: {depositions: [DEPOSITION], until: 2026-01-15, url: "URL"}}
layers:
  - export: cdp
    tomograms: "*"
    on_collision: first
    others: exclude
  - append: [cdp, then]
    runs: {having: [tomograms, {picks: "*"}], lacking: {segmentations: "*?instance=true"}}
    tomograms: all
    picks: {where: {object_name: ribosome}}
    segmentations: all
    others: exclude
    on_collision: last
    allow_empty: true
  - append: cdp
    picks: {select: "*", where: {is_curator_recommended: true}}
    session_id: "{annotation_file_id}-{release_date:%Y-%m-%d}"
    user_id: "{{ author }}"
    others: include
    on_collision: first
    allow_empty: true
splits:
  assign: {train: [{where: {dataset_id: 10440}}], val: {source: cdp, where: {dataset_id: 10301}}}
  random: {folds: 2, seed: 1, stratify: picks}
"""
OF_SEVERAL = """\
recipe: 1
name: several
include: [common/shared.yaml]
params: {key: k}
dataset: {version: 2.0.0}
outputs:
  public:
    project_root: out-several/public
    base_url: "https://example.org/public"
    withhold: {test: [picks]}
    mask_runs: {test: "run-{n:03}"}
    mask_key: "${key}"
  private: {project_root: out-several/private, base_url: "https://example.org/private", parquet: true}
sources:
  lab: {copick: {config: lab/filesystem.json}}
  plain: {croissant: {url: plain/Croissant/metadata.json}}
layers:
  - export: [lab, plain]
    runs: {select: "*", having: [tomograms, {picks: "ribosome:*/*"}], lacking: {segmentations: "*?instance=true"}}
    rename: {users: {"re:[a-c].*": other}, objects: {"mem*": skin}}
    session_id: "{user}-{session}"
    on_collision: first
    allow_empty: true
  - append: plain
    picks: {select: all, exclude: "*:nobody/*"}
    user_id: "{{ object }}"
    others: exclude
    allow_empty: true
splits:
  assign: {test: [{source: plain}, TS_003]}
  random: {ratios: {train: 1}, group: "re:TS_00[12]"}
expect:
  picks: {ribosome: {warn: ">= 50", fail: "> 0"}}
  splits: {test: {picks: {ribosome: ">= -5%"}}}
  each_run: {tomograms: 1..9}
"""
SHARED = f"""\
include: [deeper/more.yaml]
{DATASET}
objects: {{ribosome: {{label: 7}}, skin: {{color: [1, 2, 3, 255]}}}}
rename: {{sessions: {{"*": "0"}}, tomo_types: {{"w?p": wbp}}}}
"""
MORE = """\
splits: {random: {seed: 3, stratify: picks}}
expect: {runs: ">= 1", picks: {ribosome: "<= +20"}}
"""
OF_DATA = f"""\
recipe: 1
name: data
{DATASET}
output: {{project_root: out-data, base_url: "https://example.org/data", labels: dense, unused_objects: drop}}
sources:
  lab: {{copick: {{config: lab/filesystem.json}}}}
  plain: {{croissant: {{url: plain/Croissant/metadata.json}}}}
layers:
  - {{export: lab, rename: {{objects: {{"re:rib(.*)": particle}}}}}}
  - {{append: plain, runs: {{having: tomograms}}, user_id: "{{user}}", others: include}}
splits: {{random: {{folds: 3, seed: 1, stratify: picks, group: "re:TS_00[12]"}}, unassign: [{{source: plain}}]}}
expect:
  points: {{warn: {{inside: true, apart: 1.0}}, fail: {{at_least: 1}}}}
  arrays: {{warn: {{voxel_size: true}}, fail: {{same_shape: true}}}}
"""
RECIPES = {
    "lab": OF_PROJECT,
    "old": OF_CROISSANT,
    "laid": OF_BOTH,
    "base": ON_BASE,
    "several": OF_SEVERAL,
    "data": OF_DATA,
}
"""By name, which is that of the source too, and what the output is called after."""

DEPENDENTS = {
    "base": ("base", "base", "laid"),
    "lab": ("lab", "several", "data"),
    "plain": ("several", "data"),
    "common": ("several",),
    "splits": ("lab",),
}
"""The recipes that read what lies in a folder, where it is not the one of its name alone."""

CONFIG = {
    "name": "Lab",
    "config_type": "filesystem",
    "pickable_objects": [
        {"name": "ribosome", "is_particle": True, "label": 1, "color": [0, 255, 0, 255], "radius": 130.0},
        {"name": "membrane", "is_particle": False, "label": 2, "color": [255, 0, 0, 255]},
    ],
    "user_id": "ada",
    "session_id": "1",
    "overlay_root": "local://.",
    "overlay_fs_args": {"auto_mkdir": True},
}
LAID = {
    "config_type": "mlcroissant",
    "pickable_objects": [],
    "croissant_url": "../base/Croissant/metadata.json",
    "croissant_base_url": "https://example.org/elsewhere",
    "overlay_root": "overlay",
    "overlay_fs_args": {"auto_mkdir": True},
    "croissant_fs_args": {},
    "static_fs_args": {},
}
PICKS = {
    "pickable_object_name": "ribosome",
    "user_id": "ada",
    "session_id": "1",
    "run_name": "TS_001",
    "voxel_spacing": 10.0,
    "unit": "angstrom",
    "points": [{"location": {"x": 1.0, "y": 2.0, "z": 3.0}, "instance_id": 0, "score": 1.0}],
}
ROWS = {
    "runs": {"name": ["TS_001", "TS_002"], "split": ["train", ""]},
    "voxel_spacings": {"run": ["TS_001", "TS_002"], "voxel_size": [10.0, 10.0]},
    "tomograms": {
        "run": ["TS_001", "TS_002"],
        "voxel_size": [10.0, 10.0],
        "tomo_type": ["wbp", "wbp"],
        "url": ["ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr", "https://example.org/wbp.zarr"],
    },
    "picks": {
        "run": ["TS_001", "TS_002"],
        "user_id": ["ada", "bob"],
        "session_id": ["1", "1"],
        "object_name": ["ribosome", "ribosome"],
        "url": ["ExperimentRuns/TS_001/Picks/ada_1_ribosome.json", "s3://bucket/picks.json"],
    },
}

PLAIN = {
    "runs": {"name": ["TS_003"], "split": [""]},
    "voxel_spacings": {"run": ["TS_003"], "voxel_size": [10.0]},
    "tomograms": {"run": ["TS_003"], "voxel_size": [10.0], "tomo_type": ["wbp"], "url": ["data/1.zarr"]},
    "picks": {
        "run": ["TS_003"],
        "user_id": ["ada"],
        "session_id": ["1"],
        "object_name": ["ribosome"],
        "url": ["data/2.json"],
    },
}
"""A run whose data does not tell its name."""

ARRAY = {
    ".zattrs": {
        "multiscales": [
            {
                "axes": [{"name": n, "type": "space", "unit": "angstrom"} for n in "zyx"],
                "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [10.0] * 3}]}],
            }
        ]
    },
    "0/.zarray": {"zarr_format": 2, "shape": [4, 5, 6], "chunks": [4, 5, 6], "dtype": "<f4", "order": "C"},
}

SECONDS = 5.0
"""Of CPU time."""

_OF_THEIR_OWN = (
    "metadata.json",
    "croissant-recipe.json",
    "filesystem.json",
    "mixed.json",
    "runs.csv",
    "picks.csv",
    "masked_runs.csv",
    "shared.yaml",
    "more.yaml",
    "several.yaml",
    "data.yaml",
    ".zarray",
    ".zattrs",
)
"""Files that are spoilt as often as all others of their ending."""


def make(folder: Path) -> None:
    """The folder as it should be, with a Croissant that was built there."""
    for root, run in (("lab", "TS_001"), ("lab", "TS_002"), ("laid/overlay", "TS_002")):
        at = folder / root / "ExperimentRuns" / run
        for part in ("Picks", "Meshes", "VoxelSpacing10.000/wbp.zarr", "Segmentations/10.000_ada_1_membrane.zarr"):
            (at / part).mkdir(parents=True)
        for array in ("VoxelSpacing10.000/wbp.zarr", "Segmentations/10.000_ada_1_membrane.zarr"):
            _write_array(at / array)
        (at / "Picks/ada_1_ribosome.json").write_text(json.dumps(PICKS))
        (at / "Meshes/ada_1_membrane.glb").write_bytes(b"glTF")
    (folder / "lab/filesystem.json").write_text(json.dumps(CONFIG))
    (folder / "laid/mixed.json").write_text(json.dumps(LAID))
    (folder / "splits.csv").write_text("split,run\ntrain,TS_001\nval,TS_002\n")
    for name in ("old", "base"):
        write_croissant(folder / name, ROWS)
    write_croissant(folder / "plain", PLAIN)
    _write_array(folder / "plain/data/1.zarr")
    (folder / "plain/data/2.json").write_text(json.dumps({**PICKS, "run_name": "TS_003"}))
    (folder / "common/deeper").mkdir(parents=True)
    (folder / "common/shared.yaml").write_text(SHARED)
    (folder / "common/deeper/more.yaml").write_text(MORE)
    for name, recipe in RECIPES.items():
        (folder / f"{name}.yaml").write_text(recipe)


def _write_array(at: Path) -> None:
    for name, document in ARRAY.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(json.dumps(document))


@dataclass(frozen=True)
class Case:
    """What happened to which file, and what came of it."""

    seed: int
    spoilt: str
    errors: tuple[Diagnostic, ...]
    seconds: float


class Folder:
    """A good folder, of which each case gets a copy.

    Args:
        scratch: An empty folder, which is the working directory.
    """

    def __init__(self, scratch: Path) -> None:
        self._good = scratch / "good"
        self._good.mkdir()
        make(self._good)
        for name in RECIPES:
            for built in build(self._good / f"{name}.yaml", options=Options(force=True)):
                assert built.written, built.diagnostics
        self._at = scratch / "case"
        self._sources: dict[str, list[str]] = {}
        for path in sorted(self._good.rglob("*")):
            if path.is_file() and not path.name.endswith(".lock"):
                kind = path.name if path.name in _OF_THEIR_OWN else path.suffix
                self._sources.setdefault(kind, []).append(str(path.relative_to(self._good)))

    def checked(self, seed: int) -> Case:
        """The case of a seed in which a recipe is spoilt and only checked."""
        recipe = self._spoil_recipe(random.Random(seed))
        started = time.process_time()
        (result,) = check(self._at / recipe)
        found = findings.diagnostics(result.diagnostics) + findings.as_json([result])
        return self._judged(seed, recipe, found, result.diagnostics, started)

    def planned(self, seed: int) -> Case:
        """The case of a seed in which a recipe is spoilt, and planned."""
        rng = random.Random(seed)
        recipe = self._spoil_recipe(rng)
        return self._run(rng, seed, recipe, recipe.removesuffix(".yaml"), plan)

    def built(self, seed: int) -> Case:
        """The case of a seed in which any source is spoilt, and planned and built."""
        rng = random.Random(seed)
        self._renew()
        spoilt = rng.choice(self._sources[rng.choice(list(self._sources))])
        mutate(rng, self._at / spoilt)
        name = Path(Path(spoilt).parts[0].removeprefix("out-")).stem
        name = rng.choice(DEPENDENTS.get(name, (name,)))
        # A build plans too.
        return self._run(rng, seed, spoilt, name, plan if rng.random() < 0.2 else build)

    def of_portal(self, seed: int, url: str) -> Case:
        """The case of a seed in which the answers of a portal at ``url`` are spoilt (see ``mangling``)."""
        self._renew()
        (self._at / "portal.yaml").write_text(OF_PORTAL.replace("URL", url).replace("DEPOSITION", "10351"))
        return self._run(random.Random(seed), seed, "portal", "portal", build)

    def _spoil_recipe(self, rng: random.Random) -> str:
        recipe = f"{rng.choice(list(RECIPES))}.yaml"
        if not self._at.exists():
            self._renew()
        self._put_back(recipe)
        mutate(rng, self._at / recipe)
        return recipe

    def _renew(self) -> None:
        shutil.rmtree(self._at, ignore_errors=True)
        shutil.copytree(self._good, self._at)

    def _put_back(self, name: str) -> None:
        """One file as it should be, whatever a case has left in its place."""
        there = self._at / name
        if there.is_dir() and not there.is_symlink():
            shutil.rmtree(there)
        there.unlink(missing_ok=True)
        shutil.copy(self._good / name, there)

    def _run(
        self, rng: random.Random, seed: int, spoilt: str, name: str, run: Callable[..., tuple[Planned, ...]]
    ) -> Case:
        options = Options(
            on_drift=rng.choice(("stop", "keep", "discard")),
            force=rng.random() < 0.3,
            file_sha256=rng.random() < 0.7,
            cache="refresh",
            jobs=4,
        )
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = run(self._at / f"{name}.yaml", options=options)
        told = _told(results)
        found = tuple(d for result in results for d in result.diagnostics)
        case = self._judged(seed, spoilt, told, found, started)
        for result in results:
            assert result.ok or not result.written
            if result.written:
                assert result.output is not None
                json.loads(Path(result.output.metadata.path).read_bytes(), parse_constant=_refuse)
        return case

    def _judged(self, seed: int, spoilt: str, told: str, found: tuple[Diagnostic, ...], started: float) -> Case:
        case = Case(seed, spoilt, tuple(d for d in found if d.is_error), time.process_time() - started)
        assert told.encode()
        unplaced = [str(d) for d in case.errors if not self._placed(d)]
        assert not unplaced, unplaced
        return case

    def _placed(self, found: Diagnostic) -> bool:
        """Whether an error says where: a place in a file, or a file."""
        # Places of an output may be any URL.
        if found.code is Code.NOT_WRITABLE and "/Croissant cannot be " in found.message:
            return True
        return found.span is not None or str(self._at) in "\n".join([found.message, *found.notes])


def _told(results: tuple[Planned, ...]) -> str:
    reports = [result.report for result in results]
    told = "".join(findings.diagnostics(report.findings) for report in reports)
    return told + "".join(form.makes(reports, View(verbose=True)) for form in FORMATS.values())


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} was written")


class Mangling:
    """Spoils some answers of a portal, each in the same way however often it is asked for; others for each seed."""

    def __init__(self) -> None:
        self.seed = 0

    def __call__(self, number: int, query: str) -> Fault | None:
        rng = random.Random(f"{self.seed} {query}")
        return Mangle(partial(of_json, rng)) if rng.random() < 0.08 else None
