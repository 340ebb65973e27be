"""The CZII challenge: ``recipes/czii-challenge.yaml`` over a stand-in of its dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from croissant_recipes import api, from_croissant
from croissant_recipes.api import Planned
from croissant_recipes.croissant.serialize import read_csv
from tests.portal_server import serve
from tests.portal_tables import generate

REPOSITORY = Path(__file__).resolve().parent.parent
TABLES = generate(runs=8, datasets=[10440])
RUNS = {row["name"]: str(row["id"]) for row in TABLES["Run"]}
NAMES = {
    "Beta-amylase": "beta-amylase",
    "Beta-galactosidase": "beta-galactosidase",
    "cytosolic ribosome": "ribosome",
    "ferritin complex": "apo-ferritin",
    "Thyroglobulin": "thyroglobulin",
    "virus-like capsid": "virus-like-particle",
}
"""What the challenge calls the portal's objects, in the order of the portal's names for them."""

Results = dict[str | None, Planned]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("czii")
    patch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(folder / "cache"))
    shipped = (REPOSITORY / "recipes/czii-challenge.yaml").read_text(encoding="utf-8")
    source = "portal: {datasets: [10440]"
    assert source in shipped
    with serve(TABLES, shuffle=10440) as server:
        path = folder / "czii-challenge.yaml"
        path.write_text(shipped.replace(source, f"{source}, url: {json.dumps(server.url)}"), encoding="utf-8")
        yield path
    patch.undo()


@pytest.fixture(scope="module")
def results(recipe: Path) -> Results:
    built = api.build(recipe)
    assert [str(d) for r in built for d in r.diagnostics if d.is_error] == []
    assert all(r.written for r in built)
    return {r.output_name: r for r in built}


def rows(result: Planned, name: str) -> list[dict[str, Any]]:
    assert result.metadata_url is not None
    return list(read_csv((Path(result.metadata_url).parent / f"{name}.csv").read_bytes(), name)[0].to_dict("records"))


def test_runs_tomograms_and_picks_have_the_names_of_the_challenge(results: Results) -> None:
    private = results["private"]
    assert {row["name"]: row["portal_run_id"] for row in rows(private, "runs")} == RUNS
    tomograms = rows(private, "tomograms")
    assert {(t["run"], t["voxel_size"], t["tomo_type"]) for t in tomograms} == {(r, 10.012, "denoised") for r in RUNS}
    assert {t["portal_tomo_type"] for t in tomograms} == {"wbp-denoised-denoiset-ctfdeconv"}
    picks = {(p["run"], p["user_id"], p["session_id"], p["object_name"]) for p in rows(private, "picks")}
    assert picks == {(run, "data-portal", "0", name) for run in RUNS for name in NAMES.values()}


def test_each_object_of_the_challenge_has_one_label_from_1_on(results: Results) -> None:
    for result in results.values():
        root = from_croissant(result.metadata_url)
        found = {o.name: o.label for o in root.pickable_objects}
        assert found == {name: label for label, name in enumerate(NAMES.values(), start=1)}
        originals = {o.name: o.metadata.get("portal_original_name") for o in root.pickable_objects}
        assert originals["apo-ferritin"] == "ferritin-complex"


def test_the_public_result_has_all_but_the_answers(results: Results) -> None:
    public, private = results["public"], results["private"]
    for name in ("runs", "tomograms", "voxel_spacings"):
        assert rows(public, name) == rows(private, name)
    split = {row["name"]: row["split"] for row in rows(public, "runs")}
    assert set(split.values()) == {"train", "val"}
    assert [*split.values()].count("val") == 2, "a quarter of the runs"
    shown = [p for p in rows(private, "picks") if split[p["run"]] == "train"]
    assert rows(public, "picks") == shown
    assert Counter(p["object_name"] for p in shown) == dict.fromkeys(NAMES.values(), 6), "its share of each object"


def test_a_class_more_moves_no_label_unasked(recipe: Path, results: Results) -> None:
    before = recipe.read_text(encoding="utf-8")
    with_membranes = before.replace(
        '    run_name: "{name}"\n    others', '    run_name: "{name}"\n    segmentations: all\n    others'
    )
    assert with_membranes != before
    recipe.write_text(with_membranes, encoding="utf-8")
    planned = api.plan(recipe)
    recipe.write_text(before, encoding="utf-8")
    moved = {d.code.value: d.notes for r in planned for d in r.diagnostics if d.is_error}
    assert moved.keys() == {"CR414"}
    assert moved["CR414"] == (
        "+ membrane: label 5, which means thyroglobulin there",
        "~ thyroglobulin: label 5 -> 6",
        "~ virus-like-particle: label 6 -> 7",
        "objects:",
        "  thyroglobulin: {label: 5}",
        "  virus-like-particle: {label: 6}",
    )
