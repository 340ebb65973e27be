"""The generated tables are a portal's, and copick reads the stand-in as it reads the portal."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type, is_non_null_type

from tests.portal_oracle import copick_append, copick_export, copick_portal_root
from tests.portal_server import serve
from tests.portal_server.catalog import catalog
from tests.portal_tables import DATASETS, generate

DATA = Path(__file__).parent / "data"


class TestTables:
    def test_are_the_same_for_the_same_seed(self) -> None:
        assert generate(runs=40, seed=3) == generate(runs=40, seed=3)
        assert generate(runs=40, seed=3) != generate(runs=40, seed=4)

    def test_have_the_proportions_of_the_portal(self) -> None:
        tables = generate(runs=1002)
        assert len(tables["Run"]) == 1002
        assert len(tables["Annotation"]) == pytest.approx(6_600, rel=0.02)
        assert len(tables["AnnotationAuthor"]) == pytest.approx(112_000, rel=0.02)

    def test_fit_the_schema(self) -> None:
        """Fields exist, what must not be null is not, enums hold their values, ids lead to rows."""
        tables = generate(runs=30)
        known = {entity: {row["id"] for row in rows} for entity, rows in tables.items()}
        for entity, rows in tables.items():
            fields = catalog().schema.type_map[entity]
            assert isinstance(fields, GraphQLObjectType)
            assert len(known[entity]) == len(rows)
            for name, value in (item for row in rows for item in row.items()):
                declared = fields.fields[name].type
                named = get_named_type(declared)
                assert value is not None or not is_non_null_type(declared), (entity, name)
                assert not isinstance(named, GraphQLEnumType) or value in named.values, (entity, name, value)
                relation = catalog().relations[entity].get(name.removesuffix("Id")) if name.endswith("Id") else None
                assert relation is None or value in known[relation.target], (entity, name, value)

    def test_hold_what_makes_the_portal_awkward(self) -> None:
        tables = generate(runs=100)
        annotations = {a["id"]: a for a in tables["Annotation"]}
        by_key = Counter((a["runId"], a["objectId"], a["methodType"]) for a in tables["Annotation"])
        assert max(by_key.values()) == 2, "two annotations of one object by one method in a run"
        by_type = Counter(
            (t["tomogramVoxelSpacingId"], t["processing"], t["reconstructionMethod"]) for t in tables["Tomogram"]
        )
        assert max(by_type.values()) == 2, "one type of tomogram twice on a spacing"
        assert any(t["s3OmezarrDir"] is None for t in tables["Tomogram"])
        names = Counter(r["name"] for r in tables["Run"])
        assert max(names.values()) == len(DATASETS), "run names that datasets share"
        assert {a["methodType"] for a in annotations.values()} == {"hybrid", "automated", "manual", "simulated"}
        assert {s["shapeType"] for s in tables["AnnotationShape"]} > {"SegmentationMask", "InstanceSegmentationMask"}
        assert any(not a["name"].isascii() for a in tables["AnnotationAuthor"])
        formats = Counter(f["annotationShapeId"] for f in tables["AnnotationFile"] if f["format"] == "zarr")
        assert max(formats.values()) == 2, "files of one shape on two spacings"

    def test_share_runs_out_over_the_datasets_asked_for(self) -> None:
        tables = generate(runs=7, datasets=(10440, 10000))
        assert [d["id"] for d in tables["Dataset"]] == [10440, 10000]
        assert Counter(r["datasetId"] for r in tables["Run"]) == {10440: 6, 10000: 1}
        with pytest.raises(ValueError, match="2 runs are not enough for 3 datasets"):
            generate(runs=2)


class TestCopick:
    def test_exports_what_the_tables_hold(self, tmp_path: Path) -> None:
        tables = generate(runs=12)
        with serve(tables, shuffle=1) as portal:
            records = copick_export(copick_portal_root(portal.url, DATASETS, tmp_path), tmp_path / "out")
        shapes = {s["id"]: s["shapeType"] for s in tables["AnnotationShape"]}
        files = Counter((shapes[f["annotationShapeId"]], f["format"]) for f in tables["AnnotationFile"])
        assert {row["name"] for row in records["runs"]} == {str(r["id"]) for r in tables["Run"]}
        assert len(records["tomograms"]) == len(tables["Tomogram"])
        assert len(records["picks"]) == files["Point", "ndjson"] + files["OrientedPoint", "ndjson"] > 0
        assert len(records["segmentations"]) == files["SegmentationMask", "zarr"] > 0
        assert len(records["instance_segmentations"]) == files["InstanceSegmentationMask", "zarr"] > 0
        names = {a["objectName"] for a in tables["Annotation"]}
        assert {row["portal_object_name"] for row in records["picks"]} < names

    def test_filters_and_appends(self, tmp_path: Path) -> None:
        with serve(json.loads(gzip.decompress((DATA / "portal" / "tables.json.gz").read_bytes()))) as portal:
            root = copick_portal_root(portal.url, [10000], tmp_path)
            copick_export(root, tmp_path / "out", tomograms=["wbp-raw@13.48"], picks=[], segmentations=[])
            records = copick_append(
                root,
                tmp_path / "out",
                tomograms=[],
                picks=["fatty-acid-synthase-complex:*/*"],
                picks_author=["Sara Goetz"],
                segmentations=[],
                session_id_template="{method_type}-{deposition_id}",
            )
        assert len(records["runs"]) == len(records["tomograms"]) == len(records["picks"]) == 10
        assert {row["session_id"] for row in records["picks"]} == {"hybrid-10000"}

    def test_exports_the_published_rows_of_popsicle(self, tmp_path: Path) -> None:
        """The filters of ``recipes/popsicle-yeast.yaml`` in copick's words give the CSVs that were published."""
        folder = DATA / "popsicle"
        published = {}
        for path in (folder / "yeast").glob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                published[path.stem] = list(csv.DictReader(file))
        splits: dict[str, list[str]] = {}
        for run in published["runs"]:
            splits.setdefault(run["split"], []).append(run["name"])
        with serve(json.loads(gzip.decompress((folder / "tables.json.gz").read_bytes()))) as portal:
            records = copick_export(
                copick_portal_root(portal.url, [10000, 10001], tmp_path),
                tmp_path / "out",
                runs=[run["name"] for run in published["runs"]],
                tomograms=["wbp-raw@13.48"],
                picks=[],
                segmentations_portal_meta={"deposition_id": 10351},
                object_name_map={"membrane-enclosed-lumen": "membrane-tubule"},
                splits=splits,
            )
        assert {len(rows) for rows in published.values()} == {20, 80}
        assert {name: records[name] for name in published} == published
        empty = {name for name, rows in records.items() if not rows}
        assert set(records) - empty == {*published, "voxel_spacings"}
