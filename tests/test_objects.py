"""Pickable objects: united, renamed, overridden, and given what they lack the same way in every process."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compiling import HEADER, artifacts, inventory, obj, plan, recipe, with_code
from copick.models import PickableObject
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes.codes import Code
from croissant_recipes.compiler import objects
from croissant_recipes.compiler.labels import Entry, Giver, Labelling
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.diagnostics import Severity

ONE_LAYER = "layers:\n  - export: lab\n"
TWO_LAYERS = "layers:\n  - export: lab\n  - append: other\n"


def by_name(found: Plan) -> dict[str, dict[str, Any]]:
    entries = found.content.config["pickable_objects"]
    assert len({o["name"] for o in entries}) == len(entries), "no name twice"
    return {o["name"]: o for o in entries}


def test_the_fields_are_those_of_copick() -> None:
    assert tuple(PickableObject.model_fields) == objects.FIELDS


def test_the_union_keeps_the_earlier_entry_and_its_order(tmp_path: Path) -> None:
    found = plan(
        recipe(tmp_path, TWO_LAYERS),
        inventory(objects=[obj("ribosome", 1, radius=130.0), obj("membrane", 2)]),
        inventory(objects=[obj("vlp", 3), obj("ribosome", 1, radius=130.0)]),
    )
    assert list(by_name(found)) == ["ribosome", "membrane", "vlp"]
    assert not with_code(found.diagnostics, Code.OBJECT_DRIFT)


def test_another_definition_is_reported_and_does_not_win(tmp_path: Path) -> None:
    found = plan(
        recipe(tmp_path, TWO_LAYERS),
        inventory(objects=[obj("ribosome", 1, radius=130.0)]),
        inventory(objects=[obj("ribosome", 9, radius=100.0, color=[9, 9, 9, 255])]),
    )
    ribosome = by_name(found)["ribosome"]
    assert (ribosome["label"], ribosome["radius"], ribosome["color"]) == (1, 130.0, [1, 2, 3, 255])
    (told,) = with_code(found.diagnostics, Code.OBJECT_DRIFT)
    assert told.severity is Severity.WARNING
    assert told.message == (
        "object 'ribosome' of layer 2 (append other) differs in label, color, radius; "
        "the entry of layer 1 (export lab) is kept"
    )
    assert told.span is not None
    assert told.span.line == HEADER.count("\n") + 3


def test_what_an_entry_does_not_say_is_no_difference(tmp_path: Path) -> None:
    found = plan(
        recipe(tmp_path, TWO_LAYERS),
        inventory(objects=[obj("ribosome", 1, pdb_id="4V4A", metadata={"a": 1})]),
        inventory(objects=[obj("ribosome", 1, pdb_id=None, metadata={"b": 2})]),
    )
    assert not with_code(found.diagnostics, Code.OBJECT_DRIFT)
    assert by_name(found)["ribosome"]["metadata"] == {"a": 1}


def test_a_rename_keeps_the_old_name(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, rename: {objects: {cytosolic-ribosome: ribosome}}}\n"
    found = plan(recipe(tmp_path, body), inventory(objects=[obj("cytosolic-ribosome", metadata={"from": "lab"})]))
    assert by_name(found) == {
        "ribosome": obj(
            "ribosome",
            metadata={"from": "lab", "portal_original_name": "cytosolic-ribosome"},
            emdb_id=None,
            pdb_id=None,
            identifier=None,
            map_threshold=None,
            radius=None,
        )
    }


def test_a_name_kept_before_is_not_lost_in_a_second_rename(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, rename: {objects: {b: c}}}\n"
    found = plan(recipe(tmp_path, body), inventory(objects=[obj("b", metadata={"portal_original_name": "a"})]))
    assert by_name(found)["c"]["metadata"] == {"portal_original_name": "a"}


def test_two_objects_under_one_name_are_one_object(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, rename: {objects: {bact-ribosome: ribosome, euk-ribosome: ribosome}}}\n"
    picks = artifacts("picks", ("TS_1", "alice", "1", "bact-ribosome"), ("TS_2", "alice", "1", "euk-ribosome"))
    found = plan(
        recipe(tmp_path, body),
        inventory(objects=[obj("bact-ribosome", 1, radius=120.0), obj("euk-ribosome", 2, radius=150.0)], picks=picks),
    )
    assert {k: (o["label"], o["radius"]) for k, o in by_name(found).items()} == {"ribosome": (1, 120.0)}
    assert by_name(found)["ribosome"]["metadata"]["portal_original_name"] == "bact-ribosome"
    assert set(found.content.tables["picks"]["object_name"]) == {"ribosome"}
    (told,) = with_code(found.diagnostics, Code.OBJECT_DRIFT)
    assert told.severity is Severity.INFO
    assert not any(d.is_error for d in found.diagnostics)


def test_names_can_be_swapped(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, rename: {objects: {a: b, b: a}}}\n"
    found = plan(recipe(tmp_path, body), inventory(objects=[obj("a", 1), obj("b", 2)]))
    assert {name: o["label"] for name, o in by_name(found).items()} == {"b": 1, "a": 2}


# Overrides


def test_overrides_go_by_output_name(tmp_path: Path) -> None:
    body = (
        "layers:\n  - {export: lab, rename: {objects: {old: ribosome}}}\n"
        "objects:\n  ribosome: {label: 7, color: [0, 255, 0, 255], radius: 130, metadata: {reviewed: true}}\n"
    )
    ribosome = by_name(plan(recipe(tmp_path, body), inventory(objects=[obj("old", 1, pdb_id="4V4A")])))["ribosome"]
    assert (ribosome["label"], ribosome["color"], ribosome["radius"]) == (7, [0, 255, 0, 255], 130)
    assert ribosome["pdb_id"] == "4V4A", "what is not overridden stays"
    assert ribosome["metadata"] == {"portal_original_name": "old", "reviewed": True}


def test_an_override_of_nothing_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    found = plan(
        recipe(tmp_path, ONE_LAYER + "objects:\n  ribosme: {label: 7}\n"), inventory(objects=[obj("ribosome")])
    )
    (told,) = with_code(found.diagnostics, Code.OBJECT_UNKNOWN)
    line = HEADER.count("\n") + 4
    assert str(told) == (
        f"{tmp_path / 'recipe.yaml'}:{line}:3: error[CR408]: no pickable object is called 'ribosme'\n"
        "  hint: did you mean 'ribosome'?"
    )


def test_an_object_that_only_rows_name_can_be_defined(tmp_path: Path) -> None:
    source = inventory(picks=artifacts("picks", ("TS_1", "alice", "1", "vlp")))
    found = plan(recipe(tmp_path, ONE_LAYER + "objects: {vlp: {is_particle: true, radius: 60}}\n"), source)
    vlp = by_name(found)["vlp"]
    assert (vlp["is_particle"], vlp["radius"], vlp["label"]) == (True, 60, 1)
    assert PickableObject(**vlp).name == "vlp"
    found = plan(recipe(tmp_path, ONE_LAYER + "objects: {vlp: {radius: 60}}\n"), source)
    (told,) = with_code(found.diagnostics, Code.OBJECT_UNKNOWN)
    assert "is_particle" in str(told.hint)


# Labels and colours


def completed(*given: dict[str, Any]) -> list[dict[str, Any]]:
    """Objects as one source has them, with what they lack."""
    entries = tuple(Entry(o["name"], o["name"], o["label"], Giver.SOURCE if o["label"] else Giver.TOOL) for o in given)
    return objects.complete(objects.Offered({o["name"]: o for o in given}), Labelling(entries).numbers())


def test_labels_that_are_missing_are_the_lowest_free_ones_by_name() -> None:
    given = [obj("zeta", None), obj("alpha", None), obj("beta", 2), obj("gamma", None), obj("delta", 4)]
    complete = completed(*given)
    assert {o["name"]: o["label"] for o in complete} == {"alpha": 1, "beta": 2, "delta": 4, "gamma": 3, "zeta": 5}
    assert [o["name"] for o in complete] == [o["name"] for o in given], "the order stays"


def test_a_colour_depends_on_the_name_alone() -> None:
    assert objects.color_of("ribosome") == [167, 57, 205, 255]
    one, other = (completed(*({**obj(n), "color": None} for n in names)) for names in (("a", "b"), ("b", "c", "a")))
    assert {o["name"]: o["color"] for o in one}.items() <= {o["name"]: o["color"] for o in other}.items()
    for entry in other:
        assert PickableObject(**entry).color == tuple(entry["color"])


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.one_of(st.none(), st.integers(1, 6))), st.integers())
@settings(max_examples=60, deadline=None)
def test_labels_do_not_depend_on_the_order_of_objects(labels: dict[str, int | None], seed: int) -> None:
    shuffled = random.Random(seed).sample(sorted(labels), len(labels))
    one = completed(*(obj(n, labels[n]) for n in labels))
    other = completed(*(obj(n, labels[n]) for n in shuffled))
    found = {o["name"]: o["label"] for o in one}
    assert found == {o["name"]: o["label"] for o in other}
    assert all(found[n] == label for n, label in labels.items() if label is not None)
    fresh = [found[n] for n, label in labels.items() if label is None]
    assert len(set(fresh)) == len(fresh)
    assert not set(fresh) & set(labels.values())


def test_one_label_for_two_objects_is_pointed_out(tmp_path: Path) -> None:
    found = plan(
        recipe(tmp_path, TWO_LAYERS), inventory(objects=[obj("ribosome", 1)]), inventory(objects=[obj("vlp", 1)])
    )
    (told,) = with_code(found.diagnostics, Code.OBJECT_DRIFT)
    assert told.severity is Severity.WARNING
    assert told.message == "objects 'ribosome' and 'vlp' have the label 1"


@pytest.mark.parametrize("take", ["none", "[ribosome]"])
def test_a_filter_of_density_maps_leaves_the_objects_alone(tmp_path: Path, take: str) -> None:
    source = inventory(objects=[obj("ribosome", 1), obj("vlp", 2)])
    source = replace(source, tables={**source.tables, "objects": artifacts("objects", ("ribosome",), ("vlp",))})
    found = plan(recipe(tmp_path, f"layers:\n  - {{export: lab, objects: {take}}}\n"), source)
    assert list(by_name(found)) == ["ribosome", "vlp"]
    assert list(found.content.tables["objects"]["name"]) == ([] if take == "none" else ["ribosome"])
