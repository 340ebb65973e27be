"""POPSICLE's bacterial part: ``recipes/popsicle-bacterial.yaml``, over a portal of the test's own, names no run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from croissant_recipes import api
from tests.portal_server import serve
from tests.portal_tables import Tables, generate

RECIPE = Path(__file__).resolve().parent.parent / "recipes/popsicle-bacterial.yaml"
NAMES = {
    "cytoplasm": "cytosole",
    "periplasmic space": "intermembrane-space",
    "dense body": "inclusion",
    "bacterial-type flagellum": "flagellum",
    "outer membrane": "outer-membrane",
}
"""What the portal calls things, and what the benchmark does."""

DEPOSITION = 10350
DATASETS = range(10500, 10513)


def _tables() -> Tables:
    """Thirteen datasets of two runs each. Both have a tomogram and a membrane of others; the second also has masks
    of the deposition, of two objects of five. A fourteenth dataset has nothing of it."""
    one = generate(runs=1, datasets=[10000])
    found: Tables = {name: [] for name in one}
    masks = [a for a in one["Annotation"] if a["objectName"] == "membrane"]
    for offset, dataset in enumerate([*DATASETS, 10600]):
        for run in (1, 2):
            shift = (2 * offset + run) * 1000
            for entity, rows in one.items():
                if entity in ("Dataset", "Deposition"):
                    continue
                for row in rows:
                    if entity == "Annotation" and row not in masks:
                        continue
                    moved = {
                        k: v + shift if k == "id" or (k.endswith("Id") and _moves(k, v)) else v for k, v in row.items()
                    }
                    found[entity].append(moved | ({"datasetId": dataset, "name": f"r{run}"} if entity == "Run" else {}))
            if run == 2 and dataset != 10600:
                names = [list(NAMES)[(offset + i) % len(NAMES)] for i in (0, 1)]
                _add_masks(found, one, masks[0], shift, names)
        found["Dataset"].append({**one["Dataset"][0], "id": dataset, "title": f"Bacteria {dataset}"})
    found["Deposition"] = [*one["Deposition"], {**one["Deposition"][0], "id": DEPOSITION, "title": "Segmentations"}]
    return found


def _moves(key: str, value: Any) -> bool:
    return isinstance(value, int) and key not in ("depositionId", "datasetId")


def _add_masks(found: Tables, one: Tables, mask: dict[str, Any], shift: int, names: list[str]) -> None:
    shape = next(s for s in one["AnnotationShape"] if s["annotationId"] == mask["id"])
    files = [f for f in one["AnnotationFile"] if f["annotationShapeId"] == shape["id"]]
    for i, name in enumerate(names, 1):
        by = shift + 400 + 10 * i
        moved = {"id": mask["id"] + by, "runId": mask["runId"] + shift, "depositionId": DEPOSITION}
        found["Annotation"].append({**mask, **moved, "objectName": name, "objectId": f"GO:{list(NAMES).index(name)}"})
        found["AnnotationShape"].append({**shape, "id": shape["id"] + by, "annotationId": mask["id"] + by})
        for file in files:
            spacing = file["tomogramVoxelSpacingId"] + shift
            moved = {"id": file["id"] + by, "annotationShapeId": shape["id"] + by, "tomogramVoxelSpacingId": spacing}
            path = file["s3Path"].replace("membrane", name.replace(" ", "_"))
            found["AnnotationFile"].append({**file, **moved, "s3Path": f"{path}-{by}"})


def test_the_recipe_takes_what_the_deposition_has_and_names_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))
    tables = _tables()
    document = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    assert document["layers"][0]["runs"] == {"having": ["segmentations"]}
    with serve(tables, shuffle=3) as server:
        document["sources"]["portal"]["portal"]["url"] = server.url
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        (result,) = api.build(recipe)
    assert result.ok, [str(d) for d in result.diagnostics if d.is_error]
    assert result.plan is not None
    artifacts = result.plan.artifacts
    of_deposition = [a for a in tables["Annotation"] if a["depositionId"] == DEPOSITION]
    runs = sorted({str(a["runId"]) for a in of_deposition})
    assert len(runs) == 13
    assert sorted(artifacts["runs"]["name"]) == runs
    assert sorted(artifacts["tomograms"]["run"]) == runs
    rows = artifacts["segmentations"][["run", "name"]].itertuples(index=False, name=None)
    assert sorted(rows) == sorted((str(a["runId"]), NAMES[a["objectName"]]) for a in of_deposition)
    manifest = json.loads((tmp_path / "build/popsicle-bacterial/Croissant/metadata.json").read_bytes())
    derived = [entity["identifier"] for entity in manifest["prov:wasDerivedFrom"]]
    assert derived == [*(f"CZCDP-{d}" for d in DATASETS), "CZCDP-10000", f"CZCDP-{DEPOSITION}"]
