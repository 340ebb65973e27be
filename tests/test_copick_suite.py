"""The list of copick's tests and of what holds the same here names tests and differences that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).resolve().parent
SHORT = {"reader": "test_copick_suite_reader.py", "recipes": "test_copick_suite_recipes.py"}


def _equals() -> Iterator[tuple[str, object]]:
    for module, named in yaml.safe_load((TESTS / "data/copick_suite.yaml").read_text(encoding="utf-8")).items():
        for test, equals in named.items():
            assert equals, f"{module}::{test}"
            for each in equals:
                yield f"{module}::{test}", each


EQUALS = list(_equals())


def test_there_is_one_for_each_of_copicks() -> None:
    assert len({test for test, _ in EQUALS if test.startswith("test_mlcroissant::")}) == 55


@pytest.mark.parametrize("file", sorted({str(e).split("::")[0] for _, e in EQUALS if isinstance(e, str)}))
def test_the_tests_exist(file: str) -> None:
    text = (TESTS / SHORT.get(file, file)).read_text(encoding="utf-8")
    there = set(re.findall(r"^def (test_\w+)\(", text, re.MULTILINE))
    named = {str(e).split("::")[1] for _, e in EQUALS if str(e).startswith(f"{file}::")}
    assert named <= there
    if file in SHORT:
        assert there == named, "each holds something of copick's"


def test_the_differences_are_argued() -> None:
    page = (TESTS.parent / "docs/from-copick.md").read_text(encoding="utf-8")
    section = page.split("## What comes out differently")[1]
    headed = [" ".join(words.split()) for words in re.findall(r"^\*\*(.+?)\*\*", section, re.MULTILINE | re.DOTALL)]
    named = {str(e["difference"]) for _, e in EQUALS if isinstance(e, dict)}
    assert [n for n in sorted(named) if not any(h.startswith(n) for h in headed)] == []
