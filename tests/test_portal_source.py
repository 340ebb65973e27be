"""A portal source gives the rows that copick's portal backend exports, and asks only for what its layers need."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import cryoet_data_portal._client as portal_client
import pandas as pd
import pytest
import yaml
from copick.impl.cryoet_data_portal import CopickConfigCDP, CopickRootCDP
from copick.models import PickableObject
from copick.ops.open import from_czcdp_datasets

from croissant_recipes.codes import Code
from croissant_recipes.compiler import layers
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.language import checks
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.source_kinds import PortalSource as PortalSpec
from croissant_recipes.progress import Silent
from croissant_recipes.schema import ARTIFACTS, PROJECT_KEYS
from croissant_recipes.sources.base import Inventory, Means
from croissant_recipes.sources.portal.datasets import PortalSource
from croissant_recipes.sources.portal.overview import contents
from croissant_recipes.sources.portal.portal_project import PortalProject
from croissant_recipes.sources.portal.transport import CacheMode, Limits
from croissant_recipes.sources.project_config import load_config
from croissant_recipes.work import Workers
from tests.portal_oracle import RecordTables, copick_export, copick_portal_root
from tests.portal_server import ErrorBody, Fault, Server, Stall, Status, Truncate, serve
from tests.portal_tables import Tables, generate

TABLES = generate(runs=9)
DATASETS = [row["id"] for row in TABLES["Dataset"]]
DEFAULTS = Limits()
RECORD_SETS = {
    "runs": ["runs"],
    "tomograms": ["tomograms"],
    "picks": ["picks"],
    "segmentations": ["segmentations", "instance_segmentations"],
}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=5) as running:
        yield running


@dataclass(frozen=True)
class Copick:
    """copick's view of the tables, asked once, in the order of ids."""

    root: CopickRootCDP
    folder: Path

    def export(self, **filters: Any) -> RecordTables:
        # With these two, copick's export looks for tomograms of the type None and so exports none. What it means to
        # select is what its own comparison says.
        where, authors = filters.pop("tomograms_portal_meta", {}), filters.pop("tomograms_author", [])
        found = copick_export(self.root, self.folder / "out", **filters)
        meant = {
            str(tomogram.meta.portal_tomo_id)
            for run in self.root.runs
            for spacing in run.voxel_spacings
            for tomogram in spacing.tomograms
            if tomogram.meta.portal_metadata.compare(where, authors)
        }
        # Where the portal has no OME-Zarr, copick names a folder of its own overlay, which does not exist.
        found["tomograms"] = [
            row
            for row in found["tomograms"]
            if row["portal_tomogram_id"] in meant and not row["url"].startswith(str(self.folder))
        ]
        return found


@pytest.fixture(scope="module")
def copick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copick]:
    folder = tmp_path_factory.mktemp("copick")
    with serve(TABLES) as running:
        yield Copick(copick_portal_root(running.url, DATASETS, folder), folder)


def specs(folder: Path, *layer_maps: Mapping[str, Any], datasets: Sequence[int] = DATASETS) -> tuple[LayerSpec, ...]:
    """Layers as ``check`` makes them of a recipe. The first is the export."""
    document = {
        "recipe": 1,
        "name": "test",
        "dataset": {
            "name": "Test",
            "description": "Test.",
            "version": "1.0.0",
            "license": "CC0-1.0",
            "date_published": "2026-01-01",
        },
        "output": {"project_root": "out", "base_url": "https://example.org/test"},
        "sources": {"portal": {"portal": {"datasets": list(datasets)}}},
        "layers": [{"append" if i else "export": "portal", **layer} for i, layer in enumerate(layer_maps)],
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    recipe, found = checks.check_recipe(path, {})
    assert recipe is not None, [str(d) for d in found]
    return recipe.layers


def source(
    server: Server,
    *,
    datasets: Sequence[int] = DATASETS,
    limits: Limits = DEFAULTS,
    jobs: int = 4,
    cache: CacheMode = "refresh",
    workers: Workers | None = None,
) -> PortalSource:
    spec = PortalSpec(datasets=tuple(datasets), url=server.url)
    means = Means(Path(), workers or Workers(jobs), cache)
    return PortalSource("portal", spec, means, limits=limits, sleep=lambda _: None)


def scan(server: Server, folder: Path, *layer_maps: Mapping[str, Any], **options: Any) -> list[Inventory]:
    return list(source(server, **options).scan(specs(folder, *layer_maps), Silent()))


def rows_of(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Rows as a CSV has them; the place of a file is its URL relative to the portal's bucket."""
    given = table.assign(url=table["path"]) if "path" in table else table
    values = given[list(columns)].itertuples(index=False, name=None)
    return sorted(tuple("" if v != v else str(v) for v in row) for row in values)


def copick_rows(found: RecordTables, artifact: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return sorted(tuple(row[c] for c in columns) for name in RECORD_SETS[artifact] for row in found[name])


COLUMNS = {
    "runs": ("name", "portal_run_id", "split"),
    "tomograms": ("run", "voxel_size", "tomo_type", "url", "portal_tomo_type", "portal_tomogram_id"),
    "picks": (
        "run",
        "user_id",
        "session_id",
        "object_name",
        "voxel_size",
        "url",
        "sha256",
        "portal_object_name",
        "portal_session_id",
        "portal_annotation_id",
        "portal_annotation_file_id",
    ),
    "segmentations": (
        "run",
        "voxel_size",
        "user_id",
        "session_id",
        "name",
        "url",
        "portal_object_name",
        "portal_session_id",
        "portal_annotation_id",
        "portal_annotation_file_id",
    ),
}

# Whole datasets


def test_whole_datasets_are_what_copick_exports(server: Server, copick: Copick, tmp_path: Path) -> None:
    (ours,) = scan(server, tmp_path, {})
    theirs = copick.export()
    for artifact, columns in COLUMNS.items():
        assert rows_of(ours.table(artifact), columns) == copick_rows(theirs, artifact, columns), artifact
        assert len(ours.table(artifact)) > 0
    assert (ours.table("segmentations")["segmentation_type"] == "instance").sum() == len(
        theirs["instance_segmentations"]
    )
    assert [len(ours.table(a)) for a in ("features", "meshes", "objects")] == [0, 0, 0]


def test_objects_are_copicks_but_for_label_and_colour(server: Server, copick: Copick, tmp_path: Path) -> None:
    (ours,) = scan(server, tmp_path, {})

    def told(entry: Mapping[str, Any]) -> str:
        return json.dumps({k: v for k, v in entry.items() if k not in ("label", "color")}, sort_keys=True)

    theirs = [told(o.model_dump()) for o in copick.root.config.pickable_objects]
    assert sorted(told(o) for o in ours.objects) == sorted(theirs)
    assert all(o["label"] is None and o["color"] is None for o in ours.objects)
    assert set(ours.objects[0]) == set(PickableObject.model_fields)


def test_objects_are_those_of_the_datasets_whatever_is_read(server: Server, tmp_path: Path) -> None:
    (everything,) = scan(server, tmp_path, {})
    (little,) = scan(
        server, tmp_path, {"runs": "no-such", "picks": "none", "allow_empty": True}, datasets=DATASETS[::-1]
    )
    assert little.objects == everything.objects
    assert len(everything.objects) == len({row["objectId"] for row in TABLES["Annotation"]})


def test_a_missing_zarr_is_told(tmp_path: Path) -> None:
    tables = _copy(TABLES)
    without = tables["Tomogram"][1]["id"]
    tables["Tomogram"][1]["s3OmezarrDir"] = None
    with serve(tables) as server:
        (ours,) = scan(server, tmp_path, {})
    (told,) = [d for d in ours.diagnostics if d.code is Code.NOT_EXPORTED and "OME-Zarr" in d.message]
    assert told.message == f"the portal has no OME-Zarr of tomogram {without}, left out"
    assert str(without) not in set(ours.table("tomograms")["portal_tomogram_id"])
    assert len(ours.table("tomograms")) == len(tables["Tomogram"]) - 1


def test_the_bucket_is_the_root_and_other_places_stay_absolute(tmp_path: Path) -> None:
    tables = _copy(TABLES)
    moved = tables["Tomogram"][0]
    moved["s3OmezarrDir"] = "s3://elsewhere/a.zarr/"
    with serve(tables) as server:
        (ours,) = scan(server, tmp_path, {"tomograms": "all", "others": "exclude"})
    table = ours.table("tomograms").set_index("portal_tomogram_id")
    assert tuple(table.loc[str(moved["id"]), ["root", "path"]]) == ("", "s3://elsewhere/a.zarr")
    assert set(table.drop(str(moved["id"]))["root"]) == {"portal"}
    assert ours.roots["portal"].base_url == "s3://cryoet-data-portal-public"


def test_one_object_id_has_one_name_that_of_its_last_annotation(tmp_path: Path) -> None:
    tables = _copy(TABLES)
    ((identifier, _),) = Counter(a["objectId"] for a in tables["Annotation"]).most_common(1)
    same = [a for a in tables["Annotation"] if a["objectId"] == identifier]
    max(same, key=lambda a: a["id"])["objectName"] = "Other (name)"
    with serve(tables) as server:
        (ours,) = scan(server, tmp_path, {})
        theirs = copick_export(copick_portal_root(server.url, DATASETS, tmp_path), tmp_path / "out")
    assert "other-(name)" in {o["name"] for o in ours.objects}
    for artifact in ("picks", "segmentations"):
        columns = COLUMNS[artifact]
        assert rows_of(ours.table(artifact), columns) == copick_rows(theirs, artifact, columns)


def _copy(tables: Tables) -> Tables:
    return {name: [dict(row) for row in rows] for name, rows in tables.items()}


# Filters


def _values(artifact: str, field: str) -> list[Any]:
    entity = "Tomogram" if artifact == "tomograms" else "Annotation"
    return sorted({row[field] for row in TABLES[entity] if row.get(field) is not None}, key=str)


WHERE_FIELDS = {
    "tomograms": {
        "voxel_spacing": "voxelSpacing",
        "processing": "processing",
        "ctf_corrected": "ctfCorrected",
        "processing_software": "processingSoftware",
        "is_portal_standard": "isPortalStandard",
        "run_id": "runId",
        "size_x": "sizeX",
    },
    "picks": {
        "method_type": "methodType",
        "ground_truth_status": "groundTruthStatus",
        "deposition_id": "depositionId",
        "object_name": "objectName",
        "annotation_software": "annotationSoftware",
        "confidence_precision": "confidencePrecision",
        "object_count": "objectCount",
    },
}
WHERE_FIELDS["segmentations"] = WHERE_FIELDS["picks"]
SELECTORS = {
    "tomograms": [
        "wbp-raw",
        "wbp-*",
        "*@13.48",
        "re:.*denoised.*",
        "wbp-filtered-ctfdeconv@7.84",
        "*-ctfdeconv",
        "*@re:",
    ],
    "picks": [
        "cytosolic-ribosome",
        "cytosolic-ribosome:*/*",
        "*complex*",
        "re:.*ase",
        "b*:data-portal",
        "*:alice/*",
        "*:*/*1",
    ],
    "segmentations": [
        "membrane",
        "membrane:*/*",
        "*@13.48",
        "*?instance=true",
        "m*:data-portal/*@re:",
        "*:*/*@7.84?instance=true",
        "n*",
    ],
}
TEMPLATES = [
    "{method_type}",
    "{author}",
    "{authors}",
    "{method_type}-{deposition_id}-{author}",
    "{ground_truth_status}_{confidence_precision}",
    "{object_count:04d}-{annotation_file_id}",
    "{object_name}-{object_state}",
]
AUTHORS = {
    "tomograms": ("TomogramAuthor", "tomogramId"),
    "picks": ("AnnotationAuthor", "annotationId"),
    "segmentations": ("AnnotationAuthor", "annotationId"),
}


def filters(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A layer, and the arguments with which copick's export selects the same."""
    rng = random.Random(seed)
    layer: dict[str, Any] = {"allow_empty": True, "on_collision": "first"}
    arguments: dict[str, Any] = {}
    if rng.random() < 0.4:
        chosen = rng.sample(TABLES["Run"], rng.randint(1, 6))
        layer["runs"] = [rng.choice([str(r["id"]), str(r["id"])]) for r in chosen]
        arguments["runs"] = layer["runs"]
    for artifact in ("tomograms", "picks", "segmentations"):
        chosen_map: dict[str, Any] = {}
        if rng.random() < 0.6:
            chosen_map["select"] = rng.sample(SELECTORS[artifact], rng.randint(1, 2))
            arguments[artifact] = chosen_map["select"]
        if rng.random() < 0.5:
            keys = rng.sample(sorted(WHERE_FIELDS[artifact]), rng.randint(1, 2))
            found = {k: _values(artifact, WHERE_FIELDS[artifact][k]) for k in keys}
            chosen_map["where"] = {k: rng.choice(v) for k, v in found.items() if v}
            arguments[f"{artifact}_portal_meta"] = chosen_map["where"]
        if rng.random() < 0.5:
            entity, owner = AUTHORS[artifact]
            record = rng.choice(TABLES[entity])[owner]
            names = sorted({row["name"] for row in TABLES[entity] if row[owner] == record})
            chosen_map["authors"] = rng.sample(names, min(len(names), rng.randint(1, 3)))
            arguments[f"{artifact}_author"] = chosen_map["authors"]
        if chosen_map:
            layer[artifact] = chosen_map
    if rng.random() < 0.6:
        layer["session_id"] = arguments["session_id_template"] = rng.choice(TEMPLATES)
    return layer, arguments


@pytest.mark.filterwarnings("ignore:Input .* contains invalid characters")
@pytest.mark.parametrize(("start", "page_rows"), enumerate((5, 50, 5000)))
def test_generated_filters_give_what_copick_exports(
    start: int, page_rows: int, server: Server, copick: Copick, tmp_path: Path
) -> None:
    """The layers of one page size are scanned together, and so share what they ask for."""
    cases = [filters(seed) for seed in range(start, 52, 3)]
    checked = specs(tmp_path, *(layer for layer, _ in cases))
    scanned = source(server, limits=Limits(page_rows=page_rows)).scan(checked, Silent())
    for (layer, arguments), spec, inventory in zip(cases, checked, scanned, strict=True):
        ours = layers.apply(spec, [inventory])
        theirs = copick.export(**arguments)
        for artifact, columns in COLUMNS.items():
            expected = copick_rows(_first_of_each_key(theirs, artifact), artifact, columns)
            assert rows_of(ours.tables[artifact], columns) == expected, (artifact, layer)


def _first_of_each_key(found: RecordTables, artifact: str) -> RecordTables:
    identifier = {"runs": "portal_run_id", "tomograms": "portal_tomogram_id"}.get(artifact, "portal_annotation_file_id")
    result = {}
    for name in RECORD_SETS[artifact]:
        kept: dict[tuple[str, ...], dict[str, str]] = {}
        for row in sorted(found[name], key=lambda r: int(r[identifier])):
            names = ("run", "voxel_size", "tomo_type", "user_id", "session_id", "object_name", "name")
            skipped = ("voxel_size",) if artifact == "picks" else ()
            kept.setdefault(tuple(row.get(c, "") for c in names if c not in skipped), row)
        result[name] = list(kept.values())
    return result


def test_the_generated_filters_select_something() -> None:
    """Guards the test above against filters that select nothing at all."""
    made = [filters(seed)[0] for seed in range(52)]
    assert sum("session_id" in layer for layer in made) > 20
    for artifact in ("tomograms", "picks", "segmentations"):
        for key in ("select", "where", "authors"):
            assert sum(key in layer.get(artifact, {}) for layer in made) > 10


def test_runs_answer_to_id_portal_name_and_pattern(server: Server, tmp_path: Path) -> None:
    by_name: dict[str, list[str]] = {}
    for row in TABLES["Run"]:
        by_name.setdefault(row["name"], []).append(str(row["id"]))
    (name, ids), (_, (other, *_)) = list(by_name.items())[:2]
    assert len(ids) > 1, "run names are unique in a dataset only"
    (ours,) = scan(server, tmp_path, {"runs": [name, other]})
    assert sorted(ours.table("runs")["name"]) == sorted([*ids, other])
    assert set(ours.table("tomograms")["run"]) <= {*ids, other}
    (fewer,) = scan(server, tmp_path, {"runs": {"exclude": [f"re:{name}$"]}})
    assert set(fewer.table("runs")["name"]) == {str(r["id"]) for r in TABLES["Run"]}, "also those that are left out"
    (everything,) = scan(server, tmp_path, {"picks": "none"})
    assert set(fewer.table("tomograms")["run"]) == set(everything.table("tomograms")["run"]) - set(ids)


def test_run_names_have_the_runs_fields(server: Server, tmp_path: Path) -> None:
    (ours,) = scan(server, tmp_path, {"run_name": "{name}-{dataset_id:06d}", "picks": "none"})
    runs = {row["id"]: row for row in TABLES["Run"]}
    table = ours.table("runs")
    assert list(table["run.name"]) == [runs[int(i)]["name"] for i in table["name"]]
    assert {int(n): v for n, v in zip(table["name"], table["run.dataset_id"], strict=True)} == {
        i: row["datasetId"] for i, row in runs.items()
    }
    assert list(table["run_alias"]) == [runs[int(i)]["name"] for i in table["name"]]


def test_template_values_keep_their_types(server: Server, tmp_path: Path) -> None:
    (ours,) = scan(
        server, tmp_path, {"session_id": "{object_count}{ground_truth_status}{confidence_precision}{object_state}"}
    )
    by_id = {row["id"]: row for row in TABLES["Annotation"]}
    for row in ours.table("picks").to_dict("records"):
        annotation = by_id[int(row["portal_annotation_id"])]
        assert row["annotation.object_count"] == annotation.get("objectCount")
        assert row["annotation.ground_truth_status"] is annotation.get("groundTruthStatus")
        assert row["annotation.object_state"] == annotation.get("objectState")
        precision = row["annotation.confidence_precision"]
        assert precision is None or type(precision) is float


def test_every_artifact_knows_its_dataset_and_portal_order(server: Server, tmp_path: Path) -> None:
    (ours,) = scan(server, tmp_path, {})
    datasets = {str(row["id"]): str(row["datasetId"]) for row in TABLES["Run"]}
    for artifact in ("tomograms", "picks", "segmentations"):
        table = ours.table(artifact)
        assert list(table["portal_dataset_id"]) == [datasets[run] for run in table["run"]]
        assert list(table["portal_id"]) == sorted(table["portal_id"])


# What is asked


def test_only_what_a_layer_needs_is_asked(server: Server, tmp_path: Path) -> None:
    before = len(server.stats.queries)
    scan(server, tmp_path, {"picks": {"select": ["cytosolic-ribosome"]}, "others": "exclude"})
    asked = "\n".join(server.stats.queries[before:])
    assert "tomograms" not in asked
    assert "methodType" not in asked
    assert "httpsPath" not in asked
    assert asked.count("annotationFiles") == 1
    assert "annotationAuthors" not in asked


def test_layers_share_what_they_both_need(server: Server, tmp_path: Path) -> None:
    picks = {"picks": "cytosolic-ribosome", "others": "exclude"}
    one = scan(server, tmp_path, picks)
    two = scan(server, tmp_path, picks, picks)
    assert [r.what for r in two[0].requests] == [r.what for r in one[0].requests]
    assert two[1].requests == ()
    assert two[1].table("picks").equals(two[0].table("picks"))


def test_conditions_are_left_to_the_server(server: Server, tmp_path: Path) -> None:
    layer = {"picks": {"select": ["cytosolic-ribosome"], "where": {"method_type": "hybrid"}}, "others": "exclude"}
    (ours,) = scan(server, tmp_path, layer)
    (request,) = [r for r in ours.requests if r.what.startswith("picks")]
    assert request.rows == len(ours.table("picks")) > 0


def test_the_author_lists_are_fetched_only_where_a_template_joins_them(server: Server, tmp_path: Path) -> None:
    for template, fetched in (("{author}", False), ("{authors}", True), ("{author}{authors}", True)):
        layer = {"picks": "cytosolic-ribosome", "others": "exclude", "session_id": template}
        (ours,) = scan(server, tmp_path, layer)
        assert any(r.what.startswith("authors of picks") for r in ours.requests) is fetched


def test_requests_are_in_flight_together(tmp_path: Path) -> None:
    with serve(TABLES, latency=0.05) as server:
        scan(server, tmp_path, {}, jobs=8)
    assert server.stats.most_at_once >= 3


class Counted(ThreadPoolExecutor):
    """Threads that remember what they were given."""

    def __init__(self) -> None:
        super().__init__(4)
        self.given: list[Future[Any]] = []

    def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
        self.given.append(super().submit(*arguments, **named))
        return self.given[-1]


def test_the_callers_threads_ask_and_are_left_to_the_caller(tmp_path: Path) -> None:
    broken = False
    with (
        serve(TABLES, faults=lambda _, query: Status(403) if broken and "tomograms(" in query else None) as server,
        Counted() as threads,
    ):
        scan(server, tmp_path, {}, workers=Workers(4, threads))
        assert len(threads.given) == server.stats.requests - 1, "runs are asked for meanwhile"
        broken = True
        with pytest.raises(DiagnosticError):
            scan(server, tmp_path, {}, workers=Workers(4, threads), limits=Limits(page_rows=10))
        assert all(future.done() for future in threads.given)
        assert threads.submit(int, "1").result() == 1


# The same every time


@pytest.mark.parametrize(("page_rows", "jobs"), [(3, 8), (40, 1), (1000, 8)])
def test_rows_do_not_depend_on_order_pages_and_jobs(page_rows: int, jobs: int, server: Server, tmp_path: Path) -> None:
    layer = {"session_id": "{authors}", "run_name": "{name}-{id}"}
    (usual,) = scan(server, tmp_path, layer)
    with serve(TABLES, shuffle=page_rows) as shuffled:
        limits = Limits(page_rows=page_rows)
        (ours,) = scan(shuffled, tmp_path, layer, limits=limits, jobs=jobs, datasets=DATASETS[::-1])
    for artifact in COLUMNS:
        pd.testing.assert_frame_equal(ours.table(artifact), usual.table(artifact))
    assert ours.objects == usual.objects
    assert ours.vocabulary == usual.vocabulary


def test_nothing_depends_on_the_hash_seed_and_a_cached_scan_does_not_import_the_client(
    server: Server, tmp_path: Path
) -> None:
    (usual,) = scan(server, tmp_path, {"session_id": "{authors}"}, cache="use")
    assert scan_in_process(server, tmp_path, "refresh", "1") == (told(usual), "client imported")
    assert scan_in_process(server, tmp_path, "offline", "2") == (told(usual), "client not imported")


def told(inventory: Inventory) -> str:
    csvs = "".join(inventory.table(artifact).to_csv() for artifact in COLUMNS)
    return f"{csvs} {inventory.objects} {inventory.vocabulary}\n"


_SCAN = """
import sys
from pathlib import Path
from croissant_recipes.language import checks
from croissant_recipes.progress import Silent
from croissant_recipes.language.source_kinds import PortalSource as Spec
from croissant_recipes.sources.base import Means
from croissant_recipes.work import Workers
from croissant_recipes.sources.portal.datasets import PortalSource
url, recipe_path, mode, datasets = sys.argv[1:]
recipe, _ = checks.check_recipe(Path(recipe_path), {})
spec = Spec(datasets=tuple(map(int, datasets.split(","))), url=url)
(i,) = PortalSource("portal", spec, Means(Path(), Workers(4), mode)).scan(recipe.layers, Silent())
csvs = "".join(i.table(a).to_csv() for a in ("runs", "tomograms", "picks", "segmentations"))
print(f"{csvs} {i.objects} {i.vocabulary}")
print("client imported" if "cryoet_data_portal" in sys.modules else "client not imported", file=sys.stderr)
"""


def scan_in_process(server: Server, folder: Path, mode: CacheMode, seed: str) -> tuple[str, str]:
    """What a scan of the recipe in ``folder`` gives in another process, and whether it imported the client."""
    arguments = [server.url, str(folder / "recipe.yaml"), mode, ",".join(map(str, DATASETS))]
    done = subprocess.run(
        [sys.executable, "-c", _SCAN, *arguments],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr.strip()


# Faults


def test_a_scan_succeeds_when_every_third_request_fails(tmp_path: Path, server: Server) -> None:
    (usual,) = scan(server, tmp_path, {})
    with serve(TABLES, faults=lambda n, _: Status(502) if n % 3 == 0 else None) as stumbling:
        (ours,) = scan(stumbling, tmp_path, {}, limits=Limits(page_rows=40))
    assert stumbling.stats.failed > 3
    for artifact in COLUMNS:
        pd.testing.assert_frame_equal(ours.table(artifact), usual.table(artifact))


@pytest.mark.parametrize("fault", [Status(502), Truncate(), ErrorBody("out of order"), Stall(20)], ids=repr)
def test_a_fault_that_stays_names_dataset_and_query(fault: Fault, tmp_path: Path) -> None:
    def on_files(_: int, query: str) -> Fault | None:
        return fault if "annotationFiles(" in query else None

    # Queries that do not stall must have time to answer on a busy machine. What cannot be cut stalls only once.
    stalls = isinstance(fault, Stall)
    limits = Limits(timeout_seconds=1.5, attempts=2, page_rows=1) if stalls else Limits(attempts=2)
    layer = {"runs": [str(TABLES["Run"][0]["id"])], "tomograms": "none"} if stalls else {}
    with serve(TABLES, faults=on_files) as server, pytest.raises(DiagnosticError) as caught:
        scan(server, tmp_path, layer, limits=limits)
    (told,) = caught.value.diagnostics
    assert told.code is Code.UNREACHABLE
    assert f"datasets {', '.join(map(str, sorted(DATASETS)))}" in told.message
    assert "the query of picks" in told.message or "the query of segmentations" in told.message
    assert server.url in told.message


def test_a_dataset_that_does_not_exist_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        scan(server, tmp_path, {}, datasets=[*DATASETS, 7, 8])
    assert [d.code for d in caught.value.diagnostics] == [Code.DATASET_UNKNOWN] * 2
    assert "no dataset 7" in caught.value.diagnostics[0].message


# The cache


def test_offline_repeats_a_scan_and_needs_every_answer(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        (first,) = scan(server, tmp_path, {}, cache="use")
        asked = server.stats.requests
        (second,) = scan(server, tmp_path, {}, cache="offline")
        assert server.stats.requests == asked
        assert {r.cached for r in first.requests} == {False}
        assert {r.cached for r in second.requests} == {True}
        assert all(r.age_seconds is not None and r.age_seconds < 60 for r in second.requests)
        with pytest.raises(DiagnosticError) as caught:
            scan(server, tmp_path, {"picks": {"where": {"method_type": "manual"}}}, cache="offline")
    assert server.stats.requests == asked
    assert caught.value.diagnostics[0].code is Code.CACHE
    for artifact in COLUMNS:
        pd.testing.assert_frame_equal(second.table(artifact), first.table(artifact))


def test_a_cache_that_cannot_be_written_is_told(server: Server, tmp_path: Path, cache_folder: Path) -> None:
    cache_folder.write_text("in the way")
    (ours,) = scan(server, tmp_path, {}, cache="use")
    assert next(d.message for d in ours.diagnostics if d.code is Code.CACHE).startswith("the portal's answers cannot")


# What a source resolved to

Change = Callable[[Tables], None]


def identity(server: Server, folder: Path, *layer_maps: Mapping[str, Any], **options: Any) -> str:
    opened, checked = source(server, **options), specs(folder, *layer_maps)
    opened.scan(checked, Silent())
    return opened.identity(checked, [])


def at_the_same_address(tables: Tables, server: Server, **options: Any) -> AbstractContextManager[Server]:
    """Another portal where one was, as the address is a part of what a source resolved to."""
    return serve(tables, port=urlsplit(server.url).port or 0, **options)


EVERYTHING: Mapping[str, Any] = {"session_id": "{authors}"}
RIBOSOMES: Mapping[str, Any] = {"tomograms": "wbp-raw@13.48", "picks": "cytosolic-ribosome", "others": "exclude"}
LATER = "2026-03-01T00:00:00+00:00"


def test_an_identity_does_not_depend_on_order_pages_faults_and_cache(tmp_path: Path) -> None:
    with serve(TABLES) as first:
        usual = identity(first, tmp_path, EVERYTHING, cache="use")
        assert identity(first, tmp_path, EVERYTHING, cache="offline", datasets=DATASETS[::-1]) == usual
    assert len(usual) == 64
    mixed = {name: random.Random(1).sample(rows, len(rows)) for name, rows in TABLES.items()}
    stumbling = at_the_same_address(mixed, first, shuffle=2, faults=lambda n, _: Status(502) if n % 4 == 0 else None)
    with stumbling as again:
        assert again.url == first.url
        assert identity(again, tmp_path, EVERYTHING, limits=Limits(page_rows=20), jobs=8) == usual


def _record(tables: Tables, entity: str, **values: Any) -> dict[str, Any]:
    return next(row for row in tables[entity] if all(row[name] == value for name, value in values.items()))


def _a_ribosome_is_changed(tables: Tables) -> None:
    _record(tables, "Annotation", objectName="cytosolic ribosome")["lastModifiedDate"] = LATER


def _a_tomogram_is_changed(tables: Tables) -> None:
    _record(tables, "Tomogram", processing="raw", voxelSpacing=13.48)["lastModifiedDate"] = LATER


def _a_file_of_picks_is_another(tables: Tables) -> None:
    annotation = _record(tables, "Annotation", objectName="cytosolic ribosome")["id"]
    shape = _record(tables, "AnnotationShape", annotationId=annotation)["id"]
    _record(tables, "AnnotationFile", annotationShapeId=shape)["id"] += 1_000_000


def _a_tomogram_is_gone(tables: Tables) -> None:
    tables["Tomogram"].remove(_record(tables, "Tomogram", processing="raw", voxelSpacing=13.48))


def _a_membrane_is_changed(tables: Tables) -> None:
    _record(tables, "Annotation", objectName="membrane")["lastModifiedDate"] = LATER


def _another_tomogram_is_changed(tables: Tables) -> None:
    _record(tables, "Tomogram", processing="denoised")["lastModifiedDate"] = LATER


def _a_title_is_another(tables: Tables) -> None:
    tables["Dataset"][0]["title"] = "Another title"


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        (_a_ribosome_is_changed, True),
        (_a_tomogram_is_changed, True),
        (_a_file_of_picks_is_another, True),
        (_a_tomogram_is_gone, True),
        (_a_membrane_is_changed, False),
        (_another_tomogram_is_changed, False),
        (_a_title_is_another, False),
    ],
)
def test_an_identity_is_another_where_what_the_layers_take_was_changed(
    change: Change, concerned: bool, tmp_path: Path
) -> None:
    with serve(TABLES) as server:
        whole, ribosomes = (identity(server, tmp_path, layer) for layer in (EVERYTHING, RIBOSOMES))
    tables = _copy(TABLES)
    change(tables)
    with at_the_same_address(tables, server) as changed:
        assert (identity(changed, tmp_path, RIBOSOMES) != ribosomes) is concerned
        assert (identity(changed, tmp_path, EVERYTHING) != whole) is (change is not _a_title_is_another)


def test_an_identity_tells_layers_and_endpoints_apart(server: Server, tmp_path: Path) -> None:
    every = [
        identity(server, tmp_path, EVERYTHING),
        identity(server, tmp_path, {}),
        identity(server, tmp_path, RIBOSOMES),
        identity(server, tmp_path, RIBOSOMES, {"picks": "beta-amylase", "others": "exclude"}),
    ]
    with serve(TABLES) as elsewhere:
        every.append(identity(elsewhere, tmp_path, RIBOSOMES))
    assert len(set(every)) == 5
    with pytest.raises(AssertionError, match="once it was scanned"):
        source(server).identity(specs(tmp_path, {}), [])


# Names that are there


def test_names_that_are_there_feed_hints(server: Server, tmp_path: Path) -> None:
    (ours,) = scan(server, tmp_path, {"picks": "no-such", "tomograms": "none", "allow_empty": True})
    assert ours.table("picks").empty
    assert "cytosolic-ribosome" in ours.vocabulary["picks"]
    assert "membrane" in ours.vocabulary["segmentations"]
    assert "picks.authors" not in ours.vocabulary
    (all_types,) = scan(server, tmp_path, {"tomograms": "no-such", "picks": "none", "allow_empty": True})
    assert "wbp-raw@13.48" in all_types.vocabulary["tomograms"]
    assert "wbp-raw" in all_types.vocabulary["tomo_types"]


@pytest.mark.parametrize("artifact", ["tomograms", "picks", "segmentations"])
def test_authors_are_listed_where_one_is_nobodys(artifact: str, server: Server, tmp_path: Path) -> None:
    layer = {artifact: {"authors": ["Nobody"]}, "others": "exclude", "allow_empty": True}
    (ours,) = scan(server, tmp_path, layer)
    entity, _ = AUTHORS[artifact]
    names = {row["name"] for row in TABLES[entity]}
    listed = set(ours.vocabulary[f"{artifact}.authors"])
    assert listed
    assert listed <= names
    if artifact == "tomograms":
        assert listed == names


def test_author_lists_of_colliding_rows(server: Server) -> None:
    annotation = TABLES["AnnotationAuthor"][0]["annotationId"]
    rows = [row for row in TABLES["AnnotationAuthor"] if row["annotationId"] == annotation]
    expected = tuple(row["name"] for row in sorted(rows, key=lambda r: (r["authorListOrder"], r["id"])))
    found = source(server).authors("picks", [str(annotation), "999999"])
    assert found == {str(annotation): expected, "999999": ()}


def test_datasets_are_the_project_that_copick_makes_of_them(server: Server, tmp_path: Path) -> None:
    """In the order of their ids, whatever the recipe's, and without the version, which is that of the copick that
    happens to be installed."""
    named = sorted(DATASETS)
    with mock.patch.object(portal_client, "DEFAULT_URL", server.url):
        theirs = from_czcdp_datasets(named, str(tmp_path / "overlay"), {"auto_mkdir": True}).config
    (ours,) = source(server, datasets=named[::-1]).scan(specs(tmp_path, {}, datasets=named[::-1]), Silent())
    assert ours.config == {"name": theirs.name, "description": theirs.description}


def test_datasets_are_listed(server: Server) -> None:
    found = contents(PortalSpec(datasets=tuple(DATASETS), url=server.url))
    assert list(found.titles) == DATASETS
    assert found.runs == Counter(row["datasetId"] for row in TABLES["Run"])
    ribosome = next(o for o in found.objects if o.name == "cytosolic-ribosome")
    annotations = {a["id"] for a in TABLES["Annotation"] if a["objectId"] == ribosome.identifier}
    shapes = [s for s in TABLES["AnnotationShape"] if s["annotationId"] in annotations]
    assert ribosome.count("picks") == sum(s["shapeType"] in ("Point", "OrientedPoint") for s in shapes)
    assert sum(count for _, count in found.method_types) == len(TABLES["Annotation"])
    assert sum(count for _, count in found.methods_of[ribosome.identifier]) == len(annotations)
    assert sum(t.count for t in found.tomograms) == len(TABLES["Tomogram"])
    assert {t.voxel_size for t in found.tomograms} == {row["voxelSpacing"] for row in TABLES["Tomogram"]}
    assert {name for name, _ in found.authors["tomograms"]} == {row["name"] for row in TABLES["TomogramAuthor"]}
    with pytest.raises(DiagnosticError, match="no dataset 7"):
        contents(PortalSpec(datasets=(7,), url=server.url))


# copick configs


def project(folder: Path, server: Server, objects: Sequence[PickableObject], **values: Any) -> PortalProject:
    """A config with some of the objects under names of its own, and an overlay with something of everything."""
    document = {
        "config_type": "cryoet_data_portal",
        "version": "1.2.3",
        "user_id": "someone",
        "pickable_objects": [o.model_dump() for o in objects],
        "overlay_root": str(folder / "overlay"),
        "overlay_fs_args": {"auto_mkdir": True},
        "dataset_ids": DATASETS,
        "portal_cache": False,
        **values,
    }
    (folder / "config.json").write_text(json.dumps(document))
    return PortalProject(load_config("lab", "config.json", folder), Means(folder, Workers(4)), url=server.url)


def write_overlay(folder: Path, run: str, tomogram: pd.Series) -> None:
    base = folder / "overlay" / "ExperimentRuns" / run
    spacing = f"VoxelSpacing{tomogram['voxel_size']:.3f}"
    for store in (
        f"{spacing}/mine.zarr",
        f"{spacing}/{tomogram['tomo_type']}_sobel_features.zarr",
        "VoxelSpacing77.000/other.zarr",
        "Segmentations/10.000_someone_1_mask-of-mine.zarr",
    ):
        (base / store).mkdir(parents=True)
        (base / store / ".zgroup").write_text('{"zarr_format": 2}')
    for file in ("Picks/someone_1_thing.json", "Meshes/someone_1_thing.glb"):
        (base / file).parent.mkdir()
        (base / file).write_text("{}")


def test_a_config_gives_its_objects_and_its_overlay_as_copick_does(
    server: Server, copick: Copick, tmp_path: Path
) -> None:
    known = copick.root.config.pickable_objects
    objects = [known[0].model_copy(update={"name": "thing"}), *known[3:12]]
    (whole,) = scan(server, tmp_path, {})
    tomogram = whole.table("tomograms").iloc[0]
    write_overlay(tmp_path, tomogram["run"], tomogram)
    write_overlay(tmp_path, "999", tomogram)
    opened = project(tmp_path, server, objects)
    (ours,) = opened.scan(specs(tmp_path, {}), Silent())

    config = CopickConfigCDP(**json.loads((tmp_path / "config.json").read_text()))
    with mock.patch.object(portal_client, "DEFAULT_URL", server.url):
        theirs = copick_export(CopickRootCDP(config), tmp_path / "out")
    names = {**RECORD_SETS, "features": ["features"], "meshes": ["meshes"]}
    for artifact, record_sets in names.items():
        key = [c for c in ARTIFACTS[artifact].key if c != "segmentation_type"]
        expected = sorted(tuple(row[c] for c in key) for name in record_sets for row in theirs[name])
        assert rows_of(ours.table(artifact), key) == expected, artifact
        assert artifact == "runs" or "overlay" in set(ours.table(artifact)["root"])
    assert set(ours.table("picks")["object_name"]) < {o.name for o in objects}
    assert [o["name"] for o in ours.objects] == [o.name for o in objects]
    assert ours.config == {key: getattr(config, key) for key in PROJECT_KEYS}
    assert (ours.config["version"], ours.config["user_id"]) == ("1.2.3", "someone")
    assert ours.roots["overlay"].location.path == str(tmp_path / "overlay")


def test_a_template_and_conditions_leave_the_overlay_alone(server: Server, copick: Copick, tmp_path: Path) -> None:
    (whole,) = scan(server, tmp_path, {})
    tomogram = whole.table("tomograms").iloc[0]
    write_overlay(tmp_path, tomogram["run"], tomogram)
    opened = project(tmp_path, server, copick.root.config.pickable_objects)
    first, second = opened.scan(
        specs(
            tmp_path, {"session_id": "{authors}"}, {"picks": {"where": {"method_type": "hybrid"}}, "others": "exclude"}
        ),
        Silent(),
    )
    mine = first.table("picks").query("root == 'overlay'")
    assert list(mine["session_id"]) == ["1"]
    assert mine["annotation.authors"].isna().all()
    assert list(mine["portal_annotation_id"]) == [""]
    assert first.table("picks")["portal_id"].is_monotonic_increasing
    assert set(second.table("picks")["root"]) == {"portal"}


def test_a_config_without_datasets_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="dataset_ids is empty") as caught:
        project(tmp_path, server, [], dataset_ids=[])
    assert caught.value.diagnostics[0].code is Code.CONFIG
