"""Parameters: where they are filled in, with what type, and that what is filled in is never read as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from bad_recipes_pages import under
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.language import params, yaml_nodes
from croissant_recipes.language.yaml_nodes import Document

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "[a, b]",
        "{a: b}",
        "a: b",
        "null",
        "true",
        "1e5",
        "0042",
        "${other}",
        "$${x",
        "*a",
        "&a",
        "# no comment",
        "'",
        '"',
    ]
)


def filled(text: str, overrides: Mapping[str, str] | None = None) -> tuple[Document, list[Diagnostic]]:
    document, found = yaml_nodes.parse(text, "recipe.yaml")
    assert document is not None
    assert not found
    return params.substitute(document, overrides or {})


def value(text: str, overrides: Mapping[str, str] | None = None) -> object:
    document, found = filled(text, overrides)
    assert not found
    assert isinstance(document.value, dict)
    return document.value["key"]


@pytest.mark.parametrize(
    ("default", "expected"),
    [("13.480", 13.48), ("5", 5), ("true", True), ("'5'", "5"), ("word", "word"), ("1e5", 1e5), ("''", "")],
)
def test_a_value_that_is_nothing_but_a_parameter_takes_its_type(default: str, expected: object) -> None:
    result = value(f"params: {{p: {default}}}\nkey: ${{p}}\n")
    assert result == expected
    assert type(result) is type(expected)


def test_inside_a_text_the_spelling_counts() -> None:
    assert value("params: {v: 13.480, on: true}\nkey: 'wbp@${v}/${on}'\n") == "wbp@13.480/true"


def test_a_literal_is_written_with_two_dollars() -> None:
    assert value("params: {p: x}\nkey: '$${p} ${p} $$${p} $p {p} $'\n") == "${p} x $${p} $p {p} $"


def test_a_default_may_hold_a_literal() -> None:
    assert value("params: {p: '$${x}'}\nkey: ${p}\n") == "${x}"


def test_parameters_reach_into_lists_and_mappings() -> None:
    assert value("params: {p: x}\nkey: {a: ['${p}', {b: '-${p}-'}], c: 5}\n") == {"a": ["x", {"b": "-x-"}], "c": 5}


@pytest.mark.parametrize(
    ("default", "given", "expected"),
    [
        ("13.48", "10", 10),
        ("13.48", "10.012", 10.012),
        ("5", "2.5", 2.5),
        ("true", "false", False),
        ("word", "5", "5"),
        ("word", "true", "true"),
        ("word", "", ""),
        ("word", "${p}", "${p}"),
    ],
)
def test_an_override_has_the_type_of_the_default(default: str, given: str, expected: object) -> None:
    result = value(f"params: {{p: {default}}}\nkey: ${{p}}\n", {"p": given})
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("default", "given"),
    [("13.48", "small"), ("13.48", "true"), ("13.48", ""), ("13.48", "1e999"), ("true", "1"), ("true", "True")],
)
def test_an_override_of_another_type_is_refused(default: str, given: str) -> None:
    _, found = filled(f"params: {{p: {default}}}\nkey: ${{p}}\n", {"p": given})
    assert [d.code for d in found] == [Code.PARAM_VALUE]


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_a_value_is_never_read_again(text: str) -> None:
    recipe = "params: {p: word}\nkey: ${p}\ninside: 'a${p}b'\nlist: ['${p}', '${p}']\n"
    document, found = filled(recipe, {"p": text})
    assert not found
    assert document.value == {
        "params": {"p": "word"},
        "key": text,
        "inside": f"a{text}b",
        "list": [text, text],
    }


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12) | st.just("[a, b]"))
def test_a_default_is_never_read_again(text: str) -> None:
    text = text.replace("${", "")
    recipe = f"params: {{p: {json.dumps(text)}}}\nkey: ${{p}}\ninside: 'a${{p}}b'\n"
    document, found = filled(recipe)
    assert not found
    assert isinstance(document.value, dict)
    assert (document.value["key"], document.value["inside"]) == (text, f"a{text}b")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["ab", "${p}", "$${", "@", "''", "${quote}"]), min_size=1, max_size=6), TEXTS)
def test_every_character_of_a_filled_text_stands_where_it_came_from(pieces: list[str], text: str) -> None:
    recipe = f"params: {{p: word, quote: x}}\nkey: '{''.join(pieces)}'\nuses: '${{p}}${{quote}}'\n"
    document, found = filled(recipe, {"p": text})
    assert not found
    expected = []
    for piece in pieces:
        if piece == "${p}":
            expected += [piece] * len(text)
        elif piece in ("${quote}", "''"):
            expected.append(piece)
        else:
            expected += [piece] * 2 if piece == "$${" else [*piece]
    length = len(document.place(("key",)).literal or "")
    assert [under(document.part_span(("key",), i, i + 1), recipe) for i in range(length)] == expected


def test_a_recipe_without_parameters_is_left_as_it_is() -> None:
    document, found = filled("key: [a, 5, {b: true}]\n")
    assert (document.value, found) == ({"key": ["a", 5, {"b": True}]}, [])
