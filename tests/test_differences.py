"""What is shown of a value before and after."""

from __future__ import annotations

import pytest

from croissant_recipes.differences import change, differing

SENTENCE = "Ribosome picks over denoised tomograms of a project that somebody described at some length."


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("val", "test", "val -> test"),
        (None, "", "nothing -> nothing"),
        (10.0, 13.48, "10.0 -> 13.48"),
        (True, False, "true -> false"),
        (["a"], ["a", "b"], '["a"] -> ["a", "b"]'),
        (
            SENTENCE,
            SENTENCE.replace("denoised", "raw"),
            "… picks over denoised tomograms o… -> … picks over raw tomograms o…",
        ),
        (SENTENCE, SENTENCE + " Now.", "…some length. -> …some length. Now."),
        (SENTENCE, SENTENCE[9:], "Ribosome picks over d… -> picks over d…"),
        ("a\x1b[31m\nb", "c", "a\\u001b[31m\\nb -> c"),
        ("x" * 100, "x" * 101, f"…{'x' * 12} -> …{'x' * 13}"),
    ],
)
def test_what_differs_is_shown(old: object, new: object, shown: str) -> None:
    assert change(old, new) == shown


def test_no_change_is_longer_than_a_line_or_two_and_the_two_never_look_alike() -> None:
    old, new = "same " * 40 + "old" * 400, "same " * 40 + "new" * 400
    before, after = change(old, new).split(" -> ")
    assert before != after
    assert max(len(before), len(after)) <= 62


def test_values_that_differ() -> None:
    assert differing({"a": 1, "b": 2, "gone": 3}, {"a": 1, "b": 3, "new": None}) == ["b", "gone"]
