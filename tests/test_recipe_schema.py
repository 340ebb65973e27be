"""The JSON Schema for editors says what ``check`` says, as far as a schema can."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bad_recipes_pages import Case, cases
from jsonschema import Draft7Validator, FormatChecker

from croissant_recipes import check
from croissant_recipes.codes import Code
from croissant_recipes.language import yaml_nodes
from croissant_recipes.language.rai import RAI_FIELDS
from croissant_recipes.language.recipe import OneOrMore, OneOrMoreDates, Rai, Text, json_schema

REPOSITORY = Path(__file__).resolve().parent.parent
SCHEMA = json_schema()
VALIDATOR = Draft7Validator(SCHEMA, format_checker=FormatChecker())

PARSED = [case for case in cases() if "[CR102]" not in case.output and "[CR103]" not in case.output]
"""An editor says itself what is no YAML."""

SHAPE = {
    Code.UNKNOWN_KEY,
    Code.MISSING_KEY,
    Code.TYPE,
    Code.VALUE,
    Code.FORMAT_VERSION,
    Code.EXPECTATION_SYNTAX,
    Code.BASE,
}
"""Codes of what a schema can see."""

BEYOND_A_SCHEMA = {
    "a format version with a decimal point": "1.0, which is 1 in JSON",
    "names that copick does not take": "the characters of a name",
    "names of users and sessions that copick does not take": "the characters of a name",
    "ratios that do not add up": "a sum",
    "a group that is no regular expression": "the beginning of a pattern, which may be a parameter",
    "a group that repeats nothing": "the syntax of a pattern",
    "a licence that SPDX does not list": "a list that grows",
    "passwords in what everybody reads": "the parts of an address",
    "an expected voxel size that is none": "keys",
    "a number given to a text by a parameter": "what a parameter holds",
    "a text given to a number by a parameter": "what a parameter holds",
    "a value that is set to nothing": "what a parameter holds",
}
SEEN_BY_THE_SCHEMA_TOO = {
    "metadata wanted of types that have none": "`check` has a code of its own for it",
    "an output and outputs": "`check` has a code of its own for it",
    "no output at all in outputs": "`check` has a code of its own for it",
}


def raw(text: str) -> Any:
    document, _ = yaml_nodes.parse(text, "recipe.yaml")
    return document.value if document else None


def errors(value: object) -> list[str]:
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in VALIDATOR.iter_errors(value)]


def recipe(**changes: object) -> dict[str, object]:
    """A good recipe with some keys replaced."""
    dataset = {"name": "A", "description": "B", "version": "1.0.0", "license": "MIT", "date_published": "2026-01-15"}
    return {
        "recipe": 1,
        "name": "example",
        "dataset": dataset,
        "output": {"project_root": "out"},
        "sources": {"lab": {"copick": {"config": "lab.json"}}},
        "layers": [{"export": "lab"}],
        **changes,
    }


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_the_documented_recipe_is_valid(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/recipe-format.md").read_text(encoding="utf-8")
    whole = next(block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("recipe: 1"))
    assert errors(raw(whole)) == []
    (tmp_path / "recipe.yaml").write_text(whole, encoding="utf-8")
    (tmp_path / "splits.csv").write_text("split,run\nval,1004\n", encoding="utf-8")
    (checked,) = check(tmp_path / "recipe.yaml")
    assert [str(d) for d in checked.diagnostics if d.is_error] == []


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").rglob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_recipes_are_valid(path: Path) -> None:
    assert errors(raw(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("case", PARSED, ids=lambda c: f"{c.page}: {c.title}")
def test_it_refuses_what_check_refuses(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = case.check(tmp_path)
    refused = any(d.is_error and d.code in SHAPE and d.span and d.span.file == "recipe.yaml" for d in found)
    expected = (refused and case.title not in BEYOND_A_SCHEMA) or case.title in SEEN_BY_THE_SCHEMA_TOO
    assert bool(errors(raw(case.recipe))) == expected, errors(raw(case.recipe))


def test_the_lists_of_exceptions_hold_nothing_else() -> None:
    assert BEYOND_A_SCHEMA.keys() | SEEN_BY_THE_SCHEMA_TOO.keys() <= {case.title for case in PARSED}


@pytest.mark.parametrize(
    "changes",
    [
        {
            "objects": {
                "ribosome": {"label": "${n}", "radius": "${n}", "is_particle": "${n}", "color": [0, 0, "${n}", 1]}
            }
        },
        {"name": "${n}-curated"},
        {"output": {"project_root": "${n}", "base_url": "${n}/x", "parquet": "${n}"}},
        {"layers": [{"export": "lab", "others": "${n}", "allow_empty": "${n}", "picks": "${n}", "runs": ["a${n}"]}]},
        {"expect": {"runs": "${n}", "picks": {"ribosome": ">= ${n}"}}},
        {"sources": {"portal": {"portal": {"datasets": ["${n}"]}}}},
        {"splits": {"random": {"ratios": {"train": "${n}"}, "seed": "${n}"}}},
    ],
)
def test_a_parameter_can_stand_for_any_value(changes: dict[str, object]) -> None:
    assert errors(recipe(**changes)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "${n}"},
        {"objects": {"ribosome": {"label": "number ${n}"}}},
        {"layers": [{"export": "lab", "allow_empty": "yes"}]},
        {"layers": "${n}"},
        {"name": "$n"},
    ],
)
def test_a_parameter_is_no_excuse(changes: dict[str, object]) -> None:
    assert errors(recipe(**changes))


def test_a_key_without_a_value_is_refused() -> None:
    assert errors(recipe()) == []
    assert errors(recipe(params=None))
    assert errors(recipe(dataset={**recipe()["dataset"], "url": None}))  # type: ignore[dict-item]


def test_free_form_values_are_free() -> None:
    assert errors(recipe(output={"project_root": "s3://b/p", "fs_args": {"anon": None, "x": {"y": [1]}}})) == []


def test_every_key_is_described() -> None:
    models = {"Recipe": SCHEMA, **{name: m for name, m in SCHEMA["$defs"].items() if name != "Rai"}}
    bare = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, value in model.get("properties", {}).items()
        if not {"description", "$ref"} & value.keys()
    ]
    assert bare == []


def test_every_key_of_the_rai_vocabulary_has_its_form() -> None:
    forms = {"text": Text, "texts": OneOrMore, "dates": OneOrMoreDates}
    described = {key: Draft7Validator(SCHEMA["$defs"]["Rai"]["properties"][key]).schema for key in Rai.model_fields}
    assert described.keys() == RAI_FIELDS.keys()
    assert set(forms) == set(RAI_FIELDS.values())
    for key, form in RAI_FIELDS.items():
        assert ("oneOf" in described[key]) == (form != "text"), key
        assert ("date" in json.dumps(described[key])) == (form == "dates"), key
