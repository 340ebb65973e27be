"""Regular expressions of recipes: the meaning that they have for ``re``, within bounds."""

from __future__ import annotations

import re
import time
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import DiagnosticError, Span
from croissant_recipes.language import matching, patterns
from croissant_recipes.language.selectors import Pattern, SelectorError, parse

CHARACTERS = "ab1_A- \né\u212a\u017f\u0660"  # with the sign of the Kelvin, a long s and an Arabic digit

ATOMS = st.sampled_from(
    [re.escape(c) for c in CHARACTERS]
    + [".", r"\w", r"\W", r"\d", r"\D", r"\s", "[a-z0-9]", "[^a]", "[A-Z_]", "^", "$", r"\Z", r"\b", r"\B", "(?:a|ab)"]
)
BEYOND_RE2 = st.sampled_from([r"(a|b)\1", "(?=a)", "(?!b)", "(?<=a)", "(?<!a)"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}"])
FLAGS = st.sampled_from(["", "", "(?i)", "(?m)", "(?s)", "(?a)", "(?x)"])


def built(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    part = st.tuples(inner, REPEATS).map("".join)
    sequence = st.lists(part, min_size=1, max_size=3).map("".join)
    return st.tuples(st.sampled_from(["(", "(?:", "(?i:"]), sequence | st.tuples(sequence, sequence).map("|".join)).map(
        lambda pair: f"{pair[0]}{pair[1]})"
    )


EXPRESSIONS = st.tuples(
    FLAGS, st.lists(st.recursive(ATOMS | BEYOND_RE2, built, max_leaves=5), min_size=1, max_size=4).map("".join)
).map("".join)
TEXTS = st.lists(st.text(CHARACTERS, max_size=6), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(EXPRESSIONS, TEXTS)
@example(r"(.*)_[0-9]+", ["TS_1", "b", ""])
@example("(a)|b", ["a", "b", "c"])
@example("(a|)b", ["b"])
@example(r"[^\W\d_]+$", ["é", "a\n", "1"])
@example("(?i)[a-z]+", ["\u212a\u017f", "É"])
def test_they_mean_what_they_mean_to_python(expression: str, texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            python = re.compile(expression)
        except re.error:
            with pytest.raises(re.error):
                patterns.compiled(expression)
            return
    found = [python.match(text) for text in texts]
    ours = patterns.compiled(expression)
    assert ours.matches(texts).tolist() == [m is not None for m in found]
    assert ours.groups(texts) == [
        m and (m.group(1) if python.groups and m.group(1) is not None else m.group()) for m in found
    ]


CATASTROPHES = ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(?:a*)*b", "(.*a){20}$", "([a-z]+)*$", "a?" * 40 + "a" * 40 + "$"]


@pytest.mark.parametrize("expression", CATASTROPHES)
def test_no_expression_takes_long_that_re2_can_express(expression: str) -> None:
    names = ["a" * 60 + "!"] * 1000
    start = time.perf_counter()
    assert not any(matching.match_texts(Pattern(expression, True, 0, 0), names))
    assert matching.groups(expression, names, None) == [None] * len(names)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("expression", [r"(?!x)(a|aa)+$", r"(a|aa)+\1\1\1b$"])
def test_an_expression_that_takes_long_is_given_up_where_it_stands(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)
    span = Span("recipe.yaml", 3, 7)
    for attempt in (
        lambda: matching.match_texts(Pattern(expression, True, 0, 0, span), ["a" * 60 + "!"] * 1000),
        lambda: matching.groups(expression, ["a" * 60 + "!"], span),
    ):
        with pytest.raises(DiagnosticError) as caught:
            attempt()
        (found,) = caught.value.diagnostics
        assert (found.code, found.span) == (Code.PATTERN_TIME, span)
        assert "was given up after 0.05 s" in found.message


def test_look_around_and_back_references_are_there() -> None:
    found = matching.match_texts(Pattern(r"(?!TS_00)TS_(\d)\1", True, 0, 0), ["TS_001", "TS_11", "TS_12"])
    assert found.tolist() == [False, True, False]
    assert found.dtype == np.bool_


@pytest.mark.parametrize(
    "expression", ["(?:" * 20 + "a" + "){9}" * 20, "(" * 2000 + ")" * 2000, "a{4294967294}", "(?:a{1000}){1000}"]
)
def test_what_is_too_large_is_refused(expression: str) -> None:
    start = time.perf_counter()
    with pytest.raises(SelectorError, match="does not compile: too large"):
        parse("runs", f"re:{expression}")
    assert time.perf_counter() - start < 1


def test_globs_take_no_long_time() -> None:
    start = time.perf_counter()
    matching.match_texts(Pattern("*a" * 100 + "b", False, 0, 0), ["a" * 250] * 1000)
    assert time.perf_counter() - start < 5
