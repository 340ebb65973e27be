"""Layers over each other: the later row of a key wins, runs are filled in field by field, a base is the first layer."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
from compiling import ROOT, artifacts, as_layers, inventory, plan, recipe, rows, with_code
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler.layers import Fate
from croissant_recipes.compiler.merging import Merged, merge
from croissant_recipes.diagnostics import Severity
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS

TWO_LAYERS = """\
layers:
  - export: lab
  - append: other
"""


def runs(*given: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of name, portal_run_id and split."""
    names, ids, splits = zip(*given, strict=True) if given else ((), (), ())
    return tables.artifacts("runs", {"name": names, "portal_run_id": ids, "split": splits})


def merged_runs(*layers: pd.DataFrame) -> dict[str, tuple[str, str]]:
    merged = merge(as_layers(*({"runs": layer} for layer in layers))).tables["runs"]
    return {r.name: (r.portal_run_id, r.split) for r in merged.itertuples(index=False)}


def test_a_later_layer_fills_a_run_and_blanks_nothing() -> None:
    first = runs(("TS_1", "42", "train"), ("TS_2", "", ""))
    second = runs(("TS_1", "", ""), ("TS_2", "43", "val"), ("TS_3", "", ""))
    assert merged_runs(first, second) == {"TS_1": ("42", "train"), "TS_2": ("43", "val"), "TS_3": ("", "")}


def test_a_later_layer_replaces_the_fields_that_it_says() -> None:
    first = runs(("TS_1", "42", "train"))
    assert merged_runs(first, runs(("TS_1", "", "test"))) == {"TS_1": ("42", "test")}
    assert merged_runs(first, runs(("TS_1", "7", ""))) == {"TS_1": ("7", "train")}
    assert merged_runs(first, runs(("TS_1", "7", "")), runs(("TS_1", "", "val"))) == {"TS_1": ("7", "val")}


def test_runs_of_the_portal_that_share_a_name_without_a_template_are_told(tmp_path: Path) -> None:
    """Croissants have their names, and the portal may have given a run a new id: a warning, and the later id counts."""
    first = inventory(runs=runs(("TS_1", "42", ""), ("TS_2", "43", ""), ("TS_3", "", "")))
    second = inventory(runs=runs(("TS_1", "7", ""), ("TS_2", "43", ""), ("TS_3", "8", "")))
    planned = plan(recipe(tmp_path, TWO_LAYERS), first, second)
    (told,) = with_code(planned.diagnostics, Code.COLLISION)
    assert told.severity is Severity.WARNING
    assert told.message == (
        "layer 2 (append other): one run is another run of the portal than in an earlier layer, under the same name"
    )
    assert told.notes == ("'TS_1' is portal run 42 in layer 1 (export lab), and 7 here",)
    assert rows(planned, "runs", "name", "portal_run_id") == [("TS_1", "7"), ("TS_2", "43"), ("TS_3", "8")]
    (told,) = with_code(plan(recipe(tmp_path, TWO_LAYERS), second, first).diagnostics, Code.COLLISION)
    assert told.notes == ("'TS_1' is portal run 7 in layer 1 (export lab), and 42 here",), "an empty id is no other id"


def test_runs_have_no_replacements() -> None:
    layer = {"runs": runs(("TS_1", "42", "train"))}
    assert list(merge(as_layers(layer, layer)).replacements()) == []


def picks(*given: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of run, session and path, all of one user and object."""
    names, sessions, paths = zip(*given, strict=True)
    return tables.artifacts(
        "picks",
        {
            "run": names,
            "user_id": ["alice"] * len(given),
            "session_id": sessions,
            "object_name": ["ribosome"] * len(given),
            "root": [ROOT] * len(given),
            "path": paths,
        },
    )


def merged_picks(*layers: pd.DataFrame) -> Merged:
    return merge(as_layers(*({"picks": layer} for layer in layers)))


def test_the_later_row_of_a_key_wins_whole() -> None:
    first = picks(("TS_1", "1", "old"), ("TS_1", "2", "kept")).assign(portal_annotation_id=["9", ""])
    merged = merged_picks(first, picks(("TS_1", "1", "new")))
    table = merged.tables["picks"]
    assert list(zip(table["session_id"], table["path"], table["layer"], strict=True)) == [
        ("1", "new", 1),
        ("2", "kept", 0),
    ]
    assert list(table["portal_annotation_id"]) == ["", ""], "only runs are filled field by field"
    (replaced,) = merged.replacements()
    assert (replaced.artifact, replaced.earlier, replaced.later) == ("picks", 0, 1)
    assert replaced.keys == (("TS_1", "alice", "1", "ribosome"),)


def test_a_chain_of_replacements_names_each_step() -> None:
    one = picks(("TS_1", "1", "a"))
    merged = merged_picks(one, picks(("TS_1", "1", "b")), picks(("TS_1", "1", "c")))
    assert list(merged.tables["picks"]["path"]) == ["c"]
    assert [(r.earlier, r.later) for r in merged.replacements()] == [(0, 1), (1, 2)]


def test_what_each_layer_adds_is_counted_once() -> None:
    merged = merged_picks(picks(("TS_1", "1", "a"), ("TS_1", "2", "b")), picks(("TS_1", "2", "c"), ("TS_2", "1", "d")))
    assert [added.get("picks") for added in merged.added.values()] == [2, 1]


def test_segmentations_of_each_type_are_their_own() -> None:
    kinds = ("binary", "multilabel", "instance", "panoptic")
    one = artifacts("segmentations", *(("TS_1", 10.0, "alice", "1", "membrane", kind) for kind in kinds))
    other = artifacts("segmentations", ("TS_1", 10.0, "alice", "1", "membrane", "instance"))
    merged = merge(as_layers({"segmentations": one}, {"segmentations": other}))
    assert len(merged.tables["segmentations"]) == 4
    assert [r.keys[0][-1] for r in merged.replacements()] == ["instance"]


def test_an_unknown_voxel_size_is_a_key_like_any_other() -> None:
    one = artifacts("tomograms", ("TS_1", float("nan"), "wbp"), ("TS_1", 10.0, "wbp"))
    merged = merge(as_layers({"tomograms": one}, {"tomograms": one.assign(path=["new", "newer"])}))
    assert sorted(merged.tables["tomograms"]["path"]) == ["new", "newer"]
    (replaced,) = merged.replacements()
    assert len(replaced.keys) == 2


def test_a_row_knows_its_layer_and_the_row_of_the_source(tmp_path: Path) -> None:
    checked = recipe(
        tmp_path,
        "layers:\n"
        "  - {export: lab, picks: [nothing, ribosome], rename: {objects: {ribosome: r}}, allow_empty: true}\n"
        "  - {append: other, others: exclude, picks: {exclude: virus}}\n",
    )
    one = artifacts(
        "picks", ("TS_1", "a", "1", "virus"), ("TS_1", "a", "1", "ribosome"), ("TS_1", "b", "1", "ribosome")
    )
    other = artifacts("picks", ("TS_1", "b", "1", "r"), ("TS_1", "b", "1", "virus"))
    found = plan(checked, inventory(picks=one), inventory(picks=other))
    picks = found.artifacts["picks"]
    assert picks[["user_id", "layer", "row", "selector"]].to_dict("records") == [
        {"user_id": "a", "layer": 1, "row": 1, "selector": 1},
        {"user_id": "b", "layer": 2, "row": 0, "selector": -1},
    ]
    first, second = found.resolution.layers[1], found.resolution.layers[2]
    assert list(first.choices["picks"].fates) == [Fate.NOT_SELECTED, Fate.TAKEN, Fate.TAKEN]
    assert list(second.choices["picks"].fates) == [Fate.TAKEN, Fate.EXCLUDED]
    assert list(second.choices["picks"].selectors) == [-1, 0]
    (gone,) = found.resolution.merged.replaced["picks"].to_dict("records")
    assert (gone["layer"], gone["row"], gone["by_layer"], gone["by_row"]) == (1, 2, 2, 0)


def test_rows_of_runs_that_a_layer_does_not_read_are_told_from_those_it_does_not_select(tmp_path: Path) -> None:
    checked = recipe(tmp_path, "layers:\n  - {export: lab, runs: TS_1, picks: ribosome, on_collision: last}\n")
    table = artifacts(
        "picks", ("TS_1", "a", "1", "ribosome"), ("TS_1", "a", "1", "virus"), ("TS_2", "a", "1", "ribosome")
    )
    twice = tables.concat([table, table.iloc[:1]])
    found = plan(checked, inventory(picks=twice))
    fates = [Fate(f) for f in found.resolution.layers[1].choices["picks"].fates]
    assert fates == [Fate.COLLIDED, Fate.NOT_SELECTED, Fate.RUN_LEFT_OUT, Fate.TAKEN]


def test_a_row_replaced_keeps_its_voxel_spacing(tmp_path: Path) -> None:
    checked = recipe(tmp_path, TWO_LAYERS)
    one = inventory(tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp")))
    other = inventory(tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp"), ("TS_1", 20.0, "wbp")))
    found = plan(checked, one, other)
    assert rows(found, "tomograms") == [("TS_1", 10.0, "wbp"), ("TS_1", 20.0, "wbp")]
    assert rows(found, "voxel_spacings") == [("TS_1", 10.0), ("TS_1", 20.0)]


def test_voxel_spacings_follow_from_the_rows_that_survive(tmp_path: Path) -> None:
    checked = recipe(tmp_path, "layers:\n  - {export: lab, tomograms: 'wbp@10', segmentations: none}\n")
    found = plan(
        checked,
        inventory(
            tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp"), ("TS_1", 20.0, "wbp")),
            features=artifacts("features", ("TS_1", 30.0, "wbp", "sobel")),
            segmentations=artifacts("segmentations", ("TS_1", 40.0, "alice", "1", "membrane", "binary")),
        ),
    )
    assert rows(found, "voxel_spacings") == [("TS_1", 10.0), ("TS_1", 30.0)]


keys = st.lists(st.tuples(st.sampled_from(["TS_1", "TS_2", "TS_10"]), st.sampled_from(["1", "2", "10"])), unique=True)


@given(st.lists(keys, min_size=1, max_size=4), st.integers())
@settings(max_examples=30, deadline=None)
def test_merging_is_a_dictionary_updated(layers: list[list[tuple[str, str]]], seed: int) -> None:
    """Whatever the order of rows in a layer, the result is that of updating a dictionary, sorted by key."""
    expected = {key: f"{i}" for i, layer in enumerate(layers) for key in layer}
    shuffled = [random.Random(seed).sample(layer, len(layer)) for layer in layers]
    given = [
        picks(*((run, session, f"{i}") for run, session in layer)) if layer else tables.artifacts("picks")
        for i, layer in enumerate(shuffled)
    ]
    merged = merged_picks(*given)
    table = merged.tables["picks"]
    found = dict(zip(zip(table["run"], table["session_id"], strict=True), table["path"], strict=True))
    assert found == expected
    assert list(found) == sorted(expected)
    assert sum(added.get("picks", 0) for added in merged.added.values()) == len(expected)
    overlapping = sum(len(layer) for layer in layers) - len(expected)
    assert sum(len(r.keys) for r in merged.replacements()) == overlapping


def test_every_table_has_its_declared_types() -> None:
    merged = merge(as_layers({}, {}))
    for artifact in ARTIFACT_TYPES:
        empty = tables.artifacts(artifact)
        table = merged.tables[artifact]
        assert dict(table[list(empty.columns)].dtypes) == dict(empty.dtypes), artifact
        assert set(ARTIFACTS[artifact].key) <= set(table.columns)
