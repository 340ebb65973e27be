"""Builds over a portal that stumbles: they come through where another try can help, and else end clean."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from croissant_recipes import api
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.options import Options
from croissant_recipes.sources.portal import datasets as portal_datasets
from croissant_recipes.sources.portal.datasets import PortalSource
from croissant_recipes.sources.portal.transport import Limits
from tests.portal_builds import Files, built_files
from tests.portal_server import Drop, ErrorBody, Fault, Mangle, Server, Stall, Status, Truncate, serve
from tests.portal_tables import generate

TABLES = generate(runs=6)
STALL = Stall(30)
RECIPE = """\
recipe: 1
name: portal
dataset:
  name: Portal
  description: Of a stand-in portal.
  version: 1.0.0
  license: CC0-1.0
  date_published: 2026-01-01
  url: https://example.org/portal
  creators: [{{name: Example Lab}}]
output: {{project_root: out, base_url: "https://example.org/published"}}
sources:
  cdp: {{portal: {{datasets: [10440, 10301], url: "{url}"}}}}
layers:
  - export: cdp
    tomograms: "*-ctfdeconv"
    on_collision: first
    others: exclude
  - append: cdp
    picks: {{select: "*complex*", authors: [Emiko Brâncuși, Fatıma Castillo-Núñez]}}
    session_id: "{{authors}}-{{annotation_file_id}}"
    others: exclude
  - append: cdp
    picks: {session}
    segmentations: {{where: {{method_type: automated}}}}
    others: exclude
"""
KEPT_APART = "{select: f1-f0*}"
COLLIDING = """f1-f0*
    session_id: "{method_type}\""""

QUERIES = {
    "runs(": "runs",
    "annotationsAggregate(": "annotated objects",
    "tomogramsAggregate(": "tomogram types",
    "tomograms(": "tomograms",
    "annotationFiles(": "(picks|segmentations)",
    "annotationAuthors(": "authors of picks",
}
"""What each query asks for, by what its text holds."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources that do not wait between tries, and ask for so few rows at once that there are several pages."""
    wait_for(monkeypatch, Limits().timeout_seconds)


def wait_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long sources wait for an answer."""
    limits = Limits(page_rows=20, timeout_seconds=seconds)
    monkeypatch.setattr(
        portal_datasets, "PortalSource", functools.partial(PortalSource, limits=limits, sleep=lambda _: None)
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of the build over a portal that never fails."""
    folder = tmp_path_factory.mktemp("expected")
    with serve(TABLES) as server:
        (result,) = api.build(recipe(folder, server), options=Options(jobs=2))
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    return built_files(folder / "out")


def recipe(folder: Path, server: Server, session: str = KEPT_APART) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(url=server.url, session=session), encoding="utf-8")
    return path


def fails(path: Path, **options: object) -> list[Diagnostic]:
    """The errors of a build that does not reach the portal."""
    (result,) = api.build(path, options=Options(jobs=2, **options))
    assert not result.written
    assert api.results_exit_code([result]) is ExitCode.UNREACHABLE
    return [d for d in result.diagnostics if d.is_error]


class FirstOfEach:
    """The first request of every query text goes wrong."""

    def __init__(self, fault: Fault) -> None:
        self._fault, self._seen = fault, set[str]()

    def __call__(self, _: int, query: str) -> Fault | None:
        if query in self._seen:
            return None
        self._seen.add(query)
        return self._fault


def on(text: str, fault: Fault) -> Callable[[int, str], Fault | None]:
    return lambda _, query: fault if text in query else None


# Where another try helps


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b'{"data": {"rows": []}}', b'{"errors": [{"message": "no"}]}', b"\xff", b"[" * 9_999],
)
def test_a_502_is_none_whatever_its_body_says(expected: Files, tmp_path: Path, body: bytes) -> None:
    """Asked again as often as any other, and never taken for an answer."""
    seen: dict[str, int] = {}

    def faults(_: int, query: str) -> Fault | None:
        seen[query] = seen.get(query, 0) + 1
        return Status(502, body) if "annotationFiles" in query and seen[query] < 4 else None

    with serve(TABLES, faults=faults) as server:
        (result,) = api.build(recipe(tmp_path, server), options=Options(jobs=1))
    assert [str(d) for d in result.diagnostics if d.is_error] == []
    assert built_files(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"data": {"rows": 5}}', "rows is no list"),
        (b'{"data": {"rows": [null]}}', "rows.0 is no "),
        (b'{"data": {"rows": [{"id": "7"}]}}', "rows.0.id is no Int"),
        (b'{"data": {}}', "has no rows"),
    ],
)
def test_an_answer_of_another_form(tmp_path: Path, body: bytes, problem: str) -> None:
    with serve(TABLES, faults=on("annotationFiles(", Mangle(lambda _: body))) as server:
        (error,) = fails(recipe(tmp_path, server))
    assert f"the answer is not of the form that was asked for: {problem}" in error.message
    assert error.hint is not None
    assert error.hint.startswith("is it a CryoET Data Portal? If so, it has changed")


@pytest.mark.parametrize("place", ["file:///etc", "https://example.org", "/etc", "S3://cryoet-data-portal-public"])
def test_a_place_that_is_none_of_the_portal(tmp_path: Path, place: str) -> None:
    """It would be the URL of a row, and readers would open what it names."""

    def elsewhere(body: bytes) -> bytes:
        return body.replace(b"s3://cryoet-data-portal-public", place.encode())

    with serve(TABLES, faults=on("annotationFiles(", Mangle(elsewhere))) as server:
        (error,) = fails(recipe(tmp_path, server))
    assert "rows.0.s3Path is no place on S3" in error.message


def test_every_third_request_a_502(expected: Files, tmp_path: Path) -> None:
    with serve(TABLES, faults=lambda n, _: Status(502) if n % 3 == 0 else None) as server:
        (result,) = api.build(recipe(tmp_path, server), options=Options(jobs=1))
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    assert server.stats.failed > 5
    assert built_files(tmp_path / "out") == expected


@pytest.mark.parametrize("fault", [Status(503), Drop(), Truncate(), ErrorBody()], ids=repr)
def test_every_query_fails_once(fault: Fault, expected: Files, tmp_path: Path) -> None:
    with serve(TABLES, faults=FirstOfEach(fault)) as server:
        (result,) = api.build(recipe(tmp_path, server), options=Options(jobs=4))
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    assert server.stats.failed >= len(QUERIES)
    assert built_files(tmp_path / "out") == expected


@pytest.mark.parametrize("text", ["runs(", "annotationFiles("])
def test_a_stall_of_half_a_minute_is_not_waited_for(
    text: str, expected: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for(monkeypatch, 2.0)
    stalled = FirstOfEach(STALL)
    with serve(TABLES, faults=lambda n, query: stalled(n, query) if text in query else None) as server:
        started = time.monotonic()
        (result,) = api.build(recipe(tmp_path, server), options=Options(jobs=4))
        took = time.monotonic() - started
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    assert server.stats.failed > 0
    assert took < STALL.seconds / 2
    assert built_files(tmp_path / "out") == expected


def test_a_stall_of_half_a_minute_is_longer_than_a_source_waits() -> None:
    assert Limits().timeout_seconds < STALL.seconds


def test_a_query_that_keeps_failing_is_cut(expected: Files, tmp_path: Path) -> None:
    failed: list[int] = []

    def first_dozen(number: int, query: str) -> Fault | None:
        if "annotationFiles(" not in query or len(failed) == 12:
            return None
        failed.append(number)
        return Status(502)

    with serve(TABLES, faults=first_dozen) as server:
        (result,) = api.build(recipe(tmp_path, server), options=Options(jobs=1))
    assert not [str(d) for d in result.diagnostics if d.is_error]
    assert result.ok
    assert len(failed) == 12
    assert result.plan is not None
    asked = [r.what for layer in result.plan.resolution.layers.values() for r in layer.stock.parts[0].requests]
    assert any(what.startswith("picks") and "all runs" not in what for what in asked)
    assert built_files(tmp_path / "out") == expected


# Where none does


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("fault", [Status(502), ErrorBody("out of order")], ids=repr)
def test_a_fault_that_stays_names_datasets_and_query_and_writes_nothing(
    text: str, fault: Fault, tmp_path: Path
) -> None:
    with serve(TABLES, faults=on(text, fault)) as server:
        (found,) = fails(recipe(tmp_path, server))
    assert found.code is Code.UNREACHABLE
    start = f"source 'cdp', datasets 10301, 10440: {server.url} gives no answer to the query of "
    assert found.message.startswith(start)
    assert re.match(QUERIES[text], found.message.removeprefix(start))
    assert ("502" if isinstance(fault, Status) else "GraphQL error: out of order") in found.message
    assert found.span is not None
    assert found.span.line == 13
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("fault", "reason"), [(Drop(), "IncompleteRead"), (Truncate(), "no whole JSON document")], ids=repr
)
def test_answers_that_stay_cut_off(fault: Fault, reason: str, tmp_path: Path) -> None:
    with serve(TABLES, faults=on("tomograms(", fault)) as server:
        (found,) = fails(recipe(tmp_path, server))
    assert "the query of tomograms" in found.message
    assert reason in found.message
    assert not (tmp_path / "out").exists()


def test_a_portal_that_stays_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for(monkeypatch, 1.5)
    with serve(TABLES, faults=on("annotationsAggregate(", STALL)) as server:
        started = time.monotonic()
        (found,) = fails(recipe(tmp_path, server))
        took = time.monotonic() - started
    assert "no answer within 1.5 s" in found.message
    assert took < STALL.seconds / 2


def test_a_portal_that_is_not_there(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        pass
    (found,) = fails(recipe(tmp_path, server))
    assert "refused" in found.message
    assert found.hint == "try again later"


def test_the_command_ends_with_7(tmp_path: Path) -> None:
    with serve(TABLES, faults=on("tomograms(", Status(502))) as server:
        result = CliRunner().invoke(main, ["build", str(recipe(tmp_path, server))])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "recipe.yaml:13:3: error[CR301]: source 'cdp', datasets 10301, 10440" in result.stderr
    assert result.stderr.endswith("Nothing was written.\n")
    assert "Traceback" not in result.output


def test_what_is_there_stays_and_the_next_build_goes_on(expected: Files, tmp_path: Path) -> None:
    """A failure is kept nowhere: neither in the Croissant nor among the cached answers."""
    broken = False
    with serve(TABLES, faults=lambda _, query: Truncate() if broken and "tomograms(" in query else None) as server:
        path = recipe(tmp_path, server)
        assert api.build(path)[0].ok
        broken = True
        fails(path, cache="refresh")
        assert built_files(tmp_path / "out") == expected
        broken = False
        (again,) = api.build(path, options=Options(cache="refresh"))
    assert again.prepared is not None
    assert not again.prepared.changes


def test_no_recipe_of_a_call_is_written_when_one_fails(tmp_path: Path) -> None:
    with serve(TABLES) as sound, serve(TABLES, faults=on("runs(", Status(502))) as broken:
        paths = []
        for name, server in (("sound", sound), ("broken", broken)):
            (tmp_path / name).mkdir()
            paths.append(recipe(tmp_path / name, server))
        results = api.build(*paths)
    assert [r.ok for r in results] == [True, False]
    assert not any(r.written for r in results)
    assert not list(tmp_path.rglob("Croissant"))


def test_a_collision_is_told_though_its_authors_cannot_be_asked(tmp_path: Path) -> None:
    with serve(TABLES, faults=on("annotationAuthors(", Status(502))) as server:
        path = recipe(tmp_path, server, COLLIDING)
        path.write_text(path.read_text(encoding="utf-8").replace("{authors}-", ""), encoding="utf-8")
        collision, unreachable = sorted(fails(path), key=lambda d: d.code.value, reverse=True)
    assert (collision.code, unreachable.code) == (Code.COLLISION, Code.UNREACHABLE)
    assert any("portal annotation id" in note for note in collision.notes)
    assert "the query of authors of picks" in unreachable.message
