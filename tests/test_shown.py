"""What is printed controls no terminal and fits on a screen, whatever names, paths and texts hold."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic, Span
from croissant_recipes.shown import printable, printable_json, shown

EVIL = "\x1b[31m\x9b2J\u202e\u2028\r\n\x07\x00\u200b\udc9b"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def frame(**more: str) -> str:
    lines = {
        "recipe": "1",
        "name": "a",
        "dataset": "{name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15,"
        " url: https://example.org, creators: [{name: C}]}",
        "output": "{project_root: out}",
        "sources": "{lab: {copick: {config: lab.json}}}",
        "layers": "[{export: lab}]",
    } | more
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.text(max_size=30))
def test_a_line_stays_one_line_and_escapes_what_is_not_printable(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    if text.isprintable():
        assert line == text
    document = json.dumps([text], ensure_ascii=False)
    assert json.loads(printable_json(document)) == [text]
    assert printable_json(document).isprintable()


def test_a_finding_controls_no_terminal() -> None:
    found = Diagnostic(Code.VALUE, EVIL, hint=EVIL, notes=(EVIL,), span=Span(EVIL, 1, 1))
    assert all(line.isprintable() for line in str(found).split("\n"))
    assert len(str(found).split("\n")) == 3
    assert found.to_json()["message"] == EVIL


def test_a_long_value_is_cut_in_the_middle_and_what_is_said_of_it_stays() -> None:
    told = shown(f"'{'a' * 5000}end': is no name; did you mean '{'b' * 3000}'?")
    assert told.startswith("'aaaa")
    assert "(5,005 characters)" in told
    assert "end': is no name; did you mean 'bbb" in told
    assert len(told) < 600
    assert len(shown("word " * 100_000)) <= 1600
    assert len(shown("x" * 100_000)) <= 400


def test_what_is_printed_of_a_hostile_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    escaped = "\\x1b[31m\\x9b2J\\u202e\\u2028\\r\\n\\x07" + "y" * 10_000
    recipe = frame(layers=f'[{{export: "{escaped}"}}]', name=f'"{escaped}"') + f'"{escaped[:500]}": 1\n'
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    result = run("check", "recipe.yaml", "--set", f"{EVIL[:-1]}=1")
    assert result.exit_code == ExitCode.INVALID
    assert all(line.isprintable() and len(line) < 1920 for line in result.output.split("\n"))
    in_json = run("check", "recipe.yaml", "--format", "json")
    assert all(line.isprintable() for line in in_json.output.split("\n"))
    told = [d["message"] for d in json.loads(in_json.stdout)["recipes"][0]["diagnostics"]]
    assert any("y" * 10_000 in message for message in told)


def test_what_is_typed_controls_no_terminal() -> None:
    for words in (("check", "x.yaml", "--set", EVIL[:-3]), ("plan", f"--{EVIL[:4]}"), ("check", EVIL[:-3] + "x")):
        result = run(*words)
        assert result.exit_code == ExitCode.INVALID
        assert all(line.isprintable() for line in result.output.split("\n")), result.output


def test_many_errors_take_seconds_and_are_told_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = "\n" + "".join(f"  o{i}: {{label: -1}}\n" for i in range(3000))
    warned = "{name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15}"
    text = frame(dataset=warned, objects=objects, layers="[{export: lab, picks: ['${p}']}]", params="{p: x}")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    start = time.process_time()
    result = run("check", "recipe.yaml")
    assert time.process_time() - start < 10
    assert result.stdout == "recipe.yaml: 3,000 errors, 2 warnings\n"
    assert result.stderr.count("error[CR107]") == 100
    assert result.stderr.endswith("and 2,902 more, all of which --format json shows\n")
    found = json.loads(run("check", "recipe.yaml", "--format", "json").stdout)["recipes"][0]["diagnostics"]
    assert len(found) == 3002
