"""The portal's fields, told offline, are those that copick has."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from copick.impl.cryoet_data_portal import _PortalAnnotation, _PortalTomogram
from cryoet_data_portal import Run
from pydantic import ValidationError

from croissant_recipes.language import portal_schema
from croissant_recipes.language.portal_schema import WhereError, check_where

MODELS: dict[str, Any] = {
    "picks": _PortalAnnotation,
    "segmentations": _PortalAnnotation,
    "tomograms": _PortalTomogram,
}


@pytest.mark.parametrize("artifact", MODELS)
def test_fields_and_their_types_are_those_of_copicks_models(artifact: str) -> None:
    ours = {name: field.type for name, field in portal_schema.fields_of(artifact).items()}
    theirs = {name: get_args(field.annotation)[0].__name__ for name, field in MODELS[artifact].model_fields.items()}
    assert {name: "str" if kind == "enum" else kind for name, kind in ours.items()} == theirs


def test_run_fields_are_the_clients_scalars() -> None:
    assert set(portal_schema.run_fields()) == set(Run._get_scalar_fields())


def test_graphql_names_are_those_that_the_client_asks_for() -> None:
    for fields, model in (
        (portal_schema.annotation_fields(), "Annotation"),
        (portal_schema.fields_of("tomograms"), "Tomogram"),
    ):
        client = getattr(__import__("cryoet_data_portal"), model)
        asked = dict(zip(client._get_scalar_fields(), client._get_gql_fields(), strict=True))
        assert {name: field.graphql_name for name, field in fields.items()} == {name: asked[name] for name in fields}


def test_enum_values_are_the_schemas() -> None:
    assert portal_schema.annotation_fields()["method_type"].values == ("manual", "automated", "hybrid", "simulated")
    assert portal_schema.fields_of("tomograms")["fiducial_alignment_status"].values == ("FIDUCIAL", "NON_FIDUCIAL")


@pytest.mark.parametrize(
    "value", [True, False, "true", "Yes", 1, 0, "0", 10, "10", " 10 ", 10.0, 0.5, "0.5", "1e1", "x", ""]
)
@pytest.mark.parametrize("key", ["ground_truth_status", "deposition_id", "confidence_recall", "object_name"])
def test_values_are_coerced_as_copick_coerces_them(key: str, value: object) -> None:
    try:
        theirs = getattr(_PortalAnnotation(**{key: value}), key)
    except ValidationError:
        with pytest.raises(WhereError) as caught:
            check_where("picks", key, value)
        assert not caught.value.unknown_field
    else:
        ours = check_where("picks", key, value)
        assert (ours, type(ours)) == (theirs, type(theirs))


def test_unknown_fields_name_the_nearest() -> None:
    with pytest.raises(WhereError) as caught:
        check_where("picks", "methodtype", "hybrid")
    assert caught.value.unknown_field
    assert caught.value.message == "the portal's Annotation has no field 'methodtype' to compare"
    assert caught.value.hint == "did you mean 'method_type'?"


def test_fields_belong_to_their_record() -> None:
    assert check_where("tomograms", "processing", "raw") == "raw"
    with pytest.raises(WhereError, match="no field 'processing'"):
        check_where("picks", "processing", "raw")


def test_dates_cannot_be_compared_as_in_copick() -> None:
    with pytest.raises(WhereError, match="no field 'release_date'"):
        check_where("picks", "release_date", "2024-01-01")


def test_a_value_that_the_enum_does_not_have_names_those_it_has() -> None:
    with pytest.raises(WhereError) as caught:
        check_where("picks", "method_type", "template-matching")
    assert not caught.value.unknown_field
    assert caught.value.message == "method_type cannot be 'template-matching'"
    assert caught.value.hint == "allowed are 'manual', 'automated', 'hybrid' and 'simulated'"


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        ("object_name", 5, "object_name is a text and cannot be 5", "write it in quotes: '5'"),
        (
            "ground_truth_status",
            "maybe",
            "ground_truth_status is true or false and cannot be 'maybe'",
            "write true or false",
        ),
        (
            "deposition_id",
            2**31,
            f"deposition_id is a whole number of at most 32 bits and cannot be {2**31}",
            "write digits, such as 10301",
        ),
        (
            "confidence_recall",
            "nan",
            "confidence_recall is a number and cannot be 'nan'",
            "write a number, such as 0.5",
        ),
    ],
)
def test_unfit_values_say_what_fits(key: str, value: object, message: str, hint: str) -> None:
    with pytest.raises(WhereError) as caught:
        check_where("picks", key, value)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_reading_the_schema_imports_neither_the_client_nor_graphql() -> None:
    code = (
        "import sys; from croissant_recipes.language import portal_schema as p;"
        "p.check_where('tomograms', 'processing', 'raw');"
        "p.annotation_fields(); p.run_fields();"
        "print([m for m in ('cryoet_data_portal', 'gql', 'graphql', 'pandas', 'copick') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
