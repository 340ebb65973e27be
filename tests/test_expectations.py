"""Counts that must hold, and what is said where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiling import HEADER, artifacts, inventory, plan, recipe, with_code

from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import exit_code
from croissant_recipes.language import counts
from croissant_recipes.sources.base import Inventory

LAYER = "layers:\n  - export: lab\n"


def project() -> Inventory:
    return inventory(
        runs=artifacts("runs", ("TS_1",), ("TS_2",), ("TS_3",)),
        tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp"), ("TS_2", 10.0, "wbp"), ("TS_2", 13.48, "denoised")),
        features=artifacts("features", ("TS_1", 10.0, "wbp", "sobel")),
        picks=artifacts(
            "picks",
            ("TS_1", "alice", "1", "ribosome"),
            ("TS_2", "alice", "1", "ribosome"),
            ("TS_2", "alice", "1", "vlp"),
        ),
        meshes=artifacts("meshes", ("TS_1", "alice", "1", "membrane")),
        segmentations=artifacts(
            "segmentations",
            ("TS_1", 10.0, "alice", "1", "membrane", "binary"),
            ("TS_1", 10.0, "alice", "1", "membrane", "instance"),
            ("TS_1", 10.0, "alice", "1", "cell", "multilabel"),
        ),
        objects=(),
    )


def unmet(folder: Path, expect: str) -> list[str]:
    body = LAYER + "splits: {assign: {train: [TS_1, TS_2]}}\n" + f"expect: {{{expect}}}\n"
    found = plan(recipe(folder, body), project())
    problems = with_code(found.diagnostics, Code.EXPECTATION)
    assert all(d.is_error for d in problems)
    return [d.message for d in problems]


@pytest.mark.parametrize(
    "expect",
    [
        "runs: 3",
        "runs: '>= 3'",
        "runs: '1..3'",
        "runs: '3..3'",
        "runs: '!= 4'",
        "tomograms: {wbp: 2, denoised: '> 0', raw: 0}",
        "features: {sobel: 1}",
        "picks: 3",
        "picks: {ribosome: '1..2', vlp: '< 2'}",
        "meshes: {membrane: '==1'}",
        "segmentations: 3",
        "segmentations: {membrane: 2, cell: 1}",
        "voxel_spacings: 3",
        "voxel_spacings: {'10': 2, '13.480': 1, '20': 0}",
        "objects: 0",
        "splits: 2",
        "splits: {train: '>= 2', val: 0}",
    ],
)
def test_what_holds_is_not_mentioned(tmp_path: Path, expect: str) -> None:
    assert unmet(tmp_path, expect) == []


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("runs: 4", "runs: expected 4, and there are 3"),
        ("runs: '> 3'", "runs: expected > 3, and there are 3"),
        ("runs: '4..9'", "runs: expected 4..9, and there are 3"),
        ("picks: {ribosome: '> 2'}", "picks 'ribosome': expected > 2, and there are 2"),
        ("tomograms: {raw: '> 0'}", "tomograms 'raw': expected > 0, and there are 0"),
        ("voxel_spacings: {'13.48': 2}", "voxel_spacings '13.48': expected 2, and there is 1"),
        ("segmentations: {membrane: 1}", "segmentations 'membrane': expected 1, and there are 2"),
        ("objects: '>= 1'", "objects: expected >= 1, and there are 0"),
        ("splits: {val: '1..2'}", "splits 'val': expected 1..2, and there are 0"),
        ("splits: 3", "splits: expected 3, and there are 2"),
    ],
)
def test_what_does_not_hold_is_an_error(tmp_path: Path, expect: str, message: str) -> None:
    assert unmet(tmp_path, expect) == [message]


def test_all_that_do_not_hold_are_told_each_at_its_place(tmp_path: Path) -> None:
    body = LAYER + "expect:\n  runs: 4\n  picks:\n    ribosome: 2\n    ribosme: '> 0'\n"
    found = plan(recipe(tmp_path, body), project())
    problems = with_code(found.diagnostics, Code.EXPECTATION)
    line = HEADER.count("\n") + 4
    assert [(d.span.line, d.span.column) for d in problems if d.span] == [(line, 9), (line + 3, 14)]
    assert problems[1].hint == "did you mean 'ribosome'?"
    assert exit_code(found.diagnostics) is ExitCode.BLOCKED


# Levels, splits and single runs


SPLITS = "splits: {assign: {train: [TS_1, TS_2], test: [TS_3]}}\n"


def told(folder: Path, expect: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Severity, message and notes."""
    found = plan(recipe(folder, LAYER + SPLITS + f"expect: {{{expect}}}\n"), project())
    return [(d.severity.value, d.message, d.notes) for d in with_code(found.diagnostics, Code.EXPECTATION)]


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("runs: {warn: 3}", []),
        ("runs: {warn: 4}", [("warning", "runs: expected 4, and there are 3", ())]),
        ("runs: {fail: 4}", [("error", "runs: expected 4, and there are 3", ())]),
        ("picks: {warn: '> 9', fail: '> 2'}", [("warning", "picks: expected > 9, and there are 3", ())]),
        # What fails need not be warned of.
        ("picks: {vlp: {warn: '> 9', fail: '> 2'}}", [("error", "picks 'vlp': expected > 2, and there is 1", ())]),
        # A name that is called like a level has a mapping below it.
        ("picks: {fail: {warn: 2}}", [("warning", "picks 'fail': expected 2, and there are 0", ())]),
        ("picks: {fail: 1, vlp: 1}", [("error", "picks 'fail': expected 1, and there are 0", ())]),
        ("splits: {warn: 2}", [("warning", "splits: expected 2, and there are 3", ())]),
        ("splits: {train: {warn: 3}}", [("warning", "splits 'train': expected 3, and there are 2", ())]),
        ("splits: {train: {runs: 2, picks: 3, tomograms: {wbp: 2}, voxel_spacings: {'10': 2}}, test: {picks: 0}}", []),
        (
            "splits: {train: {picks: {vlp: '> 1'}}, test: {runs: 2}}",
            [
                ("error", "picks 'vlp' of split 'train': expected > 1, and there is 1", ()),
                ("error", "runs of split 'test': expected 2, and there is 1", ()),
            ],
        ),
        ("each_run: {tomograms: 0..2, meshes: '<= 1'}", []),
        (
            "each_run: {tomograms: 1}",
            [
                (
                    "error",
                    "tomograms of each run: expected 1, and of 3 runs 2 have another number",
                    ("TS_2: 2", "TS_3: 0"),
                )
            ],
        ),
        (
            "each_run: {voxel_spacings: {'13.480': {warn: 0}}}",
            [
                (
                    "warning",
                    "voxel_spacings '13.480' of each run: expected 0, and of 3 runs 1 has another number",
                    ("TS_2: 1",),
                )
            ],
        ),
    ],
)
def test_levels_splits_and_single_runs(
    tmp_path: Path, expect: str, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert told(tmp_path, expect) == expected


def test_of_many_runs_some_are_shown(tmp_path: Path) -> None:
    many = inventory(runs=artifacts("runs", *([f"TS_{i:02}"] for i in range(30))))
    found = plan(recipe(tmp_path, LAYER + "expect: {each_run: {tomograms: 1}}\n"), many)
    (problem,) = with_code(found.diagnostics, Code.EXPECTATION)
    assert str(problem).splitlines()[1:] == [
        *(f"  TS_{i:02}: 0" for i in range(10)),
        "  and 20 more, all of which --format json shows",
    ]
    assert problem.to_json()["notes"] == [f"TS_{i:02}: 0" for i in range(30)]


def test_levels_stand_where_they_are_told(tmp_path: Path) -> None:
    body = LAYER + "expect:\n  picks:\n    ribosome:\n      fail: 1\n      warn: 9\n"
    (problem,) = with_code(plan(recipe(tmp_path, body), project()).diagnostics, Code.EXPECTATION)
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (HEADER.count("\n") + 6, 13)


def test_counts_are_of_output_names(tmp_path: Path) -> None:
    body = "layers:\n  - {export: lab, rename: {objects: {vlp: capsid}}}\nexpect: {picks: {capsid: 1, vlp: 0}}\n"
    assert with_code(plan(recipe(tmp_path, body), project()).diagnostics, Code.EXPECTATION) == []


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [
        (5, [5], [4, 6]),
        ("5", [5], [4, 6]),
        ("== 5", [5], [4]),
        (">= 5", [5, 6], [4]),
        ("<=5", [0, 5], [6]),
        ("> 5", [6], [5]),
        ("< 5", [4], [5]),
        ("!= 5", [4, 6], [5]),
        ("1..2", [1, 2], [0, 3]),
        (" 0 .. 0 ", [0], [1]),
    ],
)
def test_bounds(text: int | str, holds: list[int], fails: list[int]) -> None:
    bound = counts.parse(text)
    assert all(bound.holds(n) for n in holds)
    assert not any(bound.holds(n) for n in fails)


@pytest.mark.parametrize(
    ("text", "there", "holds", "fails"),
    [
        (">= -5%", 10, [10, 11], [9, 0]),
        (">= -5%", 20, [19, 20], [18]),
        ("<= +2.5 %", 100, [102, 0], [103]),
        ("== +0", 7, [7], [6, 8]),
        ("!= +0", 7, [6, 8], [7]),
        (">= -5", 10, [5], [4]),
        ("> -100%", 3, [1], [0]),
        ("-10%..+20", 50, [45, 70], [44, 71]),
        ("3..+0%", 5, [3, 5], [2, 6]),
        # Beside nothing there is nothing to compare with.
        (">= -5%", 0, [0, 5], []),
        ("== +0", 0, [3], []),
        ("3..+0", 0, [3, 99], [2]),
    ],
)
def test_bounds_beside_what_is_there(text: str, there: int, holds: list[int], fails: list[int]) -> None:
    bound = counts.parse(text)
    assert bound.relative
    assert all(bound.holds(n, there) for n in holds)
    assert not any(bound.holds(n, there) for n in fails)


@pytest.mark.parametrize("text", ["-5%", "+5", "+0", "5%", ">= 5%", ">= -101%", "< -100%", "+3..+2", "1.5..2"])
def test_what_is_no_bound_beside_what_is_there(text: str) -> None:
    with pytest.raises(ValueError, match=r"no count|is empty|less than nothing|how to compare"):
        counts.parse(text)


@pytest.mark.parametrize("text", ["many", "2..1", "< 0", "", "1.5", ">> 5", "1...2"])
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match=r"no count|is empty|below 0"):
        counts.parse(text)
