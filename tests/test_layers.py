"""One layer: what it takes, renames and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from compiling import HEADER, artifacts, inventory, obj, plan, recipe, rows, with_code

from croissant_recipes import tables
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.diagnostics import exit_code
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.base import Inventory

FIRST_LINE = HEADER.count("\n") + 1


def project() -> Inventory:
    """Two runs with two of everything."""
    source = inventory(
        tomograms=artifacts(
            "tomograms", *((r, v, t) for r in RUNS for v in (10.0, 13.48) for t in ("wbp", "denoised"))
        ),
        features=artifacts("features", *((r, 10.0, t, "sobel") for r in RUNS for t in ("wbp", "denoised"))),
        picks=artifacts(
            "picks", *((r, u, "1", o) for r in RUNS for u in ("alice", "bob") for o in ("ribosome", "vlp"))
        ),
        meshes=artifacts("meshes", *((r, "alice", "1", o) for r in RUNS for o in ("membrane", "vlp"))),
        segmentations=artifacts(
            "segmentations", *((r, 10.0, "alice", "1", "membrane", k) for r in RUNS for k in ("binary", "instance"))
        ),
        objects=[obj("ribosome", 1), obj("vlp", 2), obj("membrane", 3)],
    )
    return replace(source, tables={**source.tables, "objects": artifacts("objects", ("ribosome",), ("vlp",))})


RUNS = ("TS_1", "TS_2")


def exported(folder: Path, layer: str, source: Inventory | None = None) -> Plan:
    """The plan of a recipe with one layer, given as the inside of a flow mapping."""
    return plan(recipe(folder, f"layers:\n  - {{export: lab{layer and ', '}{layer}}}\n"), source or project())


def counts(found: Plan) -> dict[str, int]:
    return {name: len(table) for name, table in found.content.tables.items() if len(table)}


EVERYTHING = {
    "runs": 2,
    "voxel_spacings": 4,
    "tomograms": 8,
    "features": 4,
    "picks": 8,
    "meshes": 4,
    "segmentations": 2,
    "instance_segmentations": 2,
    "objects": 2,
}


# Filters


def test_a_layer_that_names_nothing_takes_everything(tmp_path: Path) -> None:
    assert counts(exported(tmp_path, "")) == EVERYTHING
    assert counts(exported(tmp_path, "picks: all, others: include")) == EVERYTHING


def test_others_excluded_leaves_what_is_named_and_the_runs(tmp_path: Path) -> None:
    assert counts(exported(tmp_path, "picks: all, others: exclude")) == {"runs": 2, "picks": 8}
    assert counts(exported(tmp_path, "picks: none, others: exclude")) == {"runs": 2}


@pytest.mark.parametrize(
    ("layer", "changed"),
    [
        ("runs: none", dict.fromkeys(EVERYTHING, 0) | {"objects": 2}),
        ("tomograms: none", {"tomograms": 0, "voxel_spacings": 2}),
        ("picks: none", {"picks": 0}),
        ("meshes: none", {"meshes": 0}),
        ("segmentations: none", {"segmentations": 0, "instance_segmentations": 0}),
        ("objects: none", {"objects": 0}),
        ("tomograms: wbp", {"tomograms": 4}),
        ("tomograms: 'wbp@10'", {"tomograms": 2, "voxel_spacings": 2}),
        ("tomograms: ['wbp@10', 'denoised@13.48']", {"tomograms": 4}),
        ("features: 'wbp@*:sobel'", {"features": 2}),
        ("picks: 'ribosome:alice/*'", {"picks": 2}),
        ("picks: ['ribosome', 'vlp:bob']", {"picks": 6}),
        ("picks: {exclude: 'ribosome:alice'}", {"picks": 6}),
        ("picks: {select: ribosome, exclude: ['*:alice/1']}", {"picks": 2}),
        ("meshes: 're:(vlp|x)'", {"meshes": 2}),
        ("segmentations: membrane", {"instance_segmentations": 0}),
        ("segmentations: 'membrane?instance=true'", {"segmentations": 0}),
        ("segmentations: ['membrane', 'membrane?instance=true']", {}),
        ("segmentations: {exclude: 'membrane?instance=true'}", {"instance_segmentations": 0}),
        ("objects: [ribosome]", {"objects": 1}),
        ("objects: {exclude: 'r*'}", {"objects": 1}),
    ],
)
def test_filters_are_independent_of_each_other(tmp_path: Path, layer: str, changed: dict[str, int]) -> None:
    expected = {name: n for name, n in {**EVERYTHING, **changed}.items() if n}
    assert counts(exported(tmp_path, layer)) == expected


def test_features_stay_without_their_tomogram(tmp_path: Path) -> None:
    found = exported(tmp_path, "tomograms: 'denoised@13.48'")
    assert ("TS_1", 10.0, "wbp", "sobel") in rows(found, "features")
    assert ("TS_1", 10.0) in rows(found, "voxel_spacings")


def test_runs_limit_what_the_layer_reads(tmp_path: Path) -> None:
    found = exported(tmp_path, "runs: ['re:.*_2$']")
    half = {k: n // 2 for k, n in EVERYTHING.items()} | {"objects": 2}
    assert counts(found) == half
    assert {row[0] for name in ("tomograms", "picks") for row in rows(found, name)} == {"TS_2"}


def test_a_run_answers_to_its_second_name(tmp_path: Path) -> None:
    source = project()
    runs = source.tables["runs"].assign(run_alias=["first", "second"])
    found = exported(tmp_path, "runs: [second]", replace(source, tables={**source.tables, "runs": runs}))
    assert rows(found, "runs") == [("TS_2",)]


# What matches nothing


def test_a_selector_without_a_match_is_an_error_at_its_place(tmp_path: Path) -> None:
    body = "layers:\n  - export: lab\n    picks:\n      - ribosome\n      - ribosme:alice\n"
    found = plan(recipe(tmp_path, body), project())
    (told,) = with_code(found.diagnostics, Code.NO_MATCH)
    assert str(told) == (
        f"{tmp_path / 'recipe.yaml'}:{FIRST_LINE + 4}:9: error[CR401]: "
        "'ribosme:alice' matches no picks in the runs of source 'lab'\n"
        "  hint: did you mean 'ribosome:alice/1'?"
    )
    assert exit_code(found.diagnostics) is ExitCode.INVALID


def test_each_selector_of_a_list_must_match(tmp_path: Path) -> None:
    found = exported(tmp_path, "tomograms: ['wbp@10', 'wbp@20', 'raw'], runs: ['TS_1', 'TS_9']")
    assert [d.message.split(" matches")[0] for d in with_code(found.diagnostics, Code.NO_MATCH)] == [
        "'wbp@20'",
        "'raw'",
        "'TS_9'",
    ]


def test_what_is_excluded_must_be_there_too(tmp_path: Path) -> None:
    found = exported(tmp_path, "picks: {exclude: capsid}")
    assert [d.message for d in with_code(found.diagnostics, Code.NO_MATCH)] == [
        "'capsid' matches no picks in the runs of source 'lab'"
    ]


def test_a_match_in_runs_that_the_layer_does_not_take_is_none(tmp_path: Path) -> None:
    picks = artifacts("picks", ("TS_1", "alice", "1", "ribosome"), ("TS_2", "alice", "1", "vlp"))
    found = exported(tmp_path, "runs: [TS_1], picks: vlp", inventory(picks=picks))
    assert len(with_code(found.diagnostics, Code.NO_MATCH)) == 1


def told_of(found: Plan) -> list[tuple[str, str | None]]:
    """What is wrong with an export, and how to mend it."""
    return [(d.message.split(" matches")[0], d.hint) for d in found.diagnostics if d.is_error]


def test_what_is_misspelt_gets_its_own_names_whatever_runs_are_chosen(tmp_path: Path) -> None:
    layer = "runs: 'TS_*', tomograms: [wpb@10, wbp@20], picks: ['ribosome:alcie/1', 'ribosme:*/*'], meshes: 'vpl:*'"
    assert told_of(exported(tmp_path, layer)) == [
        ("'wpb@10'", "did you mean 'wbp@10.0'?"),
        ("'wbp@20'", "did you mean 'wbp@10.0'?"),
        ("'ribosome:alcie/1'", "did you mean 'ribosome:alice/1' or 'ribosome:bob/1'?"),
        ("'ribosme:*/*'", "did you mean 'ribosome:*/*'?"),
        ("'vpl:*'", "did you mean 'vlp:*'?"),
    ]


def test_what_only_other_runs_have_is_not_called_misspelt(tmp_path: Path) -> None:
    picks = artifacts("picks", ("TS_1", "alice", "1", "ribosome"), ("TS_2", "alice", "1", "vlp"))
    listed = inventory(picks=picks)
    # Sources need not list runs that no layer takes.
    unlisted = inventory(picks=picks[:1], runs=listed.tables["runs"], objects=[obj("ribosome"), obj("vlp")])
    for source in (listed, unlisted):
        assert told_of(exported(tmp_path, "runs: [TS_1], picks: vlp", source)) == [
            ("'vlp'", "the runs that the layer takes have no picks of 'vlp'")
        ]


def test_a_wrong_run_is_one_error(tmp_path: Path) -> None:
    """Neither what is in the runs that were meant nor the splits of those are told to be missing."""
    body = "layers:\n  - export: lab\n    runs: TS_01\n    tomograms: ['wbp@10', denoised]\n    picks: vlp:alice\n"
    body += "    rename: {tomo_types: {wbp: raw}}\nsplits: {assign: {train: TS_1, val: 'TS_[2]'}}\n"
    whole = project()
    nothing_listed = replace(whole, tables={**inventory().tables, "runs": whole.tables["runs"]})
    for source in (whole, nothing_listed):
        found = plan(recipe(tmp_path, body), source)
        assert [(d.code, d.hint) for d in found.diagnostics if d.is_error] == [
            (Code.NO_MATCH, "did you mean 'TS_1' or 'TS_2'?")
        ]


def test_a_wrong_run_hides_no_other_mistake(tmp_path: Path) -> None:
    body = "layers:\n  - export: lab\n    runs: TS_01\n    picks: vpl:alice\nsplits: {assign: {train: XY_7}}\n"
    found = plan(recipe(tmp_path, body), project())
    assert [d.message.split(" matches")[0] for d in found.diagnostics if d.is_error] == [
        "'TS_01'",
        "'vpl:alice'",
        "there is no run 'XY_7'",
    ]


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        ("runs: 'TS_1,TS_2'", "a list is written [TS_1, TS_2]"),
        ("picks: 'ribosome, vlp'", "a list is written [ribosome, vlp]"),
        ("tomograms: 'wbp,denoised'", "a list is written [wbp, denoised]"),
        ("objects: 'ribosome,ca-x'", "a list is written [ribosome, ca-x]"),
        ("runs: 'TS_1,'", "did you mean 'TS_1' or 'TS_2'?"),
    ],
)
def test_a_text_with_commas_is_shown_as_the_list_that_it_may_mean(tmp_path: Path, layer: str, hint: str) -> None:
    ((_, found),) = told_of(exported(tmp_path, layer))
    assert found == hint


def test_allow_empty_says_nothing(tmp_path: Path) -> None:
    layer = "picks: [capsid], runs: ['TS_9'], rename: {objects: {capsid: vlp}}, allow_empty: true"
    assert not [d for d in exported(tmp_path, layer).diagnostics if d.is_error]


# Renames


def test_an_object_rename_reaches_everything_that_has_a_name(tmp_path: Path) -> None:
    found = exported(tmp_path, "rename: {objects: {vlp: capsid, membrane: bilayer}}")
    assert {r[3] for r in rows(found, "picks")} == {"ribosome", "capsid"}
    assert {r[3] for r in rows(found, "meshes")} == {"bilayer", "capsid"}
    assert {r[4] for r in rows(found, "segmentations")} == {"bilayer"}
    assert {r[4] for r in rows(found, "instance_segmentations")} == {"bilayer"}
    assert rows(found, "objects") == [("capsid",), ("ribosome",)]
    assert {o["name"] for o in found.content.config["pickable_objects"]} == {"ribosome", "capsid", "bilayer"}


def test_a_rename_moves_no_data(tmp_path: Path) -> None:
    before, after = exported(tmp_path, ""), exported(tmp_path, "rename: {objects: {vlp: capsid}}")
    assert sorted(rows(after, "picks", "url")) == sorted(rows(before, "picks", "url"))


def test_a_tomogram_rename_reaches_features(tmp_path: Path) -> None:
    found = exported(tmp_path, "rename: {tomo_types: {wbp: raw}}")
    assert {r[2] for r in rows(found, "tomograms")} == {"raw", "denoised"}
    assert {r[2] for r in rows(found, "features")} == {"raw", "denoised"}
    assert set(rows(found, "tomograms", "portal_tomo_type")) == {("",)}, "only rows of the portal keep the old name"


def test_rows_of_the_portal_keep_the_old_tomogram_type(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "run": ["1", "2"],
        "voxel_size": [10.0, 10.0],
        "tomo_type": ["wbp", "denoised"],
        "portal_tomogram_id": ["7", "8"],
        "root": ["static"] * 2,
        "path": ["a", "b"],
    }
    source = inventory(tomograms=tables.artifacts("tomograms", columns))
    found = exported(tmp_path, "rename: {tomo_types: {wbp: raw}}", source)
    assert rows(found, "tomograms", "tomo_type", "portal_tomo_type") == [("raw", "wbp"), ("denoised", "")]


def test_selectors_go_by_the_names_of_the_source(tmp_path: Path) -> None:
    found = exported(tmp_path, "picks: 'vlp:alice', rename: {objects: {vlp: capsid}}")
    assert {r[3] for r in rows(found, "picks")} == {"capsid"}
    found = exported(tmp_path, "picks: 'capsid', rename: {objects: {vlp: capsid}}")
    assert len(with_code(found.diagnostics, Code.NO_MATCH)) == 1


def test_a_rename_of_what_is_not_there_is_an_error_at_the_key(tmp_path: Path) -> None:
    body = "layers:\n  - export: lab\n    rename:\n      tomo_types: {wpb: raw}\n      objects: {ribosomes: x}\n"
    found = plan(recipe(tmp_path, body), project())
    told = with_code(found.diagnostics, Code.RENAME_UNKNOWN)
    assert [str(d) for d in told] == [
        f"{tmp_path / 'recipe.yaml'}:{FIRST_LINE + 3}:20: error[CR402]: 'wpb' names no tomogram type in source 'lab'\n"
        "  hint: did you mean 'wbp'?",
        f"{tmp_path / 'recipe.yaml'}:{FIRST_LINE + 4}:17: error[CR402]: 'ribosomes' names no object in source 'lab'\n"
        "  hint: did you mean 'ribosome'?",
    ]


def test_a_rename_of_a_name_that_the_filters_leave_out_is_none(tmp_path: Path) -> None:
    """The name is there, and a layer may well take none of it."""
    assert not with_code(
        exported(tmp_path, "picks: ribosome, meshes: none, rename: {objects: {vlp: capsid}}").diagnostics,
        Code.RENAME_UNKNOWN,
    )


# Collisions

SAME = "rename: {objects: {ribosome: particle, vlp: particle}}"


def test_two_rows_of_one_layer_with_one_key_are_an_error_that_shows_both(tmp_path: Path) -> None:
    picks = artifacts("picks", ("TS_1", "alice", "1", "ribosome"), ("TS_1", "alice", "1", "vlp"))
    body = f"layers:\n  - export: lab\n    picks: all\n    {SAME}\n"
    found = plan(recipe(tmp_path, body), inventory(picks=picks))
    (told,) = with_code(found.diagnostics, Code.COLLISION)
    assert str(told) == (
        f"{tmp_path / 'recipe.yaml'}:{FIRST_LINE + 2}:5: error[CR403]: "
        "layer 1 (export lab): one key has more than one row in picks\n"
        "  run 'TS_1', user_id 'alice', session_id '1', object_name 'particle' is the key of:\n"
        "    - path 'picks/TS_1/alice/1/ribosome'\n"
        "    - path 'picks/TS_1/alice/1/vlp'\n"
        "  hint: rename to different names to keep both, or choose with `on_collision: first` or `on_collision: last`"
    )
    assert exit_code(found.diagnostics) is ExitCode.BLOCKED


@pytest.mark.parametrize(("policy", "kept"), [("first", "ribosome"), ("last", "vlp")])
def test_first_and_last_go_by_path(tmp_path: Path, policy: str, kept: str) -> None:
    keys = [("TS_1", "alice", "1", "vlp"), ("TS_1", "alice", "1", "ribosome"), ("TS_1", "bob", "1", "vlp")]
    found = exported(tmp_path, f"{SAME}, on_collision: {policy}", inventory(picks=artifacts("picks", *keys)))
    assert not with_code(found.diagnostics, Code.COLLISION)
    assert rows(found, "picks", "user_id", "url") == [
        ("alice", f"picks/TS_1/alice/1/{kept}"),
        ("bob", "picks/TS_1/bob/1/vlp"),
    ]
    (collision,) = found.resolution.layers[1].collisions
    assert collision.kept == (0 if policy == "first" else 1)


@pytest.mark.parametrize(("policy", "kept"), [("first", "9"), ("last", "10")])
def test_first_and_last_go_by_portal_id_as_numbers(tmp_path: Path, policy: str, kept: str) -> None:
    table = artifacts("picks", ("1", "alice", "1", "ribosome"), ("1", "alice", "1", "vlp"))
    table = table.assign(portal_id=pd.Series([10, 9]), portal_annotation_id=["10", "9"])
    found = exported(tmp_path, f"{SAME}, on_collision: {policy}", inventory(picks=table))
    assert rows(found, "picks", "portal_annotation_id") == [(kept,)]


def test_a_collision_is_of_one_layer_only(tmp_path: Path) -> None:
    """Between layers the later row wins."""
    body = "layers:\n  - export: lab\n  - append: lab\n"
    found = plan(recipe(tmp_path, body), project(), project())
    assert not with_code(found.diagnostics, Code.COLLISION)
    assert counts(found) == EVERYTHING


def test_many_collisions_show_the_first_few(tmp_path: Path) -> None:
    keys = [(f"TS_{i}", "alice", "1", o) for i in range(9) for o in ("ribosome", "vlp")]
    found = exported(tmp_path, SAME, inventory(picks=artifacts("picks", *keys)))
    (told,) = with_code(found.diagnostics, Code.COLLISION)
    assert told.message == "layer 1 (export lab): 9 keys have more than one row in picks"
    assert [n for n in told.notes if "is the key of" in n] == [
        f"run 'TS_{i}', user_id 'alice', session_id '1', object_name 'particle' is the key of:" for i in range(3)
    ]
    assert told.notes[-1] == "and 6 more keys"


def test_tomograms_segmentations_and_density_maps_collide_too(tmp_path: Path) -> None:
    layer = "rename: {tomo_types: {wbp: tomo, denoised: tomo}, objects: {ribosome: particle, vlp: particle}}"
    found = exported(tmp_path, layer)
    told = [d.message.rpartition(" in ")[2] for d in with_code(found.diagnostics, Code.COLLISION)]
    assert sorted(told) == ["features", "objects", "picks", "tomograms"]


# The record tables


def test_rows_are_sorted_by_key_and_typed(tmp_path: Path) -> None:
    found = exported(tmp_path, "")
    for name, schema in RECORD_SETS.items():
        table = found.content.tables[name]
        assert list(table.columns) == list(schema.columns), name
        assert rows(found, name) == sorted(rows(found, name)), name
        assert dict(table.dtypes) == dict(tables.records(name).dtypes), name


def test_multilabel_segmentations_are_flagged(tmp_path: Path) -> None:
    kinds = ("binary", "multilabel", "instance", "panoptic")
    source = inventory(
        segmentations=artifacts("segmentations", *(("TS_1", 10.0, "alice", "1", "membrane", k) for k in kinds))
    )
    found = exported(tmp_path, "", source)
    assert rows(found, "segmentations", "is_multilabel", "url") == [
        (False, "segmentations/TS_1/10.0/alice/1/membrane/binary"),
        (True, "segmentations/TS_1/10.0/alice/1/membrane/multilabel"),
    ]
    assert len(rows(found, "instance_segmentations")) == len(rows(found, "panoptic_segmentations")) == 1


# Several sources


def of_two(folder: Path, layer: str, one: Inventory, two: Inventory) -> Plan:
    """The plan of a recipe with one layer of two sources."""
    return plan(recipe(folder, f"layers:\n  - {{export: [lab, other]{layer and ', '}{layer}}}\n"), (one, two))


def of_user(user: str, *runs: str, sort: str = "ribosome") -> Inventory:
    return inventory(picks=artifacts("picks", *((r, user, "1", sort) for r in runs)), objects=[obj(sort)])


def test_a_run_of_two_sources_is_one_run_and_rows_know_their_source(tmp_path: Path) -> None:
    found = of_two(tmp_path, "picks: ['*:alice', '*:bob']", of_user("alice", "TS_1", "TS_2"), of_user("bob", "TS_2"))
    assert not found.diagnostics
    assert rows(found, "runs", "name") == [("TS_1",), ("TS_2",)]
    picks = found.artifacts["picks"]
    known = picks[["run", "user_id", "layer", "source", "row"]].itertuples(index=False, name=None)
    assert list(known) == [("TS_1", "alice", 1, 0, 0), ("TS_2", "alice", 1, 0, 1), ("TS_2", "bob", 1, 1, 2)]
    assert found.resolution.merged.added[1]["runs"] == 2


def test_a_selector_that_is_in_no_source_is_one_error_with_the_names_of_all(tmp_path: Path) -> None:
    found = of_two(tmp_path, "picks: [ribosme, vlq]", of_user("alice", "TS_1"), of_user("bob", "TS_1", sort="vlp"))
    assert [(d.message, d.hint) for d in with_code(found.diagnostics, Code.NO_MATCH)] == [
        ("'ribosme' matches no picks in the runs of sources 'lab' and 'other'", "did you mean 'ribosome:alice/1'?"),
        ("'vlq' matches no picks in the runs of sources 'lab' and 'other'", "did you mean 'vlp:bob/1'?"),
    ]


def test_rows_of_two_sources_with_one_key_collide_and_say_where_they_are_from(tmp_path: Path) -> None:
    found = of_two(tmp_path, "picks: all", of_user("alice", "TS_1"), of_user("alice", "TS_1"))
    (told,) = with_code(found.diagnostics, Code.COLLISION)
    assert told.message == "layer 1 (export lab and other): one key has more than one row in picks"
    assert told.notes == (
        "run 'TS_1', user_id 'alice', session_id '1', object_name 'ribosome' is the key of:",
        "  - source 'lab', path 'picks/TS_1/alice/1/ribosome'",
        "  - source 'other', path 'picks/TS_1/alice/1/ribosome'",
    )
    assert told.hint == (
        "choose with `on_collision: first` or `on_collision: last`; "
        "or give each source a layer, where the later one counts"
    )


@pytest.mark.parametrize(("policy", "url"), [("first", "z"), ("last", "a")])
def test_first_and_last_go_by_the_order_of_the_sources_first(tmp_path: Path, policy: str, url: str) -> None:
    key = ("TS_1", "alice", "1", "ribosome")
    one, two = (inventory(picks=artifacts("picks", key).assign(path=path)) for path in ("z", "a"))
    found = of_two(tmp_path, f"on_collision: {policy}", one, two)
    assert not with_code(found.diagnostics, Code.COLLISION)
    assert rows(found, "picks", "url")[0][0].endswith(url)


def test_runs_are_taken_of_each_source_by_what_that_calls_them(tmp_path: Path) -> None:
    """The portal's name of a run is no other source's."""
    one = of_user("alice", "1001")
    one = replace(one, tables={**one.tables, "runs": one.tables["runs"].assign(run_alias="TS_1", portal_run_id="1001")})
    found = of_two(tmp_path, "runs: TS_1", one, of_user("bob", "TS_1", "1001"))
    assert rows(found, "picks", "run", "user_id") == [("1001", "alice"), ("TS_1", "bob")]


def test_an_object_that_two_sources_define_differently_is_that_of_the_first(tmp_path: Path) -> None:
    one, two = (inventory(objects=[obj("ribosome", radius=radius)]) for radius in (100.0, 200.0))
    found = of_two(tmp_path, "", one, two)
    (told,) = with_code(found.diagnostics, Code.OBJECT_DRIFT)
    assert told.message == (
        "object 'ribosome' of layer 1 (export other) differs in radius; the entry of layer 1 (export lab) is kept"
    )
    assert [o["radius"] for o in found.content.config["pickable_objects"]] == [100.0]
