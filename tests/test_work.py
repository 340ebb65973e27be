"""Work in batches, on whatever executor: the same answers in the same order."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from croissants import write_croissant
from projects import PickableObject, Picks, ProjectSpec, Run, Tomogram, write_project

from croissant_recipes import Options, build
from croissant_recipes.access import NotThereError
from croissant_recipes.croissant.reader import read_croissant
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.work import Answer, WorkError, Workers


class InOrder(Executor):
    """Does what it is given at once. It notes what that was, and that nobody ends it."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given.append((fn, args))
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.ended = True


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "in order", "processes"])
def workers(request: pytest.FixtureRequest, processes: ProcessPoolExecutor) -> Workers:
    given = {"threads": None, "in order": InOrder(), "processes": processes}
    return Workers(4, given[request.param])


class OddError(Exception):
    """One that cannot be put together again from its arguments, as those of some client libraries."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


def halved(minimum: int, number: int) -> float:
    if number < minimum:
        raise OddError(number, reason="too small")
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def slow(number: int) -> int:
    time.sleep(0.02 * (3 - number % 4))
    return number


def here(_: object) -> tuple[int, int]:
    time.sleep(0.01)
    return os.getpid(), threading.get_ident()


@pytest.mark.parametrize("batch", [None, 1, 7, 1000])
def test_answers_come_in_order_and_an_error_is_that_of_its_item(workers: Workers, batch: int | None) -> None:
    items = list(range(4, 100))
    answers = list(workers.each(partial(halved, 4), items, batch=batch))
    assert [a.item for a in answers] == items
    assert [a.get() for a in answers if not a.item % 2] == [n / 2 for n in items if not n % 2]
    for answer in answers[1::2]:
        with pytest.raises(ValueError, match=f"^{answer.item} is odd$"):
            answer.get()


def test_an_error_that_cannot_travel_is_told_in_words(workers: Workers, processes: ProcessPoolExecutor) -> None:
    (answer,) = workers.each(partial(halved, 4), [2])
    with pytest.raises((OddError, WorkError), match=r"^2: too small$"):
        answer.get()
    (answer,) = Workers(1, processes).each(partial(halved, 4), [2])
    assert type(answer.error) is WorkError


def test_late_answers_wait_for_their_turn(workers: Workers) -> None:
    assert [a.get() for a in workers.each(slow, range(16), batch=1)] == list(range(16))


def test_no_items_are_no_work(workers: Workers) -> None:
    assert list(workers.each(slow, [])) == []


@pytest.mark.parametrize(
    ("count", "batch", "expected"),
    [(130, 64, [64, 64, 2]), (8, None, [1] * 8), (160, None, [10] * 16), (1, None, [1])],
)
def test_progress_is_told_per_batch(count: int, batch: int | None, expected: list[int]) -> None:
    told: list[int] = []
    executor = InOrder()
    assert len(list(Workers(4, executor).each(str, range(count), batch=batch, advance=told.append))) == count
    assert told == expected == [len(args[1]) for _, args in executor.given]


def test_nothing_more_is_begun_once_nobody_asks() -> None:
    begun: list[int] = []
    with Workers(1) as workers:
        answers = workers.each(lambda n: (begun.append(n), time.sleep(0.01)), range(100), batch=1)
        next(answers)
        answers.close()
    assert len(begun) < 10


def test_its_own_threads_end_and_the_callers_executor_goes_on() -> None:
    before = threading.active_count()
    with Workers(8) as workers:
        assert len({a.get()[1] for a in workers.each(here, range(32), batch=1)}) > 1
    assert threading.active_count() == before
    executor = InOrder()
    with Workers(8, executor) as workers:
        assert [a.get() for a in workers.each(str, [1, 2])] == ["1", "2"]
    assert not executor.ended


def test_work_for_threads_has_threads(processes: ProcessPoolExecutor) -> None:
    with ThreadPoolExecutor(1) as pool, Workers(4, pool).threads() as given:
        assert given is pool
    with Workers(4) as workers, workers.threads() as given:
        assert len({a[1] for a in given.map(here, range(32))}) <= 4
        assert given.submit(here, None).result()[0] == os.getpid()
    with Workers(4, processes).threads() as given:
        assert given.submit(here, None).result()[0] == os.getpid()
    assert processes.submit(os.getpid).result() != os.getpid()


def test_a_croissant_is_read_the_same_whoever_reads_it(tmp_path: Path, workers: Workers) -> None:
    manifest = write_croissant(tmp_path, {"runs": {"name": ["TS_1", "TS_2"]}, "objects": {"name": ["a"], "url": ["b"]}})
    found = read_croissant(Location.parse(manifest), {}, workers)
    assert list(found.tables["runs"]["name"]) == ["TS_1", "TS_2"]
    (tmp_path / "Croissant/objects.csv").write_text("name,url\n", encoding="utf-8")
    with pytest.raises(DiagnosticError, match=r"objects\.csv does not match its metadata\.json"):
        read_croissant(Location.parse(manifest), {}, workers)
    (tmp_path / "Croissant/objects.csv").unlink()
    with pytest.raises(NotThereError, match=r"it lists objects\.csv, which is not there"):
        read_croissant(Location.parse(manifest), {}, workers)


def test_an_answer_says_which_item_it_is_of() -> None:
    assert Answer("a", 1).get() == 1
    with pytest.raises(KeyError):
        Answer("a", None, KeyError("x")).get()


# Whole builds


def written(folder: Path) -> Path:
    runs = tuple(
        Run(f"TS_{n:03}", (Tomogram(10.0, "wbp"),), picks=(Picks("alice", "1", "ribosome", voxel_spacing=10.0),))
        for n in range(150)
    )
    project = write_project(folder, ProjectSpec(runs, (PickableObject("ribosome"),)))
    recipe = {
        "recipe": 1,
        "name": "example",
        "dataset": {
            "name": "A",
            "description": "B",
            "version": "1.0.0",
            "license": "MIT",
            "date_published": "2026-01-15",
        },
        "output": {"project_root": str(project.root)},
        "sources": {"lab": {"copick": {"config": "filesystem.json"}}},
        "layers": [{"export": "lab"}],
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def test_a_build_is_the_same_with_the_callers_executor(
    tmp_path: Path, processes: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = written(tmp_path)
    results = []
    in_order = InOrder()
    for n, executor in enumerate((None, processes, in_order)):
        monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / f"cache-{n}"))
        (built,) = build(recipe, options=Options(executor=executor, output=str(tmp_path / "project"), force=True))
        assert built.ok, built.diagnostics
        croissant = tmp_path / "project" / "Croissant"
        results.append({p.name: p.read_bytes() for p in croissant.iterdir()})
        for path in croissant.iterdir():
            path.unlink()
        croissant.rmdir()
    assert results[0] == results[1] == results[2]
    assert b",10.0," in results[0]["picks.csv"]
    assert [len(args[1]) for _, args in in_order.given if len(args[1]) > 20] == [64, 64, 22]
    assert not in_order.ended
