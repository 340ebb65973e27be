"""YAML to values, and where in the file each of them stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from bad_recipes_pages import under
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croissant_recipes.diagnostics import Span
from croissant_recipes.language.yaml_nodes import Document, Path, parse, plain_value


def document(text: str) -> Document:
    parsed, found = parse(text, "recipe.yaml")
    assert not found
    assert parsed is not None
    return parsed


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("True", "True"),
        ("2026-01-15", "2026-01-15"),
        ("0042", "0042"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        (".5", ".5"),
        ("+5", "+5"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("5", 5),
        ("-5", -5),
        ("13.480", 13.48),
        ("1e5", 100000.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_plain_scalars_follow_json(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)
    assert document(f"key: {text}\n").value == {"key": value}


@pytest.mark.parametrize("text", ["5", "true", "null", "1.5"])
def test_quoted_scalars_are_text(text: str) -> None:
    assert document(f"- '{text}'\n- \"{text}\"\n- |-\n  {text}\n- >-\n  {text}\n").value == [text] * 4


def test_keys_are_text() -> None:
    assert document("{1: a, true: b, 2026-01-15: c, null: d}").value == {
        "1": "a",
        "true": "b",
        "2026-01-15": "c",
        "null": "d",
    }


def test_an_alias_stands_for_the_whole_value() -> None:
    parsed = document("one: &a [x, y]\ntwo: *a\n")
    assert parsed.value == {"one": ["x", "y"], "two": ["x", "y"]}
    assert parsed.value_span("two", 1) == parsed.value_span("one", 1)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.lists)
)
def test_json_means_in_a_recipe_what_it_means_in_json(value: object) -> None:
    assert document(json.dumps({"key": value})).value == {"key": value}


def test_a_document_of_aliases_that_would_fill_the_memory_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    parsed, found = parse("\n".join(lines), "recipe.yaml")
    assert parsed is None
    assert [d.message for d in found] == ["the file holds more than 100,000 values"]


def test_nesting_without_end_is_refused() -> None:
    for text in ("[" * 100_000, "{a: " * 3_000, "- " * 3_000, "a: " + "[" * 70 + "]" * 70):
        parsed, found = parse(text, "recipe.yaml")
        assert parsed is None
        assert len(found) == 1


# Positions


@dataclass(frozen=True)
class Written:
    """A document that was written by hand, so to say: every key and scalar is known as it stands in the file."""

    text: str
    value: object
    scalars: dict[Path, str]
    keys: dict[Path, str]


WORDS = st.text("abz09-_.@*/Åμ→𝔸", min_size=1, max_size=6).map(lambda w: f"w{w}")
TEXTS = st.lists(st.text("ab '\"\\:#{}[],&*!|>%@`~\t\u00e5\u2192\U0001d538\x07", max_size=8), max_size=3).map(" ".join)


@st.composite
def scalars(draw: st.DrawFn) -> tuple[str, object]:
    """A scalar as written, and its value."""
    style = draw(st.sampled_from(["plain", "number", "single", "double"]))
    if style == "plain":
        word = draw(WORDS)
        return word, word
    if style == "number":
        number = draw(st.integers(-999, 999))
        return str(number), number
    text = draw(TEXTS)
    if style == "single":
        text = text.replace("\x07", "")
        return "'" + text.replace("'", "''") + "'", text
    return '"' + "".join(_escaped(c, draw(st.booleans())) for c in text) + '"', text


def _escaped(char: str, always: bool) -> str:
    if char in '"\\':
        return "\\" + char
    if char in "\t\x07" or (always and char not in " '"):
        code = ord(char)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return char


TREES = st.recursive(
    scalars(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(WORDS.map(lambda w: f"k{w}"), inner, min_size=1, max_size=3)
    ),
    max_leaves=10,
)


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.scalars: dict[Path, str] = {}
        self.keys: dict[Path, str] = {}

    def block(self, tree: object, path: Path, indent: str) -> Iterator[str]:
        """The lines of a value, without the indentation of the first."""
        if not isinstance(tree, dict | list) or self.draw(st.integers(0, 3)) == 0:
            yield self.flow(tree, path) + self.draw(st.sampled_from(["", " # a comment: 'x'", "   "]))
            return
        deeper = indent + " " * self.draw(st.integers(1, 4))
        entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for n, (key, child) in enumerate(entries):
            here = (*path, key)
            if isinstance(tree, list):
                head, after = "- ", indent + "  "
            else:
                head, after = self.key(here) + ": ", deeper
            lines = list(self.block(child, here, after))
            start = "" if n == 0 else indent
            if isinstance(tree, dict) and isinstance(child, dict | list) and len(lines) + (lines[0][0] not in "[{") > 1:
                yield start + head.rstrip()
                yield after + lines[0]
            else:
                yield start + head + lines[0]
            yield from lines[1:]

    def key(self, path: Path) -> str:
        quote = self.draw(st.sampled_from(["", "'", '"']))
        self.keys[path] = f"{quote}{path[-1]}{quote}"
        return self.keys[path]

    def flow(self, tree: object, path: Path) -> str:
        if isinstance(tree, list):
            return "[" + ", ".join(self.flow(child, (*path, i)) for i, child in enumerate(tree)) + "]"
        if isinstance(tree, dict):
            entries = [(self.key((*path, key)), self.flow(child, (*path, key))) for key, child in tree.items()]
            return "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"
        assert isinstance(tree, tuple)
        self.scalars[path] = tree[0]
        return str(tree[0])


@st.composite
def written(draw: st.DrawFn) -> Written:
    tree = draw(TREES.filter(lambda t: isinstance(t, dict | list)))
    writer = _Writer(draw)
    head = draw(st.sampled_from(["", "# a comment\n\n", "---\n"]))
    text = head + "\n".join(writer.block(tree, (), "")) + draw(st.sampled_from(["", "\n", "\n\n# the end\n"]))
    return Written(text, _value(tree), writer.scalars, writer.keys)


def _value(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _value(child) for key, child in tree.items()}
    return [_value(child) for child in tree] if isinstance(tree, list) else tree[1]  # type: ignore[index]


@settings(max_examples=200, deadline=None)
@given(written())
def test_every_value_and_key_is_where_the_document_says(file: Written) -> None:
    parsed = document(file.text)
    assert parsed.value == file.value
    for path, source in file.scalars.items():
        assert under(parsed.value_span(*path), file.text) == source
    for path, source in file.keys.items():
        assert under(parsed.key_span(*path), file.text) == source


@settings(max_examples=200, deadline=None)
@given(written())
def test_every_character_of_a_text_is_where_the_document_says(file: Written) -> None:
    parsed = document(file.text)
    for path, source in file.scalars.items():
        text = parsed.place(path).literal
        assert text is not None
        pieces = [under(parsed.part_span(path, i, i + 1), file.text) for i in range(len(text))]
        quote = source[0] if source[0] in "'\"" else ""
        assert "".join(pieces) == source.strip(quote) or f"{quote}{''.join(pieces)}{quote}" == source
        for piece, char in zip(pieces, text, strict=True):
            assert piece == char or piece == char * 2 or piece.startswith("\\")


def test_a_part_at_the_end_of_a_text_points_behind_it() -> None:
    parsed = document("key: 'ab'\n")
    assert parsed.part_span(("key",), 2, 2) == Span("recipe.yaml", 1, 9)
    assert under(parsed.part_span(("key",), 1, 1), "key: 'ab'\n") == "b"


def test_a_block_ends_with_its_last_value() -> None:
    text = "list:\n  - a\n  - b: c\n\n# a comment\nnext: 1\n"
    span = document(text).value_span("list")
    assert (span.line, span.column, span.end_line, span.end_column) == (2, 3, 3, 9)


def test_a_text_that_is_folded_has_the_place_of_the_whole() -> None:
    parsed = document("key: >-\n  one\n  two\n")
    assert parsed.value == {"key": "one two"}
    assert parsed.part_span(("key",), 4, 7) == parsed.value_span("key")


def test_an_anchor_is_no_part_of_the_text() -> None:
    text = "one: &name value\ntwo: &other 'it''s'\n"
    parsed = document(text)
    assert under(parsed.value_span("one"), text) == "value"
    assert under(parsed.part_span(("two",), 2, 4), text) == "''s"


def test_a_path_that_is_not_there_has_the_place_of_what_is_around_it() -> None:
    parsed = document("a: {b: [c]}\n")
    assert parsed.place(("a", "<list>", "b", 7, "x")) == parsed.place(("a", "b"))
    assert parsed.existing(("<mapping>", "a", "b", 0)) == ("a", "b", 0)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("a: -[]{}'\"\\\n\t#&*!|>%@,?", max_size=60))
@example('a: "\\')
@example("? [a]\n: b")
@example("&a *a")
@example("\x85- \u2028:")
@example("<<: *x")
@example("! a")
def test_no_text_is_too_strange(text: str) -> None:
    parsed, found = parse(text, "recipe.yaml")
    assert parsed is not None or found
    last = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    for diagnostic in found:
        assert diagnostic.span is not None
        assert 1 <= diagnostic.span.line <= last
