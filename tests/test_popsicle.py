"""POPSICLE's yeast part: ``recipes/popsicle-yeast.yaml``, over a portal that holds it, builds the published rows.

``tests/data/popsicle/yeast`` has the published CSVs, ``tables.json.gz`` the portal's rows of its datasets, which hold
other runs, tomograms and annotations too.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from croissant_recipes import api, from_croissant
from croissant_recipes.schema import RECORD_SETS
from tests.portal_server import Server, serve

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "tests/data/popsicle"
PUBLISHED = ("runs", "tomograms", "segmentations")
TABLES: dict[str, list[dict[str, Any]]] = orjson.loads(gzip.decompress((DATA / "tables.json.gz").read_bytes()))

Cells = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=10351) as running:
        yield running


@pytest.fixture(scope="module")
def built(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``Croissant/`` that the recipe builds."""
    folder = tmp_path_factory.mktemp("popsicle")
    recipe = folder / "popsicle-yeast.yaml"
    recipe.write_text(at_endpoint("popsicle-yeast.yaml", server.url), encoding="utf-8")
    (result,) = api.build(recipe)
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    return folder / "build/popsicle-yeast/Croissant"


def at_endpoint(name: str, url: str) -> str:
    """A shipped recipe whose portal is another endpoint."""
    text = (REPOSITORY / "recipes" / name).read_text(encoding="utf-8")
    before, source, after = text.partition("portal: {datasets: [10000, 10001]")
    assert source, "the recipe's source stands on a line of its own"
    return f"{before}{source}, url: {json.dumps(url)}{after}"


def read(path: Path) -> tuple[list[str], list[Cells]]:
    """The columns of a CSV and its rows, sorted, every cell as it is written."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = sorted(tuple(row.items()) for row in reader)
        return list(reader.fieldnames or ()), rows


@pytest.mark.parametrize("record_set", PUBLISHED)
def test_the_rows_are_those_that_were_published(record_set: str, built: Path) -> None:
    columns, rows = read(built / f"{record_set}.csv")
    published_columns, published_rows = read(DATA / "yeast" / f"{record_set}.csv")
    assert columns == published_columns
    assert rows == published_rows
    assert len(rows) == {"runs": 20, "tomograms": 20, "segmentations": 80}[record_set]


def test_there_is_nothing_else(built: Path) -> None:
    counts = {name: len(read(built / schema.csv_name)[1]) for name, schema in RECORD_SETS.items()}
    assert {name for name, count in counts.items() if count} == {*PUBLISHED, "voxel_spacings"}
    (size,) = {dict(row)["voxel_size"] for row in read(built / "voxel_spacings.csv")[1]}
    assert (size, counts["voxel_spacings"]) == ("13.48", 20)


def test_every_part_of_the_recipe_is_needed() -> None:
    """The portal's tables hold more of everything that the recipe cuts down."""
    assert len(TABLES["Run"]) > 20
    assert len({(t["processing"], t["voxelSpacing"]) for t in TABLES["Tomogram"]}) > 1
    masks = {s["annotationId"] for s in TABLES["AnnotationShape"] if s["shapeType"] == "SegmentationMask"}
    depositions = [a["depositionId"] for a in TABLES["Annotation"] if a["id"] in masks]
    assert depositions.count(10351) == 80
    assert len(depositions) > 80
    assert "membrane-tubule" not in {a["objectName"] for a in TABLES["Annotation"]}


def test_readers_find_the_splits_and_the_published_name(built: Path) -> None:
    root = from_croissant(str(built / "metadata.json"))
    splits = root.splits
    assert {name: len(runs) for name, runs in splits.items()} == {"train": 16, "test": 4}
    tubules = [s for run in root.runs for s in run.segmentations if s.name == "membrane-tubule"]
    assert len(tubules) == 18
    renamed = next(o for o in root.pickable_objects if o.name == "membrane-tubule")
    assert renamed.metadata == {"portal_original_name": "membrane-enclosed-lumen"}
