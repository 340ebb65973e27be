"""Recipes over a portal, through the whole compiler, against copick's export and append over the same endpoint.

Each generated case is a recipe of one or two portal layers; copick exports the same slices. These are all the
differences, each argued and each put right in copick's rows (never in ours) by one function below:

1. *Row order.* Rows are compared by key.
2. *Several rows of one key.* copick writes them all, and only one of them can be opened. The recipes say
   ``on_collision: first``, that is, in portal-id order (``_first_of_each_key``).
3. *Conditions on tomograms.* With ``tomograms_portal_meta`` or ``tomograms_author`` copick's export asks for tomograms
   of the type ``None`` and so writes none. What it means to select is what its own comparison of metadata says
   (``_meant_tomograms``).
4. *Tomograms without an OME-Zarr.* copick names a folder of its overlay that does not exist; we leave them out with a
   warning (``_meant_tomograms``).
5. *Voxel spacings.* They are derived from the rows that survive. copick's would be those of 3 and 4
   (``_derived_spacings``); over whole datasets they are compared as copick writes them, but for 4.
6. *Density maps.* The portal has none. Asking an object for its map makes copick create an empty one in its overlay, so
   it is told to export none.

Appending is copick's own in the recipe that the repository ships. In the generated cases a second layer is an export of
copick too, its URLs made absolute and its rows laid over the first: ``test_differential`` compares copick's append.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import cryoet_data_portal._client as portal_client
import mlcroissant as mlc
import orjson
import pytest
import yaml
from copick.impl.cryoet_data_portal import CopickConfigCDP, CopickRootCDP, PortalAnnotationMeta, _PortalAnnotation
from copick.ops.croissant import _resolve_session_id

from croissant_recipes import api, from_croissant
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.options import Options
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.portal import datasets as portal_datasets
from tests.portal_oracle import RecordTables, copick_append, copick_export, copick_portal_root, read_records
from tests.portal_server import Server, serve
from tests.portal_tables import generate

REPOSITORY = Path(__file__).resolve().parent.parent
TABLES = generate(runs=6)
DATASETS = [10000, 10440, 10301]
BUCKET = "s3://cryoet-data-portal-public"
F1_F0 = "f1-f0-atp-synthase-(dimer),-mitochondrial"
CASES = 52
GROUP = 13

Layer = dict[str, Any]
Key = tuple[str, ...]
Rows = dict[str, dict[Key, dict[str, str]]]
"""By record set, then key: the cells of a row, as texts."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=3) as running:
        yield running


# Recipes


def write(folder: Path, url: str, *layers: Layer, datasets: Sequence[int] = DATASETS, **others: Any) -> Path:
    """A recipe of portal layers, the first of which is the export. ``others`` are keys of the recipe."""
    name = str(others.get("name", "portal"))
    document = {
        "recipe": 1,
        "name": name,
        "dataset": {
            "name": "Portal",
            "description": "Of a stand-in portal.",
            "version": "1.0.0",
            "license": "CC0-1.0",
            "date_published": "2026-01-01",
            "url": "https://example.org/portal",
            "creators": [{"name": "Example Lab", "url": "https://example.org"}],
        },
        "output": {"project_root": f"out/{name}", "base_url": "https://example.org/published"},
        "sources": {"cdp": {"portal": {"datasets": list(datasets), "url": url}}},
        "layers": [{"append" if i else "export": "cdp", **layer} for i, layer in enumerate(layers)],
        **others,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def write_overlay_project(folder: Path, *runs: str) -> None:
    """A copick config over the portal, ``project.json``, whose overlay has a mesh of each of these runs."""
    for run in runs:
        mesh = folder / "overlay/ExperimentRuns" / run / "Meshes/me_1_ribo.glb"
        mesh.parent.mkdir(parents=True)
        mesh.write_bytes(b"glTF")
    config = {
        "config_type": "cryoet_data_portal",
        "pickable_objects": [{"name": "ribo", "is_particle": True, "identifier": "GO:0022626"}],
        "overlay_root": str(folder / "overlay"),
        "dataset_ids": [10000],
    }
    (folder / "project.json").write_text(json.dumps(config))


def build(*recipes: Path) -> list[Path]:
    """The roots that recipes build."""
    results = api.build(*recipes)
    for result in results:
        assert not [str(d) for d in result.diagnostics if d.is_error]
        assert result.ok
    return [Path(r.output.project_root.path) for r in results if r.output is not None]


def refused(recipe: Path) -> tuple[ExitCode, list[Diagnostic]]:
    """The exit code and the errors of a recipe that does not build and writes nothing."""
    (result,) = api.build(recipe)
    assert not result.written
    assert not (recipe.parent / "out").exists()
    return api.results_exit_code([result]), [d for d in result.diagnostics if d.is_error]


def built_rows(root: Path) -> Rows:
    return {name: by_key(name, rows) for name, rows in read_records(root).items()}


def by_key(name: str, rows: Sequence[dict[str, str]]) -> dict[Key, dict[str, str]]:
    found = {key_of(name, row): row for row in rows}
    assert len(found) == len(rows), f"{name} has a key twice"
    return found


def key_of(name: str, row: Mapping[str, str]) -> Key:
    return tuple(row[c] for c in RECORD_SETS[name].key)


def manifest(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "Croissant/metadata.json").read_bytes())
    return found


def pickable(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest(root)["copick:config"]["pickable_objects"]
    return found


def without_labels(objects: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Objects by name without what copick makes of hash seeds."""
    plain = ({k: v for k, v in o.items() if k not in ("label", "color")} for o in objects)
    return {o["name"]: json.dumps(o, sort_keys=True) for o in plain}


# What copick makes of a layer


@dataclass(frozen=True)
class Copick:
    """copick's view of the tables, asked once, in the order of ids."""

    root: CopickRootCDP
    folder: Path

    def rows(self, layers: Sequence[Layer]) -> Rows:
        """The rows of layers, one over the other."""
        merged: Rows = {name: {} for name in RECORD_SETS}
        for i, layer in enumerate(layers):
            for name, rows in self.export(layer).items():
                for row in rows:
                    placed = {**row, "url": f"{BUCKET}/{row['url']}"} if i and "url" in row else row
                    merged[name][key_of(name, row)] = placed
        merged["voxel_spacings"] = _derived_spacings(merged)
        return merged

    def export(self, layer: Layer) -> RecordTables:
        """What copick exports for a layer, with the differences that the module lists put right."""
        found = copick_export(self.root, self.folder / "out", objects=[], **_arguments(layer))
        found["tomograms"] = self._meant_tomograms(found["tomograms"], layer)
        return {name: _first_of_each_key(name, rows) for name, rows in found.items()}

    def _meant_tomograms(self, rows: list[dict[str, str]], layer: Layer) -> list[dict[str, str]]:
        chosen = layer.get("tomograms") if isinstance(layer.get("tomograms"), dict) else {}
        where, authors = chosen.get("where", {}), chosen.get("authors", [])
        meant = {
            str(tomogram.meta.portal_tomo_id)
            for run in self.root.runs
            for spacing in run.voxel_spacings
            for tomogram in spacing.tomograms
            if tomogram.meta.portal_metadata.compare(where, authors)
        }
        there = (row for row in rows if not row["url"].startswith(str(self.folder)))
        return [row for row in there if row["portal_tomogram_id"] in meant]


def _arguments(layer: Layer) -> dict[str, Any]:
    """The arguments of ``export_croissant`` for a layer."""
    rename = layer.get("rename", {})
    arguments: dict[str, Any] = {
        "runs": layer.get("runs"),
        "tomo_type_map": rename.get("tomo_types"),
        "object_name_map": rename.get("objects"),
        "session_id_template": layer.get("session_id"),
    }
    for artifact in ("tomograms", "picks", "segmentations"):
        chosen = layer.get(artifact)
        if chosen is None:
            arguments[artifact] = [] if layer.get("others") == "exclude" else None
            continue
        arguments[artifact] = chosen.get("select")
        if artifact != "tomograms":
            arguments[f"{artifact}_portal_meta"] = chosen.get("where")
            arguments[f"{artifact}_author"] = chosen.get("authors")
    return arguments


def _first_of_each_key(name: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    id_column = {"tomograms": "portal_tomogram_id", "runs": "portal_run_id"}.get(name, "portal_annotation_file_id")
    found: dict[Key, dict[str, str]] = {}
    for row in sorted(rows, key=lambda r: int(r.get(id_column) or 0)):
        found.setdefault(key_of(name, row), row)
    return list(found.values())


def _derived_spacings(rows: Rows) -> dict[Key, dict[str, str]]:
    kinds = ("tomograms", "segmentations", "instance_segmentations")
    pairs = {(row["run"], row["voxel_size"]) for kind in kinds for row in rows[kind].values()}
    return {pair: dict(zip(("run", "voxel_size"), pair, strict=True)) for pair in pairs}


@pytest.fixture(scope="module")
def copick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copick]:
    folder = tmp_path_factory.mktemp("copick")
    with serve(TABLES) as running:
        yield Copick(copick_portal_root(running.url, DATASETS, folder), folder)


# The recipe that the repository ships


@pytest.fixture(scope="module")
def curation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """What ``recipes/portal-curation.yaml`` builds, and what copick's export and two appends make of that portal."""
    folder = tmp_path_factory.mktemp("curation")
    tables = orjson.loads(gzip.decompress((REPOSITORY / "tests/data/portal/tables.json.gz").read_bytes()))
    shipped = (REPOSITORY / "recipes/portal-curation.yaml").read_text(encoding="utf-8")
    with serve(tables) as server:
        recipe = folder / "recipe.yaml"
        source = "portal: {datasets: [10000]"
        assert source in shipped
        recipe.write_text(shipped.replace(source, f"{source}, url: {json.dumps(server.url)}"), encoding="utf-8")
        (ours,) = build(recipe)
        theirs = folder / "copick"
        root = copick_portal_root(server.url, [10000], folder)
        nothing: dict[str, list[str]] = {t: [] for t in ("features", "meshes", "segmentations", "objects")}
        renamed = {"wbp-raw": "wbp"}
        copick_export(root, theirs, tomograms=["wbp-raw@13.48"], tomo_type_map=renamed, picks=[], **nothing)
        copick_append(
            root,
            theirs,
            tomograms=[],
            picks=["cytosolic-ribosome:*/*"],
            picks_portal_meta={"method_type": "hybrid"},
            object_name_map={"cytosolic-ribosome": "ribosome"},
            session_id_template="{method_type}",
            **nothing,
        )
        copick_append(
            root,
            theirs,
            tomograms=[],
            picks=["fatty-acid-synthase-complex:*/*"],
            picks_author=["Sara Goetz"],
            object_name_map={"fatty-acid-synthase-complex": "fas"},
            session_id_template="{method_type}-{deposition_id}",
            **nothing,
        )
        yield ours, theirs


def test_the_curation_recipe_is_copicks_export_and_two_appends(curation: tuple[Path, Path]) -> None:
    ours, theirs = curation
    rows = built_rows(ours)
    assert rows == built_rows(theirs)
    assert {name: len(found) for name, found in rows.items() if found} == {
        "runs": 10,
        "voxel_spacings": 10,
        "tomograms": 10,
        "picks": 20,
    }
    assert without_labels(pickable(ours)) == without_labels(pickable(theirs))


def test_exported_rows_are_relative_and_appended_ones_absolute(curation: tuple[Path, Path]) -> None:
    rows = built_rows(curation[0])
    assert all(r["url"].startswith("10000/TS_") for r in rows["tomograms"].values())
    assert all(r["url"].startswith(f"{BUCKET}/10000/TS_") for r in rows["picks"].values())


def test_the_croissant_is_read_where_it_is_published_and_the_data_in_the_portal(curation: tuple[Path, Path]) -> None:
    ours, _ = curation
    document = manifest(ours)
    assert document["copick:baseUrl"] == f"{BUCKET}/"
    urls = {f["contentUrl"] for f in document["distribution"]}
    assert "https://example.org/curated/Croissant/picks.csv" in urls
    assert all(url.startswith("https://example.org/curated/Croissant/") for url in urls)
    issues = mlc.Dataset(jsonld=ours / "Croissant/metadata.json").metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


def test_the_croissant_opens_and_lists(curation: tuple[Path, Path], tmp_path: Path) -> None:
    root = from_croissant(str(curation[0] / "Croissant/metadata.json"), overlay_root=str(tmp_path))
    assert len(root.runs) == 10
    run = root.runs[0]
    assert sorted((p.pickable_object_name, p.session_id) for p in run.picks) == [
        ("fas", "hybrid-10000"),
        ("ribosome", "hybrid"),
    ]
    (tomogram,) = run.get_voxel_spacing(13.48).get_tomograms("wbp")
    rows = built_rows(curation[0])
    assert tomogram.static_path == f"{BUCKET}/{rows['tomograms'][run.name, '13.48', 'wbp']['url']}"
    (fas,) = run.get_picks("fas")
    assert fas.path == rows["picks"][run.name, "data-portal", "hybrid-10000", "fas"]["url"]


# Whole datasets and generated filters


def test_whole_datasets_are_what_copick_exports(server: Server, copick: Copick, tmp_path: Path) -> None:
    layer = {"on_collision": "first"}
    (root,) = build(write(tmp_path, server.url, layer, datasets=DATASETS[::-1]))
    theirs = copick.export(layer)
    ours = read_records(root)
    for name in RECORD_SETS:
        assert by_key(name, ours[name]) == by_key(name, theirs[name]), name
    assert all(ours[n] for n in ("runs", "tomograms", "picks", "segmentations", "instance_segmentations"))
    issues = mlc.Dataset(jsonld=root / "Croissant/metadata.json").metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert without_labels(pickable(root)) == without_labels(
        [o.model_dump() for o in copick.root.config.pickable_objects]
    )


TEMPLATES = (
    "{method_type}",
    "{author}",
    "{authors}",
    "{method_type}-{deposition_id}",
    "{ground_truth_status}_{confidence_precision}",
    "{object_count:04d}-{annotation_file_id}",
    "{object_name} ({object_state})",
)
SELECTORS = {
    "tomograms": ("wbp-raw", "wbp-*", "*@13.48", "re:.*denoised.*", "*-ctfdeconv@4.99", "*@7.84", "sirt-*"),
    "picks": ("cytosolic-ribosome", "*complex*:data-portal/*", "re:.*ase", "b*", "*:alice/*", "*:*/*1", f"{F1_F0}:*/*"),
    "segmentations": ("membrane", "m*:*/*", "*@13.48", "*?instance=true", "n*@7.84", "*@re:", "chlorophyll-a:*/*"),
}
ANNOTATION_FIELDS = {
    "method_type": "methodType",
    "ground_truth_status": "groundTruthStatus",
    "deposition_id": "depositionId",
    "object_name": "objectName",
    "annotation_software": "annotationSoftware",
    "confidence_precision": "confidencePrecision",
}
FIELDS = {
    "tomograms": {
        "voxel_spacing": "voxelSpacing",
        "processing": "processing",
        "ctf_corrected": "ctfCorrected",
        "processing_software": "processingSoftware",
        "size_z": "sizeZ",
    },
    "picks": ANNOTATION_FIELDS,
    "segmentations": ANNOTATION_FIELDS,
}
RECORDS = {"tomograms": "Tomogram", "picks": "Annotation", "segmentations": "Annotation"}
OBJECTS = sorted({"cytosolic-ribosome", "membrane", "beta-amylase", "nucleosome", F1_F0})
TOMO_TYPES = ("wbp-raw", "wbp-filtered-ctfdeconv", "wbp-denoised-denoiset-ctfdeconv")


def random_layers(seed: int) -> list[Layer]:
    rng = random.Random(seed)
    return [random_layer(rng) for _ in range(rng.choice((1, 1, 2)))]


def random_layer(rng: random.Random) -> Layer:
    layer: Layer = {"allow_empty": True, "on_collision": "first", "others": rng.choice(("include", "exclude"))}
    if rng.random() < 0.4:
        layer["runs"] = [str(row["id"]) for row in rng.sample(TABLES["Run"], rng.randint(1, 4))]
    for artifact in rng.sample(tuple(RECORDS), rng.randint(1, 3)):
        layer[artifact] = random_filter(rng, artifact)
    if rng.random() < 0.6:
        layer["session_id"] = rng.choice(TEMPLATES)
    if rng.random() < 0.6:
        # Two names may become one, or one that is there already.
        layer["rename"] = {
            "objects": {old: rng.choice(("a", "b", "membrane")) for old in rng.sample(OBJECTS, 2)},
            "tomo_types": {old: rng.choice(("a", "b", "wbp-raw")) for old in rng.sample(TOMO_TYPES, 2)},
        }
    other = random.Random(json.dumps(layer))
    if "session_id" in layer and other.random() < 0.6:
        fields = sorted({*_PortalAnnotation.model_fields, "author", "authors", "annotation_file_id"})
        layer["session_id"] = "-".join(f"{{{name}}}" for name in other.sample(fields, other.randint(1, 3)))
    return layer


def random_filter(rng: random.Random, artifact: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if rng.random() < 0.5:
        chosen["select"] = rng.sample(SELECTORS[artifact], rng.randint(1, 2))
    if rng.random() < 0.6 or not chosen:
        keys = rng.sample(sorted(FIELDS[artifact]), rng.randint(1, 2))
        chosen["where"] = {k: v for k in keys if (v := random_value(rng, artifact, k)) is not None}
    if rng.random() < 0.4:
        owner = f"{RECORDS[artifact].lower()}Id"
        rows = TABLES[f"{RECORDS[artifact]}Author"]
        record = rng.choice(rows)[owner]
        names = sorted({row["name"] for row in rows if row[owner] == record})
        chosen["authors"] = rng.sample(names, min(len(names), rng.randint(1, 3)))
    return chosen


def random_value(rng: random.Random, artifact: str, field: str) -> Any:
    found = {row.get(FIELDS[artifact][field]) for row in TABLES[RECORDS[artifact]]} - {None}
    return rng.choice(sorted(found, key=str))


@pytest.mark.filterwarnings("ignore:Input .* contains invalid characters")
@pytest.mark.parametrize("start", range(0, CASES, GROUP))
def test_generated_filters_give_what_copick_exports(start: int, server: Server, copick: Copick, tmp_path: Path) -> None:
    """The recipes of a group are built in one call, and so share what they ask for."""
    cases = [random_layers(seed) for seed in range(start, start + GROUP)]
    filled: Counter[str] = Counter()
    recipes = [write(tmp_path, server.url, *layers, name=f"case-{i}") for i, layers in enumerate(cases)]
    for layers, root in zip(cases, build(*recipes), strict=True):
        ours, theirs = built_rows(root), copick.rows(layers)
        for name in RECORD_SETS:
            assert ours[name] == theirs[name], (name, layers)
            filled[RECORD_SETS[name].artifact or name] += bool(ours[name])
    assert all(filled[artifact] > GROUP / 4 for artifact in RECORDS), filled


def test_the_generated_cases_use_every_key() -> None:
    cases = [random_layers(seed) for seed in range(CASES)]
    every = [layer for layers in cases for layer in layers]
    assert sum(len(layers) > 1 for layers in cases) >= 10
    assert sum("rename" in layer for layer in every) >= 20
    assert sum("session_id" in layer for layer in every) >= 20
    for artifact in RECORDS:
        for key in ("select", "where", "authors"):
            assert sum(key in layer.get(artifact, {}) for layer in every) >= 8, (artifact, key)


# Names


def test_every_row_says_where_it_comes_from(server: Server, tmp_path: Path) -> None:
    as_is = write(tmp_path, server.url, {"on_collision": "first"}, name="as-is")
    renamed = write(
        tmp_path,
        server.url,
        {
            "run_name": "{name}-{dataset_id}",
            "session_id": "s-{annotation_file_id}",
            "rename": {"objects": {"cytosolic-ribosome": "ribosome"}, "tomo_types": {"wbp-raw": "wbp"}},
            "on_collision": "first",
        },
        name="renamed",
    )
    before, after = (built_rows(root) for root in build(as_is, renamed))
    annotations = {str(row["id"]): row for row in TABLES["Annotation"]}
    for name in ("picks", "segmentations", "instance_segmentations"):
        for row in [*before[name].values(), *after[name].values()]:
            assert row["portal_object_name"] == annotations[row["portal_annotation_id"]]["objectName"]
        assert {r["session_id"] == r["portal_annotation_file_id"] for r in before[name].values()} == {True}
        assert {r["portal_session_id"] for r in before[name].values()} == {""}
        assert all(r["portal_session_id"] == r["portal_annotation_file_id"] for r in after[name].values())
        assert {r["portal_annotation_file_id"] for r in after[name].values()} == {
            r["portal_annotation_file_id"] for r in before[name].values()
        }
    assert {r["portal_tomo_type"] for r in before["tomograms"].values()} == {""}
    assert {(r["portal_tomo_type"], r["tomo_type"] == "wbp") for r in after["tomograms"].values()} == {
        ("wbp-raw", True),
        ("", False),
    }
    runs = {str(row["id"]): f"{row['name']}-{row['datasetId']}" for row in TABLES["Run"]}
    assert {r["portal_run_id"]: r["name"] for r in after["runs"].values()} == runs
    assert {r["run"] for name in ("tomograms", "picks") for r in after[name].values()} <= set(runs.values())
    assert {r["portal_tomogram_id"] for r in after["tomograms"].values()} <= {str(r["id"]) for r in TABLES["Tomogram"]}


def test_sessions_may_have_a_jinja_template_and_fall_back_where_it_is_empty(server: Server, tmp_path: Path) -> None:
    layer = {
        "picks": ["ferritin-complex", "thyroglobulin", "cytosolic-ribosome"],
        "session_id": "{{ object_state|upper }}{% if object_state %}_by {{ author }}{% endif %}",
        "others": "exclude",
    }
    (root,) = build(write(tmp_path, server.url, layer, datasets=[10440]))
    authors = sorted(
        (a["annotationId"], a["authorListOrder"], a["name"]) for a in TABLES["AnnotationAuthor"] if a["annotationId"]
    )
    first = {str(annotation): name for annotation, _, name in reversed(authors)}
    state = {"ferritin-complex": "APO", "thyroglobulin": "DIMERIC", "cytosolic-ribosome": ""}
    rows = built_rows(root)["picks"].values()
    assert len(rows) == 9
    for row in rows:
        file, author = row["portal_annotation_file_id"], first[row["portal_annotation_id"]]
        named = f"{state[row['object_name']]}-by-{author.replace(' ', '-')}"
        expected = (named, file) if state[row["object_name"]] else (file, "")
        assert (row["session_id"], row["portal_session_id"]) == expected


def test_splits_by_fields_of_runs_cost_no_request(server: Server, tmp_path: Path) -> None:
    """They are asked for with the runs, where a recipe compares them; others ask what they asked before."""

    def asked(splits: dict[str, Any], **of_layer: Any) -> tuple[dict[str, set[str]], list[str]]:
        before = len(server.stats.queries)
        layer = {"run_name": "run-{id}", "tomograms": "none", "others": "exclude", **of_layer}
        (result,) = api.plan(write(tmp_path, server.url, layer, splits=splits), options=Options(cache="refresh"))
        assert not [str(d) for d in result.diagnostics if d.is_error]
        assert result.plan is not None
        runs = result.plan.content.tables["runs"]
        found = {s: set(runs["name"][runs["split"] == s]) for s in result.plan.content.splits}
        return found, sorted(server.stats.queries[before:])

    of = {d: {f"run-{r['id']}" for r in TABLES["Run"] if r["datasetId"] == d} for d in DATASETS}
    named = next(r for r in TABLES["Run"] if r["datasetId"] == 10000)
    nothing, plain = asked({})
    assert nothing == {}
    of_10301 = {"source": "cdp", "where": {"dataset_id": 10301}}
    train = {"where": {"dataset_id": 10440}}
    by_known, queries = asked({"assign": {"train": train, "test": [str(named["id"]), of_10301]}, "unassign": "TS_0002"})
    assert by_known == {"train": of[10440] - {"run-20000004"}, "test": {f"run-{named['id']}", *of[10301]}}
    assert queries == plain, "what is compared is read of every run anyway"
    by_field, queries = asked({}, split={"val": {"where": {"s3_prefix": named["s3Prefix"]}}})
    assert by_field == {"val": {f"run-{named['id']}"}}
    assert len(queries) == len(plain)
    (changed,) = set(queries) - set(plain)
    assert "s3Prefix" in changed


@pytest.mark.parametrize(
    ("template", "theirs"),
    [
        ("{methd_type}-{id}", "7"),
        ("{release_date}-{id}", "7"),
        ("{release_date:%Y}-{id}", "fallback"),
        ("{id_:06d}", "fallback"),
        ("{object_count:04d}-{id}", "fallback"),
    ],
)
def test_what_copick_makes_of_fields_that_it_does_not_have(template: str, theirs: str) -> None:
    """As the page for who comes from copick says it."""
    record = PortalAnnotationMeta(portal_annotation=_PortalAnnotation(id=7, method_type="hybrid"))
    artifact = SimpleNamespace(meta=SimpleNamespace(portal_metadata=record))
    assert _resolve_session_id(template, artifact, "fallback") == theirs


def test_users_dates_and_renames_of_what_templates_give(server: Server, tmp_path: Path) -> None:
    layer = {
        "picks": "all",
        "segmentations": "all",
        "others": "exclude",
        "session_id": "{release_date:%Y%m%d}-{deposition_date}-{session}",
        "user_id": "{{ author|lower }}.{{ run }}{% if last_modified_date > '2000-01-01' %}{% endif %}",
        "rename": {"sessions": {"re:2024.*1$": "0", "gone": "x"}, "users": {"*": "everybody", "a*": "a"}},
        "allow_empty": True,
        "on_collision": "first",
    }
    (root,) = build(write(tmp_path, server.url, layer))
    annotations = {str(row["id"]): row for row in TABLES["Annotation"]}
    names = {}
    for row in sorted(TABLES["AnnotationAuthor"], key=lambda r: -r["authorListOrder"]):
        names[str(row["annotationId"])] = row["name"].lower()
    seen: Counter[str] = Counter()
    for name in ("picks", "segmentations", "instance_segmentations"):
        for row in built_rows(root)[name].values():
            annotation, file = annotations[row["portal_annotation_id"]], row["portal_annotation_file_id"]
            released, deposited = annotation["releaseDate"][:10], annotation["depositionDate"][:10]
            made = f"{released.replace('-', '')}-{deposited}-{file}"
            session = "0" if made.startswith("2024") and made.endswith("1") else made
            assert (row["session_id"], row["portal_session_id"]) == (session, file)
            assert row["user_id"] == ("a" if names[row["portal_annotation_id"]].startswith("a") else "everybody")
            seen[session] += 1
            seen[row["user_id"]] += 1
    assert seen["0"] > 1
    assert seen["everybody"] > 1


def test_run_names_of_one_dataset_are_unique(server: Server, tmp_path: Path) -> None:
    layer = {"run_name": "{name}", "tomograms": "all", "others": "exclude", "on_collision": "first"}
    (root,) = build(write(tmp_path, server.url, layer, datasets=[10440]))
    assert sorted(built_rows(root)["runs"]) == [("TS_0000",), ("TS_0001",), ("TS_0002",)]


def test_run_names_that_two_datasets_share_are_a_collision_whose_hint_builds(server: Server, tmp_path: Path) -> None:
    layer = {"tomograms": "wbp-raw", "others": "exclude"}
    code, found = refused(write(tmp_path, server.url, {**layer, "run_name": "{name}"}))
    assert code is ExitCode.BLOCKED
    (collision,) = found
    assert collision.code is Code.COLLISION
    assert collision.message == "layer 1 (export cdp): 2 keys have more than one row in runs"
    same = [row for row in TABLES["Run"] if row["name"] == "TS_0000"]
    assert collision.notes[:4] == (
        "name 'TS_0000' is the key of:",
        *(
            f"  - portal run id '{row['id']}', portal dataset id '{row['datasetId']}', name 'TS_0000'"
            for row in sorted(same, key=lambda r: r["id"])
        ),
    )
    template = (collision.hint or "").partition('"')[2].rstrip('"')
    assert template == "{name}-{dataset_id}"
    (root,) = build(write(tmp_path, server.url, {**layer, "run_name": template}))
    assert len(built_rows(root)["runs"]) == len(TABLES["Run"])


@pytest.mark.parametrize("apart", ["layers", "sources"])
def test_run_names_that_two_layers_share_are_a_collision_too(apart: str, server: Server, tmp_path: Path) -> None:
    """The datasets' runs of one name would become one run, with the annotations of both."""

    def recipe(run_name: str) -> Path:
        layers: list[Layer] = [
            {"others": "exclude", "run_name": run_name, "runs": sorted(runs[dataset])} for dataset in (10000, 10440)
        ]
        path = write(tmp_path, server.url, *layers)
        if apart == "sources":
            document = yaml.safe_load(path.read_text())
            document["sources"]["second"] = {"portal": {"datasets": [10440], "url": server.url}}
            document["layers"][1]["append"] = "second"
            path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    runs: dict[int, set[str]] = {}
    names: dict[int, set[str]] = {}
    for row in TABLES["Run"]:
        runs.setdefault(row["datasetId"], set()).add(str(row["id"]))
        names.setdefault(row["datasetId"], set()).add(row["name"])
    shared = sorted(names[10000] & names[10440])
    code, found = refused(recipe("{name}"))
    assert code is ExitCode.BLOCKED, found
    (told,) = found
    second = "cdp" if apart == "layers" else "second"
    n = len(shared)
    runs_are = "one run is another run" if n == 1 else f"{n} runs are other runs"
    assert told.message == (
        f"layer 2 (append {second}): {runs_are} of the portal than in an earlier layer, under the same name"
    )
    assert [note.split("'")[1] for note in told.notes[:2]] == shared[:2]
    assert told.notes[0].split(" is portal run ")[1].split()[0] in runs[10000]
    template = (told.hint or "").partition('"')[2].rstrip('"')
    (root,) = build(recipe(template))
    assert len(built_rows(root)["runs"]) == len(runs[10000]) + len(runs[10440])


def test_runs_answer_to_their_id_and_to_their_portal_name(server: Server, tmp_path: Path) -> None:
    ids = {row["name"]: row for row in TABLES["Run"] if row["datasetId"] == 10440}
    chosen = ["TS_0001", str(ids["TS_0002"]["id"])]
    layer = {"runs": chosen, "tomograms": "*@4.99", "others": "exclude"}
    (root,) = build(write(tmp_path, server.url, layer, datasets=[10440]))
    rows = built_rows(root)
    expected = {str(ids[name]["id"]) for name in ("TS_0001", "TS_0002")}
    assert {name for (name,) in rows["runs"]} == expected
    assert {row["run"] for row in rows["tomograms"].values()} == expected


# Collisions


def test_two_annotations_of_one_object_and_method_are_shown_and_the_hint_builds(server: Server, tmp_path: Path) -> None:
    """Each run of dataset 10301 has two F1-F0 annotations made by one method."""
    layer = {"picks": f"{F1_F0}:*/*", "others": "exclude", "session_id": "{method_type}"}
    code, (collision,) = refused(write(tmp_path, server.url, layer, datasets=[10301]))
    assert (code, collision.code) == (ExitCode.BLOCKED, Code.COLLISION)
    assert collision.message == "layer 1 (export cdp): 2 keys have more than one row in picks"
    run = next(row["id"] for row in TABLES["Run"] if row["datasetId"] == 10301)
    twins = [a for a in TABLES["Annotation"] if a["runId"] == run and a["objectId"] == "GO:0045259"]
    assert len(twins) == 2
    key, *rows = collision.notes[:3]
    assert key == (f"run '{run}', user_id 'data-portal', session_id 'automated', object_name '{F1_F0}' is the key of:")
    for annotation, row in zip(twins, rows, strict=True):
        authors = [a for a in TABLES["AnnotationAuthor"] if a["annotationId"] == annotation["id"]]
        first = min(authors, key=lambda a: a["authorListOrder"])["name"]
        assert f"portal annotation id '{annotation['id']}'" in row
        assert "portal object name 'F1-F0 ATP synthase (dimer), mitochondrial'" in row
        assert "portal dataset id '10301'" in row
        assert row.endswith(f"by {first} and {len(authors) - 1} more")
    assert collision.hint is not None
    assert collision.hint.startswith("add {annotation_file_id} to session_id to keep both")

    kept = {**layer, "session_id": "{method_type}-{annotation_file_id}"}
    (root,) = build(write(tmp_path, server.url, kept, datasets=[10301]))
    of_run = [row for row in built_rows(root)["picks"].values() if row["run"] == str(run)]
    assert {row["portal_annotation_id"] for row in of_run} == {str(a["id"]) for a in twins}


@pytest.mark.parametrize(("policy", "position"), [("first", 0), ("last", -1)])
def test_tomograms_of_one_type_and_spacing_are_a_collision(
    policy: str, position: int, server: Server, tmp_path: Path
) -> None:
    layer = {"tomograms": "*denoiset*@10.012", "others": "exclude"}
    code, (collision,) = refused(write(tmp_path, server.url, layer, datasets=[10440]))
    assert (code, collision.code) == (ExitCode.BLOCKED, Code.COLLISION)
    run = next(row["id"] for row in TABLES["Run"] if row["datasetId"] == 10440)
    twins = [t for t in TABLES["Tomogram"] if t["runId"] == run and t["voxelSpacing"] == 10.012]
    twins = [t for t in twins if t["processing"] == "denoised"]
    assert len(twins) == 2
    for tomogram, row in zip(twins, collision.notes[1:], strict=True):
        assert f"portal tomogram id '{tomogram['id']}'" in row
        assert "portal dataset id '10440'" in row
        assert "by Emiko Brâncuși and 17 more" in row
    assert collision.hint == (
        "keep one with `tomograms: {where: …}`, or choose with `on_collision: first` or `on_collision: last`"
    )
    (root,) = build(write(tmp_path, server.url, {**layer, "on_collision": policy}, datasets=[10440]))
    (row,) = [r for r in built_rows(root)["tomograms"].values() if r["run"] == str(run)]
    assert row["portal_tomogram_id"] == str(twins[position]["id"])


def test_where_keeps_one_of_two_tomograms(server: Server, tmp_path: Path) -> None:
    """As the hint of their collision says."""
    (kept,) = {min(t["id"] for t in TABLES["Tomogram"] if t["processingSoftware"] == "DenoisET")}
    layer = {"tomograms": {"where": {"id": kept}}, "others": "exclude"}
    (root,) = build(write(tmp_path, server.url, layer, datasets=[10440]))
    assert [r["portal_tomogram_id"] for r in built_rows(root)["tomograms"].values()] == [str(kept)]


# Pickable objects


def test_objects_have_the_ids_that_copick_derives(server: Server, copick: Copick, tmp_path: Path) -> None:
    (root,) = build(write(tmp_path, server.url, {"picks": "none", "others": "exclude", "runs": ["TS_0001"]}))
    ours = {o["name"]: o for o in pickable(root)}
    for theirs in copick.root.config.pickable_objects:
        for field in ("identifier", "emdb_id", "pdb_id", "is_particle", "radius"):
            assert ours[theirs.name][field] == getattr(theirs, field), (theirs.name, field)
    assert len(ours) == len(copick.root.config.pickable_objects) > 10
    assert (ours["beta-amylase"]["emdb_id"], ours["beta-amylase"]["pdb_id"]) == ("EMD-30405", "PDB-1FA2")
    assert (ours["nucleosome"]["identifier"], ours["nucleosome"]["pdb_id"]) == ("PDB-1KX5", "1KX5")


def test_labels_and_colours_depend_on_nothing_but_the_datasets(server: Server, tmp_path: Path) -> None:
    """For the order of the datasets and the hash seed see ``test_portal_determinism``."""
    rename = {"rename": {"objects": {"cytosolic-ribosome": "ribosome"}}}
    picks = {"picks": "cytosolic-ribosome", "others": "exclude"}
    recipes = {
        "whole": write(tmp_path, server.url, {"on_collision": "first"}, name="whole"),
        "one-run": write(tmp_path, server.url, {**picks, "runs": ["TS_0002"]}, name="one-run"),
        "renamed": write(tmp_path, server.url, {**picks, **rename}, name="renamed"),
        "appended": write(tmp_path, server.url, picks, {**picks, **rename}, name="appended"),
    }
    objects = dict(zip(recipes, map(pickable, build(*recipes.values())), strict=True))
    whole = objects["whole"]
    assert sorted(o["label"] for o in whole) == list(range(1, len(whole) + 1))
    assert len({tuple(o["color"]) for o in whole}) == len(whole)
    assert objects["one-run"] == whole
    label = {o["name"]: o["label"] for o in whole}
    renamed = {o["name"]: o["label"] for o in objects["renamed"]}
    assert renamed.pop("ribosome") == label["cytosolic-ribosome"]
    assert renamed == {name: n for name, n in label.items() if name != "cytosolic-ribosome"}
    assert {o["name"]: o["label"] for o in objects["appended"]} == {**label, "ribosome": len(label) + 1}


def test_objects_are_overridden_by_output_name(server: Server, tmp_path: Path) -> None:
    layer = {
        "picks": "cytosolic-ribosome",
        "rename": {"objects": {"cytosolic-ribosome": "ribosome"}},
        "others": "exclude",
    }
    given = {"label": 77, "color": [0, 255, 0, 255], "radius": 130.0, "emdb_id": "EMD-1"}
    (root,) = build(write(tmp_path, server.url, layer, objects={"ribosome": given}))
    (ribosome,) = [o for o in pickable(root) if o["name"] == "ribosome"]
    assert {k: ribosome[k] for k in given} == given
    assert ribosome["identifier"] == "GO:0022626"
    assert ribosome["metadata"] == {"portal_original_name": "cytosolic-ribosome"}
    code, (found,) = refused_override(server, tmp_path / "wrong", layer)
    assert (code, found.code) == (ExitCode.INVALID, Code.OBJECT_UNKNOWN)
    assert found.hint == "did you mean 'ribosome'?"


def refused_override(server: Server, folder: Path, layer: Layer) -> tuple[ExitCode, list[Diagnostic]]:
    folder.mkdir()
    return refused(write(folder, server.url, layer, objects={"ribosom": {"label": 1}}))


# copick configs of the portal's type


def test_a_copick_config_of_the_portal_is_a_source(
    server: Server, copick: Copick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {o.name: o for o in copick.root.config.pickable_objects}
    chosen = [known["cytosolic-ribosome"].model_copy(update={"name": "ribo"}), known["membrane"], known["nucleosome"]]
    run = str(TABLES["Run"][0]["id"])
    overlay = tmp_path / "overlay/ExperimentRuns" / run
    (overlay / "Picks").mkdir(parents=True)
    picks = {"pickable_object_name": "ribo", "user_id": "me", "session_id": "1", "points": [], "voxel_spacing": 10.0}
    (overlay / "Picks/me_1_ribo.json").write_text(json.dumps(picks))
    config = {
        "config_type": "cryoet_data_portal",
        "name": "With an overlay",
        "version": "1.2.3",
        "pickable_objects": [o.model_dump() for o in chosen],
        "overlay_root": str(tmp_path / "overlay"),
        "overlay_fs_args": {"auto_mkdir": True},
        "dataset_ids": DATASETS,
        "portal_cache": False,
    }
    (tmp_path / "project.json").write_text(json.dumps(config))
    monkeypatch.setattr(portal_datasets, "PORTAL_URL", server.url)
    sources = {"cdp": {"copick": {"config": "project.json", "base_url": "https://example.org/overlay"}}}
    (root,) = build(write(tmp_path, "", {"on_collision": "first"}, sources=sources))
    ours = built_rows(root)

    with mock.patch.object(portal_client, "DEFAULT_URL", server.url):
        theirs = Copick(CopickRootCDP(CopickConfigCDP(**config)), tmp_path).export({})
    for name in ("runs", "tomograms", "segmentations", "instance_segmentations"):
        assert ours[name] == by_key(name, theirs[name]), name
    mine = (run, "me", "1", "ribo")
    of_portal = {key: row for key, row in ours["picks"].items() if key != mine}
    assert of_portal == {key: row for key, row in by_key("picks", theirs["picks"]).items() if key != mine}
    assert {name for *_, name in of_portal} == {"ribo", "nucleosome"}
    assert ours["picks"][mine]["url"] == f"https://example.org/overlay/ExperimentRuns/{run}/Picks/me_1_ribo.json"
    assert ours["picks"][mine]["voxel_size"] == "10.0"
    assert len(ours["picks"][mine]["sha256"]) == 64
    assert mine in by_key("picks", theirs["picks"])
    entries = {o["name"]: o for o in pickable(root)}
    assert list(entries) == [o.name for o in chosen]
    assert entries["ribo"]["label"] == known["cytosolic-ribosome"].label
    assert manifest(root)["copick:baseUrl"] == f"{BUCKET}/"


@pytest.mark.parametrize(
    ("output", "source_url", "place"),
    [
        ({"project_root": "out"}, None, "file://{folder}/overlay/"),
        ({"project_root": "out", "base_url": "https://example.org/published"}, None, "file://{folder}/overlay/"),
        ({"project_root": "out", "base_url": BUCKET}, None, "file://{folder}/overlay/"),
        ({"project_root": "out"}, f"{BUCKET}/", "file://{folder}/overlay/"),
        ({"project_root": "out", "base_url": BUCKET}, "https://example.org/mine", "https://example.org/mine/"),
        ({"project_root": "overlay", "base_url": "https://example.org/mine"}, None, "https://example.org/mine/"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_rows_of_an_overlay_beside_the_portal_lie_in_the_overlay(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: dict[str, str],
    source_url: str | None,
    place: str,
    first: bool,
) -> None:
    monkeypatch.setattr(portal_datasets, "PORTAL_URL", server.url)
    run = str(TABLES["Run"][0]["id"])
    write_overlay_project(tmp_path, run)
    project = {"config": "project.json"} | ({"base_url": source_url} if source_url else {})
    sources = {"cdp": {"portal": {"datasets": [10440], "url": server.url}}, "mine": {"copick": project}}
    layers = [{"export" if first else "append": "mine", "meshes": "all", "others": "exclude"}]
    if not first:
        layers.insert(0, {"export": "cdp", "tomograms": "all", "others": "exclude", "on_collision": "first"})
    else:
        del sources["cdp"]
    (root,) = build(write(tmp_path, "", sources=sources, output=output, layers=layers))
    ((_, row),) = built_rows(root)["meshes"].items()
    if not first and source_url is None:
        place = "file://{folder}/overlay/"
    assert row["url"] == f"{place.format(folder=tmp_path)}ExperimentRuns/{run}/Meshes/me_1_ribo.glb"
    assert manifest(root)["copick:baseUrl"] == f"{BUCKET}/"


def test_runs_that_the_overlay_alone_has_are_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """copick lists the portal's runs, by their ids; an overlay named after the portal's names is not seen."""
    monkeypatch.setattr(portal_datasets, "PORTAL_URL", server.url)
    write_overlay_project(tmp_path, str(TABLES["Run"][0]["id"]), TABLES["Run"][0]["name"])
    layers = [{"export": "mine", "meshes": "all", "others": "exclude"}]
    recipe = write(tmp_path, "", sources={"mine": {"copick": {"config": "project.json"}}}, layers=layers)
    (result,) = api.build(recipe)
    (told,) = [d for d in result.diagnostics if d.code is Code.NOT_EXPORTED]
    name = TABLES["Run"][0]["name"]
    assert told.message == (
        f"source 'mine': what the overlay holds of {name!r} is left out: the datasets have no run of this id"
    )
    assert result.report.rows is not None
    assert result.report.rows["meshes"] == 1


# Several recipes in one call


def test_recipes_of_one_call_ask_once_for_what_they_share(tmp_path: Path) -> None:
    tomograms = {"tomograms": "wbp-raw", "others": "exclude"}
    picks = {"picks": "cytosolic-ribosome", "others": "exclude"}
    counts = []
    for names in (["one"], ["one", "two", "three"]):
        with serve(TABLES) as server:
            layers = {"one": (tomograms, picks), "two": (picks,), "three": (picks, tomograms)}
            folder = tmp_path / str(len(names))
            folder.mkdir()
            roots = build(*(write(folder, server.url, *layers[name], name=name) for name in names))
        counts.append(server.stats.requests)
    assert counts[0] == counts[1] > 0
    picked = [built_rows(root)["picks"] for root in roots]
    assert len(picked[0]) > 0
    assert [set(p) for p in picked] == [set(picked[0])] * 3


def test_nothing_is_asked_of_the_portal_for_types_that_no_layer_takes(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        build(write(tmp_path, server.url, {"tomograms": "wbp-raw", "others": "exclude"}))
    asked = "\n".join(server.stats.queries)
    assert "tomograms(" in asked
    assert "annotationFiles" not in asked
    assert "Authors" not in asked


# Names that are wrong

WRONG = {
    "author": (
        {"picks": {"authors": ["Sara Gotz"]}, "others": "exclude"},
        Code.NO_MATCH,
        "no picks of source 'cdp' has the author 'Sara Gotz'",
        "did you mean 'Sara Goetz'?",
    ),
    "object": (
        {"picks": "cytosolic-ribosom:*/*", "others": "exclude"},
        Code.NO_MATCH,
        "'cytosolic-ribosom:*/*' matches no picks in the runs of source 'cdp'",
        "did you mean 'cytosolic-ribosome:*/*'?",
    ),
    "object of chosen runs": (
        {"runs": ["TS_0001"], "picks": "cytosolic-ribosom:*/*", "others": "exclude"},
        Code.NO_MATCH,
        "'cytosolic-ribosom:*/*' matches no picks in the chosen runs of source 'cdp'",
        "did you mean 'cytosolic-ribosome:*/*'?",
    ),
    "object with a condition": (
        {"picks": {"select": "cytosolic-ribosom:*/*", "where": {"method_type": "hybrid"}}, "others": "exclude"},
        Code.NO_MATCH,
        "'cytosolic-ribosom:*/*' matches no picks in the runs of source 'cdp'",
        "did you mean 'cytosolic-ribosome:*/*'?",
    ),
    "voxel size of chosen runs": (
        {"runs": ["TS_0001"], "tomograms": "wbp-raw@13.84", "others": "exclude"},
        Code.NO_MATCH,
        "'wbp-raw@13.84' matches no tomogram in the chosen runs of source 'cdp'",
        "did you mean 'wbp-raw@13.48'",
    ),
    "segmented object": (
        {"segmentations": "membrame", "others": "exclude"},
        Code.NO_MATCH,
        "'membrame' matches no segmentation in the runs of source 'cdp'",
        "did you mean 'membrane'?",
    ),
    "tomogram type": (
        {"tomograms": "wpb-raw", "others": "exclude"},
        Code.NO_MATCH,
        "'wpb-raw' matches no tomogram in the runs of source 'cdp'",
        "did you mean 'wbp-raw@13.48'?",
    ),
    "renamed object": (
        {"rename": {"objects": {"cytosolic-ribosom": "r"}}, "on_collision": "first"},
        Code.RENAME_UNKNOWN,
        "'cytosolic-ribosom' names no object in source 'cdp'",
        "did you mean 'cytosolic-ribosome'?",
    ),
    "where value": (
        {"picks": {"where": {"method_type": "template-matching"}}, "others": "exclude"},
        Code.WHERE_VALUE,
        "method_type cannot be 'template-matching'",
        "allowed are 'manual', 'automated', 'hybrid' and 'simulated'",
    ),
    "where field": (
        {"tomograms": {"where": {"processng": "raw"}}, "others": "exclude"},
        Code.WHERE_FIELD,
        "the portal's Tomogram has no field 'processng' to compare",
        "did you mean 'processing' or 'processing_software'?",
    ),
    "template field": (
        {"session_id": "{method_tipe}", "picks": "all", "others": "exclude"},
        Code.TEMPLATE_FIELD,
        "method_tipe",
        "did you mean 'method_type'",
    ),
    "template access": (
        {"session_id": "{author.__class__}", "picks": "all", "others": "exclude"},
        Code.TEMPLATE,
        "author.__class__",
        "write only {field} or {field:format}",
    ),
    "run": (
        {"runs": ["TS_9999"], "tomograms": "wbp-raw", "others": "exclude"},
        Code.NO_MATCH,
        "'TS_9999' matches no run in source 'cdp'",
        "TS_0000",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_name_that_is_not_there_is_an_error_with_the_nearest(what: str, server: Server, tmp_path: Path) -> None:
    layer, code, message, hint = WRONG[what]
    exit_code, found = refused(write(tmp_path, server.url, layer))
    assert exit_code is ExitCode.INVALID
    error = next(d for d in found if d.code is code)
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.span is not None
    assert error.span.line > 17, "it points into the layer"


def test_a_dataset_that_the_portal_does_not_have(server: Server, tmp_path: Path) -> None:
    code, (found,) = refused(write(tmp_path, server.url, {}, datasets=[10440, 10441]))
    assert (code, found.code) == (ExitCode.INVALID, Code.DATASET_UNKNOWN)
    assert "no dataset 10441" in found.message


def test_portal_only_keys_are_refused_for_other_sources_without_a_question(server: Server, tmp_path: Path) -> None:
    before = server.stats.requests
    layers = ({"on_collision": "first"}, {"picks": {"where": {"method_type": "hybrid"}}, "others": "exclude"})
    (tmp_path / "lab.json").write_text('{"config_type": "filesystem"}')
    recipe = write(tmp_path, server.url, *layers)
    document = yaml.safe_load(recipe.read_text())
    document["sources"]["lab"] = {"copick": {"config": "lab.json"}}
    document["layers"][1]["append"] = "lab"
    recipe.write_text(yaml.safe_dump(document, sort_keys=False))
    code, (found,) = refused(recipe)
    assert (code, found.code) == (ExitCode.INVALID, Code.PORTAL_ONLY)
    assert found.message == "picks.where needs a portal source, and 'lab' is a copick source"
    assert server.stats.requests == before


def test_where_values_are_coerced_as_copick_coerces_them(server: Server, tmp_path: Path) -> None:
    spelled = [True, "yes"]
    layers = [{"picks": {"where": {"ground_truth_status": value}}, "others": "exclude"} for value in spelled]
    recipes = [write(tmp_path, server.url, layer, name=f"spelled-{i}") for i, layer in enumerate(layers)]
    first, other = [built_rows(root)["picks"] for root in build(*recipes)]
    truths = {str(a["id"]) for a in TABLES["Annotation"] if a["groundTruthStatus"]}
    assert {row["portal_annotation_id"] for row in first.values()} <= truths
    assert len(first) > 0
    assert other == first
