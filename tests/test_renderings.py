"""What renderings promise whatever is in a report: how much they show, and that nothing in it does anything."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shutil
import struct
import termios
from dataclasses import replace
from fcntl import ioctl
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt
from review_pairs import BASE
from reviewed import manifest, pickable, picks, report_of, tomogram
from rich.cells import cell_len

from croissant_recipes import api
from croissant_recipes.cli import main
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity, Span
from croissant_recipes.render import annotations, markdown, markup, text
from croissant_recipes.render.formats import FORMATS, KINDS
from croissant_recipes.render.view import Line, Section, View, cut, fitted
from croissant_recipes.report import Report, Verdict
from croissant_recipes.review import groups
from croissant_recipes.review.causes import Cause, CauseKind

NASTY = "<img src=x onerror=alert(1)>|`a`**b**](http://example.org)@octocat #1 ##[error]\\|</details>"
RECIPE = Cause(CauseKind.RECIPE, "'ribosome' does not select these", "recipes/some.yaml", 12, 9, 1)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe over a small project; the working directory."""
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "recipe.yaml").rename(tmp_path / "quickstart.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@cache
def changed(runs: int, name: str = "TS") -> Report:
    """Everything that can change, as often as there are runs: rows come, go, change and are renamed; runs move."""
    names = [f"{name}_{n:05}" for n in range(runs)]
    before = {
        "runs": [{"name": n, "split": "train" if i % 2 else "val"} for i, n in enumerate(names)],
        "picks": [picks(n, o, sha256=f"{n}{o}") for n in names for o in ("ribosome", "virus", "gone")],
        "tomograms": [tomogram(n, 10.0) for n in names],
    }
    after = {
        "runs": [{"name": n, "split": "val" if i % 2 else "train"} for i, n in enumerate(names)],
        "picks": [
            *(picks(n, "ribosome", sha256=f"{n} otherwise") for n in names),
            *(picks(n, "capsid", sha256=f"{n}virus") for n in names),
        ],
        "tomograms": [*(tomogram(n, 10.0) for n in names), *(tomogram(n, 20.0) for n in names)],
    }
    objects = [pickable(f"{name} object {n}", n) for n in range(min(runs, 300))]
    return report_of(
        (before, manifest(*objects)),
        (after, manifest(*(replace_radius(o) for o in objects), description=name)),
        causes={("picks", "removed"): RECIPE, ("runs", "changed"): RECIPE},
    )


def replace_radius(entry: dict[str, object]) -> dict[str, object]:
    return {**entry, "radius": 61.0}


def test_kinds_are_those_of_groups() -> None:
    assert KINDS == groups.KINDS


# Text


@pytest.mark.parametrize("runs", [1, 2, 3, 7, 3000])
@pytest.mark.parametrize("width", [80, 200])
def test_a_change_of_any_size_fits_a_terminal(runs: int, width: int) -> None:
    lines = text.planned([changed(runs)], View(width=width)).split("\n")
    assert len(lines) <= 23
    assert max(map(cell_len, lines)) <= width
    assert lines[1] == lines[-1], "the numbers come first and last"
    assert lines[1].endswith(": split-unsafe")
    assert sum(line.startswith("! ") for line in lines) >= 3 or runs == 1
    for kind in ("added", "changed", "removed", "renamed"):
        assert any(kind in line for line in lines)


def test_wide_letters_count_twice() -> None:
    lines = text.planned([changed(50, "核糖体核糖体核糖体核糖体核糖体")]).split("\n")
    assert max(map(cell_len, lines)) <= 80
    assert cell_len(cut("核" * 50, 11)) == 11


def test_several_recipes_share_the_lines() -> None:
    reports = [replace(changed(9), path=f"{n}.yaml") for n in range(3)]
    told = text.of_all(reports)
    assert told.count("\n") < 24
    assert [line.split()[2] for line in told.split("\n") if line.startswith("Plan of ")] == [
        "0.yaml",
        "1.yaml",
        "2.yaml",
    ]


def test_all_is_shown_where_it_is_asked_for() -> None:
    report = changed(40)
    told = text.planned([report], View(full=True)).split("\n")
    assert report.review is not None
    assert sum(line.startswith("! ") for line in told) == len(report.review.risks)
    assert sum(line.startswith("    ") for line in told) == sum(len(g) + 1 for g in report.review.groups)
    removed = text.planned([report], View(full=True, only=frozenset({"removed"}))).split("\n")
    assert sum(line.startswith("    ") for line in removed) == 41
    assert not any(line.startswith("+ ") for line in removed)


def test_what_has_no_room_is_counted() -> None:
    blocks = [[[Line(f"{n}"), Line("more of it")], [Line(f"{n}")]] for n in range(30)]
    section = Section(blocks, lambda n: f"and {n} more")
    (lines,) = fitted([section], 10)
    assert [line.text for line in lines] == [*map(str, range(9)), "and 21 more"]
    (lines,) = fitted([section], None)
    assert len(lines) == 60


def test_names_control_no_terminal() -> None:
    told = text.planned([changed(3, "\x1b[31m\u202e\n")], View(full=True))
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "\\x1b[31m" in told


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one: colours, and as many columns as it has."""
    from croissant_recipes.render.colour import paint_for
    from croissant_recipes.terminal import width_of

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        view = View(width=width_of(stream), paint=paint_for(stream))
        stream.write(text.planned([changed(300, "TS" * 40)], view) + "\n")
        stream.flush()
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n").rstrip("\n").split("\n")
    assert view.width == columns
    assert "\x1b[1;31m! split-unsafe" in shown
    assert len(lines) < 24
    assert columns - 40 < max(map(cell_len, lines)) <= columns


# Markdown


def _html(document: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(document)


@pytest.mark.parametrize("view", [View(), View(full=True)])
@pytest.mark.parametrize("runs", [1, 3000])
def test_markdown_is_whole_and_no_longer_than_github_takes(runs: int, view: View) -> None:
    report = changed(runs)
    told = markdown.comment([report], view)
    assert len(told.encode()) <= 60_000
    assert told.count("<details>") == told.count("</details>")
    assert report.review is not None
    rows = sum(len(g) for g in report.review.groups)
    shown = len(re.findall(r"^  - ", told, re.MULTILINE))
    left = re.search(r"\*\*([\d,]+) rows omitted\*\*", told)
    if view.full:
        assert shown + (int(left[1].replace(",", "")) if left else 0) == rows
        assert bool(left) == (runs == 3000)
    else:
        assert "00000, ada" not in told, "rows are shown where they are asked for"


def test_many_results_have_a_line_each() -> None:
    reports = [replace(changed(1), path=f"recipe-{n}.yaml" + "x" * 200) for n in range(500)]
    told = markdown.comment(reports, View())
    assert len(told.encode()) <= 60_000
    assert re.search(r"^- \d+ results omitted$", told, re.MULTILINE)


@pytest.mark.parametrize(
    "name", [NASTY, "- a", "1. a", "# a", "> a", "=", "&lt;b&gt;", "\\", "`", "``", " ", "a|b\\|c"]
)
def test_names_are_text_in_markdown(name: str) -> None:
    for made in (markup.code(name), markup.text(name), markup.html(name)):
        for document in (made, f"- {made}", f"| a | b |\n| --- | --- |\n| {made} | c |"):
            shown = _html(document)
            tags = set(re.findall(r"</?([a-z]+)", shown))
            assert tags <= {"p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"}
            if document.startswith("| "):
                assert shown.count("<td>") == 2
    assert "##[" not in markup.code(name) + markup.text(name)
    assert not re.search(r"(?<![\w`])@\w", re.sub(r"<!-- -->", "\0", markup.text(name)))


def test_a_report_of_nasty_names_breaks_nothing() -> None:
    report = replace(changed(2, NASTY), path=NASTY, name=NASTY)
    told = markdown.comment([report], View(full=True))
    assert "<img" not in told
    assert told.count("<details>") == told.count("</details>")
    assert "<img" not in _html(told)


# GitHub


def test_annotations_stand_at_lines_and_are_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = Diagnostic(
        Code.VERSION_STEP, "100%: a,b\n::error::no", Severity.WARNING, span=Span("recipes/a,b:c.yaml", 3, 5, 3, 9)
    )
    report = replace(changed(3), findings=(found,))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    commands = [line for line in annotations.log([report], View()).split("\n") if line.startswith("::")]
    assert commands[0].startswith("::error file=recipes/some.yaml,line=12,col=9,title=small%3A split-unsafe::")
    warning = next(line for line in commands if line.startswith("::warning"))
    assert warning.startswith("::warning file=recipes/a%2Cb%3Ac.yaml,line=3,col=5,title=CR424 ")
    assert "100%25: a,b" in warning
    assert "::error::" not in "".join(commands).replace(warning, "")


def test_names_give_no_commands() -> None:
    report = replace(changed(3, "::add-mask::x"), findings=())
    told = annotations.log([report], View(full=True)).split("\n")
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in told if line.startswith("::"))
    assert not any(line.lstrip().startswith("::add-mask") for line in told)


def test_paths_are_those_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    one = annotations.Annotation("notice", "t", "m", Span("recipe.yaml", 1, 1))
    assert "file=sub/recipe.yaml," in one.command(str(tmp_path))
    assert "file=recipe.yaml," in one.command(str(tmp_path / "elsewhere"))


def test_no_more_annotations_than_are_shown() -> None:
    found = tuple(Diagnostic(Code.VERSION_STEP, f"{n}", Severity.WARNING) for n in range(25))
    told = [each for each in annotations.of([replace(changed(1), findings=found)]) if each.level == "warning"]
    assert len(told) == annotations.MOST
    assert told[-1].message == "and 16 more, all of which the report has"


# JSON


def test_json_has_every_row_once_in_groups() -> None:
    document = json.loads(FORMATS["json"].makes([changed(5)], View()))
    jsonschema.validate(document, json.loads(api.plan_schema_text()))
    (recipe,) = document["recipes"]
    for name, found in recipe["changes"]["record_sets"].items():
        for kind in KINDS:
            at = [
                n for g in recipe["review"]["groups"] if (g["record_set"], g["kind"]) == (name, kind) for n in g["rows"]
            ]
            assert sorted(at) == list(range(len(found[kind])))
    cause = next(g["cause"] for g in recipe["review"]["groups"] if g["kind"] == "removed")
    assert (cause["file"], cause["line"], cause["layer"]) == ("recipes/some.yaml", 12, 1)


# The command


def test_reports_are_written_by_their_endings(lab: Path) -> None:
    told = run(
        "plan", "--report", "a.json", "--report", "b.md", "--report", "c.html", "--report", "d.txt", "quickstart.yaml"
    )
    assert told.exit_code == 0
    assert told.stdout.startswith("Plan of quickstart.yaml")
    assert json.loads(Path("a.json").read_text())["kind"] == "plan"
    assert Path("b.md").read_text().startswith("### `quickstart.yaml`: new\n")
    assert Path("c.html").read_text().startswith("<!DOCTYPE html>")
    assert Path("d.txt").read_text() == told.stdout
    told = run("plan", "--format", "json", "--report", "plain", "quickstart.yaml")
    assert told.stdout.startswith("Plan of quickstart.yaml"), "what is asked for is in the file"
    assert json.loads(Path("plain").read_text())["kind"] == "plan"


def test_a_report_that_cannot_be_written_stops_before_a_source_is_read(lab: Path) -> None:
    told = run("plan", "--report", "nowhere/a.md", "quickstart.yaml")
    assert told.exit_code == Code.NOT_WRITABLE.exit_code
    assert os.strerror(errno.ENOENT) in told.stderr
    assert told.stdout == ""


@pytest.mark.parametrize("flag", [("--full",), ("--only", "removed")])
def test_there_is_nothing_to_choose_of_what_is_complete(flag: tuple[str, ...], lab: Path) -> None:
    told = run("plan", "--format", "json", *flag, "quickstart.yaml")
    assert told.exit_code == 2
    assert "json has all rows" in told.stderr


# Secrets


def test_no_rendering_tells_a_secret() -> None:
    secret = "https://ada:hunter2@example.org/data?token=hunter2"
    found = Diagnostic(Code.VERSION_STEP, f"at {secret}", Severity.WARNING, hint=f"not {secret}", notes=(secret,))
    told = Cause(CauseKind.SOURCE, f"source {secret} moved", source="lab")
    report = replace(
        report_of(
            ({"picks": [picks("TS_1", "ribosome")]}, manifest()),
            ({}, manifest(description="other")),
            causes={("picks", "removed"): told},
            findings=(found,),
        ),
        verdict=Verdict.CHANGES,
    )
    for form in FORMATS.values():
        for view in (View(), View(verbose=True)):
            assert "hunter2" not in form.makes([report], view), form.name
