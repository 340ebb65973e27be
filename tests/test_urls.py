"""Where rows lie when the Croissant is read: relative or absolute, relocatable or published."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from compiling import DATASET, artifacts, inventory, recipe, with_code

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import planner, urls
from croissant_recipes.compiler.placing import PORTAL_BUCKET
from croissant_recipes.compiler.planner import Plan, Target
from croissant_recipes.compiler.urls import Publication
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.location import Location
from croissant_recipes.sources.base import Inventory, Root


def header(output: str, lab: str = "") -> str:
    return (
        f"recipe: 1\nname: small\n{DATASET}output: {{project_root: out{output and ', '}{output}}}\n"
        f"sources:\n  lab: {{copick: {{config: lab.json{lab and ', '}{lab}}}}}\n"
        "  other: {copick: {config: other.json}}\n"
    )


EXPORT = "layers:\n  - export: lab\n"
APPEND = "layers:\n  - {export: lab, picks: none}\n  - append: other\n"
PUBLISHED = 'base_url: "https://example.org/data"'


def project(location: str, **roots: Root) -> Inventory:
    """A pick of alice below the root ``static`` and one of bob below each further root."""
    users = ["alice", *(f"bob-{name}" for name in roots)]
    table = artifacts("picks", *(("TS_1", user, "1", "ribosome") for user in users))
    table = table.assign(root=pd.Series(["static", *roots], dtype="str"), path=[f"Picks/{u}.json" for u in users])
    return inventory(picks=table, roots={"static": Root(Location.parse(location)), **roots})


def planned(checked: CheckedRecipe, *inventories: Inventory, root: str = "/out", base_url: str | None = None) -> Plan:
    settled = planner.settle(planner.resolve(checked, [[found] for found in inventories], None), {}, {})
    return planner.finish(settled, Target(checked.outputs[0], root, base_url))


def picks(found: Plan) -> list[str]:
    return list(found.content.tables["picks"]["url"])


def test_an_exported_row_is_relative_to_the_base_url(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, EXPORT, header(PUBLISHED)), project("/data/lab"))
    assert picks(found) == ["Picks/alice.json"]
    assert found.content.base_url == found.content.csv_base == "https://example.org/data"


def test_an_appended_row_is_absolute(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, APPEND, header(PUBLISHED)), project("/data/lab"), project("/data/other"))
    assert picks(found) == ["file:///data/other/Picks/alice.json"]


def test_an_appended_row_is_absolute_even_below_the_base_url(tmp_path: Path) -> None:
    checked = recipe(tmp_path, APPEND, header('base_url: "s3://bucket/data"'))
    found = planned(checked, project("/data/lab"), project("s3://bucket/data/more"))
    assert picks(found) == ["s3://bucket/data/more/Picks/alice.json"]


def test_a_source_can_have_a_url_of_its_own(tmp_path: Path) -> None:
    elsewhere = recipe(tmp_path, EXPORT, header(PUBLISHED, 'base_url: "https://lab.example.org/root/"'))
    assert picks(planned(elsewhere, project("/data/lab"))) == ["https://lab.example.org/root/Picks/alice.json"]
    below = recipe(tmp_path, EXPORT, header(PUBLISHED, 'base_url: "https://example.org/data/lab"'))
    assert picks(planned(below, project("/data/lab"))) == ["lab/Picks/alice.json"]


def test_a_base_url_that_only_starts_alike_is_not_below(tmp_path: Path) -> None:
    checked = recipe(tmp_path, EXPORT, header(PUBLISHED, 'base_url: "https://example.org/data-2"'))
    assert picks(planned(checked, project("/data/lab"))) == ["https://example.org/data-2/Picks/alice.json"]


def test_an_overlay_beside_the_exported_root_has_its_own_place(tmp_path: Path) -> None:
    source = project("/data/static", overlay=Root(Location.parse("/data/overlay"), primary=False))
    checked = recipe(tmp_path, EXPORT, header(PUBLISHED, 'base_url: "https://lab.example.org"'))
    assert picks(planned(checked, source)) == [
        "https://lab.example.org/Picks/alice.json",
        "file:///data/overlay/Picks/bob-overlay.json",
    ]


def test_the_option_replaces_the_recipes_base_url(tmp_path: Path) -> None:
    checked = recipe(tmp_path, EXPORT, header(PUBLISHED, 'base_url: "https://mirror.example.org/x/lab"'))
    found = planned(checked, project("/data/lab"), base_url="https://mirror.example.org/x")
    assert picks(found) == ["lab/Picks/alice.json"]
    assert found.content.base_url == "https://mirror.example.org/x"


# Without base_url


def test_a_relocatable_croissant_has_relative_rows_and_no_base_url(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, EXPORT, header("")), project("/out/lab"))
    assert picks(found) == ["lab/Picks/alice.json"]
    assert found.content.base_url is None
    assert found.content.csv_base is None


def test_a_relocatable_croissant_on_s3(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, EXPORT, header("")), project("s3://bucket/p/lab"), root="s3://bucket/p")
    assert picks(found) == ["lab/Picks/alice.json"]


def test_a_subset_of_a_project_that_is_built_elsewhere_is_relative_to_the_project(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, EXPORT, header("")), project("/data/lab"))
    assert picks(found) == ["Picks/alice.json"]
    assert found.content.base_url == "file:///data/lab"
    assert found.content.csv_base is None
    (told,) = with_code(found.diagnostics, Code.OUTSIDE_ROOT)
    line = header("").split("output:")[0].count("\n") + 1
    assert str(told) == (
        f"{tmp_path / 'recipe.yaml'}:{line}:1: info[CR409]: "
        "the data stays where it is: rows are relative to /data/lab\n"
        "  hint: to publish it, give `output:` the `base_url:` that its data will have"
    )


def test_a_subset_of_a_published_project_is_relative_to_where_that_is_published(tmp_path: Path) -> None:
    published = header("", 'base_url: "https://lab.example.org/root/"')
    found = planned(recipe(tmp_path, EXPORT, published), project("/data/lab"))
    assert (picks(found), found.content.base_url) == (["Picks/alice.json"], "https://lab.example.org/root")
    assert found.content.csv_base is None, "the Croissant itself is not there"


def test_rows_inside_and_outside_of_a_relocatable_croissant_are_pointed_out(tmp_path: Path) -> None:
    source = project("/out/lab", overlay=Root(Location.parse("/data/overlay"), primary=False))
    found = planned(recipe(tmp_path, EXPORT, header("")), source)
    assert picks(found) == ["lab/Picks/alice.json", "file:///data/overlay/Picks/bob-overlay.json"]
    assert found.content.base_url is None
    (told,) = with_code(found.diagnostics, Code.OUTSIDE_ROOT)
    assert str(told).split(": ", 1)[1] == (
        "warning[CR409]: 1 of the exported artifacts lies outside output.project_root, such as "
        "/data/overlay/Picks/bob-overlay.json: its URL is absolute, and the Croissant cannot be moved with it\n"
        "  hint: add `base_url:` to `output:` with the URL that project_root has when it is read"
    )


def web_picks(tmp_path: Path, *paths: str, base_url: str) -> list[str]:
    """The URLs of exported picks of a project that is published."""
    table = artifacts("picks", *(("TS_1", str(i), "1", "ribosome") for i in range(len(paths))))
    source = inventory(picks=table.assign(path=pd.Series(paths, dtype="str")))
    return picks(planned(recipe(tmp_path, EXPORT, header(f'base_url: "{base_url}"')), source))


def test_only_paths_that_mean_something_on_the_web_are_encoded(tmp_path: Path) -> None:
    paths = ["grid 2 (pos#5)%41/a.json", "plain/ä(+).json", "what?/a.json"]
    assert web_picks(tmp_path, *paths, base_url="https://example.org/data") == [
        "https://example.org/data/grid%202%20(pos%235)%2541/a.json",
        "plain/ä(+).json",
        "https://example.org/data/what%3F/a.json",
    ]
    assert web_picks(tmp_path, *paths, base_url="s3://bucket/data") == paths


def test_a_url_that_somebody_wrote_is_not_encoded_again(tmp_path: Path) -> None:
    url = "https://example.org/data/grid%202/a.json"
    table = artifacts("picks", ("TS_1", "alice", "1", "a"))
    table = table.assign(root=pd.Series([""], dtype="str"), path=[url])
    found = planned(recipe(tmp_path, EXPORT, header(PUBLISHED)), inventory(picks=table))
    assert picks(found) == [url]


def test_what_copick_finds_only_with_an_overlay_is_said_once(tmp_path: Path) -> None:
    def lab(*paths: str) -> Inventory:
        keys = [("TS_1", 10.0, name) for name in ("wbp", "denoised")]
        found = artifacts("tomograms", *keys).assign(path=pd.Series(paths, dtype="str"))
        store = "ExperimentRuns/TS_1/Segmentations/10.000_a_1_cell-multilabel.zarr"
        volume = artifacts("segmentations", ("TS_1", 10.0, "a", "1", "cell", "multilabel"))
        return inventory(tomograms=found, segmentations=volume.assign(path=pd.Series([store], dtype="str")))

    good = [f"ExperimentRuns/TS_1/VoxelSpacing10.000/{name}.zarr" for name in ("wbp", "denoised")]
    checked = recipe(tmp_path, EXPORT, header(PUBLISHED))
    assert not with_code(planned(checked, lab(*good)).diagnostics, Code.OVERLAY_NEEDED)
    renamed = recipe(
        tmp_path, EXPORT + "    rename: {tomo_types: {wbp: raw}, objects: {cell: cells}}\n", header(PUBLISHED)
    )
    (told,) = with_code(planned(renamed, lab(*good)).diagnostics, Code.OVERLAY_NEEDED)
    assert (told.severity, told.message) == (
        "warning",
        "copick opens 1 tomogram and 1 segmentation only with an overlay, "
        "as they do not lie where it looks for rows of their names",
    )


def test_appended_rows_may_lie_anywhere(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, APPEND, header("")), project("/out/lab"), project("/data/other"))
    assert not with_code(found.diagnostics, Code.OUTSIDE_ROOT)
    assert picks(found) == ["file:///data/other/Picks/alice.json"]


def test_a_file_url_is_the_path_it_names(tmp_path: Path) -> None:
    found = planned(recipe(tmp_path, EXPORT, header('base_url: "file:///data/lab"')), project("/data/lab"))
    assert picks(found) == ["Picks/alice.json"]
    # No reader of the CSVs takes file:// apart from copick, so the CSVs are named relative to the manifest.
    assert found.content.base_url == "file:///data/lab"
    assert found.content.csv_base is None


# Rows with URLs, and the portal


def test_a_portal_export_has_the_portals_base(tmp_path: Path) -> None:
    bucket = PORTAL_BUCKET.rstrip("/")
    source = project(bucket)
    source = inventory(picks=source.table("picks"), roots={"static": Root(Location.parse(bucket), base_url=bucket)})
    found = planned(recipe(tmp_path, EXPORT, header(PUBLISHED)), source)
    assert picks(found) == ["Picks/alice.json"]
    assert found.content.base_url == PORTAL_BUCKET
    assert found.content.csv_base == "https://example.org/data", "where the Croissant itself is published"


def test_absolute_paths_of_rows_stay(tmp_path: Path) -> None:
    table = artifacts("picks", ("TS_1", "alice", "1", "a"), ("TS_1", "alice", "1", "b"))
    table = table.assign(
        root=pd.Series(["", ""], dtype="str"), path=["https://example.org/data/a.json", "gs://bucket/b.json"]
    )
    found = planned(recipe(tmp_path, EXPORT, header(PUBLISHED)), inventory(picks=table))
    assert picks(found) == ["a.json", "gs://bucket/b.json"]


@pytest.mark.parametrize(
    ("url", "anchor", "expected"),
    [
        ("https://a.org/x/y", "https://a.org/x", "y"),
        ("https://a.org/x/y", "https://a.org/x/", "y"),
        ("https://a.org/xy/z", "https://a.org/x", "https://a.org/xy/z"),
        ("https://a.org/x", "https://a.org/x", "https://a.org/x"),
        ("file:///a/b", "/a", "b"),
        ("file:///a/b", "file:///a", "b"),
        ("file:///a/b", "https://a.org", "file:///a/b"),
        ("s3://bucket/a b/c,d", "s3://bucket", "a b/c,d"),
        ("s3://bucket/a", "s3://buck", "s3://bucket/a"),
    ],
)
def test_relative(url: str, anchor: str, expected: str) -> None:
    assert list(urls.relative(pd.Series([url], dtype="str"), anchor)) == [expected]


def test_places_of_no_rows() -> None:
    assert list(urls.places(tables.artifacts("picks"), {"static": "file:///data"})) == []
    assert Publication("/out", None).anchor == "/out"
