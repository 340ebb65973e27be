"""Questions to a portal that stumbles, and answers kept on disk."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from croissant_recipes.sources.portal.client import PortalClient
from croissant_recipes.sources.portal.conditions import RunScope, both, near
from croissant_recipes.sources.portal.fetching import Fetch, Rows, all_rows, fetch_batch
from croissant_recipes.sources.portal.queries import NotCachedError, PortalError, Query, rows_query
from croissant_recipes.sources.portal.response_cache import ResponseCache, request_key
from croissant_recipes.sources.portal.transport import CacheMode, Endpoint, Limits
from tests.portal_server import Drop, ErrorBody, Fault, Server, Stall, Status, Truncate, serve
from tests.portal_tables import generate

TABLES = generate(runs=12)
RUNS = sorted(row["id"] for row in TABLES["Run"])
DATASETS = tuple(sorted(row["id"] for row in TABLES["Dataset"]))
SCOPE = RunScope(DATASETS, tuple(RUNS), tuple(RUNS))
FILES = Fetch("files", "annotationFiles", {"s3Path": {}}, {}, ("annotationShape", "annotation", "run"))
DEFAULTS = Limits()
ALL_FILES = sorted(row["id"] for row in TABLES["AnnotationFile"])
RUNS_QUERY = rows_query("runs", "runs", {"id": {}, "name": {}}, {"datasetId": {"_in": list(DATASETS)}}, 1000)


@contextmanager
def endpoint(
    server: Server,
    folder: Path,
    mode: CacheMode = "refresh",
    *,
    limits: Limits = DEFAULTS,
    waits: list[float] | None = None,
) -> Iterator[Endpoint]:
    sleep = (waits if waits is not None else []).append
    with Endpoint(server.url, ResponseCache(folder), mode, limits, sleep) as opened:
        yield opened


def ids(rows: Rows) -> list[int]:
    return [row["id"] for row in rows.rows]


def on(*numbers: int, fault: Fault) -> Callable[[int, str], Fault | None]:
    return lambda number, _: fault if number in numbers else None


# Trying again


@pytest.mark.parametrize("fault", [Status(502), Status(503), Status(429), Drop(), Truncate(), ErrorBody()], ids=repr)
def test_a_passing_fault_is_tried_again(fault: Fault, tmp_path: Path) -> None:
    with serve(TABLES, faults=on(1, fault=fault)) as server, endpoint(server, tmp_path) as portal:
        answer = portal.ask(RUNS_QUERY)
    assert [row["id"] for row in answer.data["rows"]] == RUNS
    assert (server.stats.requests, server.stats.failed) == (2, 1)


def test_a_silent_server_is_given_up_and_asked_again(tmp_path: Path) -> None:
    with (
        serve(TABLES, faults=on(1, fault=Stall(30))) as server,
        endpoint(server, tmp_path, limits=Limits(timeout_seconds=1.5)) as portal,
    ):
        assert len(portal.ask(RUNS_QUERY).data["rows"]) == len(RUNS)


def test_waits_grow_and_are_bounded(tmp_path: Path) -> None:
    waits: list[float] = []
    with (
        serve(TABLES, faults=lambda *_: Status(502)) as server,
        endpoint(server, tmp_path, limits=Limits(attempts=8), waits=waits) as portal,
        pytest.raises(PortalError),
    ):
        portal.ask(RUNS_QUERY)
    assert server.stats.requests == 8
    lowest = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert [low <= wait <= 1.5 * low for low, wait in zip(lowest, waits, strict=True)] == [True] * 7


def test_a_graphql_error_that_stays_is_tried_twice_and_told(tmp_path: Path) -> None:
    with (
        serve(TABLES, faults=lambda *_: ErrorBody("no such thing")) as server,
        endpoint(server, tmp_path) as portal,
        pytest.raises(PortalError, match=r"^runs: GraphQL error: no such thing$") as caught,
    ):
        portal.ask(RUNS_QUERY)
    assert server.stats.requests == 2
    assert not caught.value.may_be_too_large


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with (
        serve(TABLES, faults=lambda *_: Status(403)) as server,
        endpoint(server, tmp_path) as portal,
        pytest.raises(PortalError, match="403"),
    ):
        portal.ask(RUNS_QUERY)
    assert server.stats.requests == 1


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        pass
    waits: list[float] = []
    with endpoint(server, tmp_path, waits=waits) as portal, pytest.raises(PortalError, match="refused") as caught:
        portal.ask(RUNS_QUERY)
    assert len(waits) == Limits().attempts - 1
    assert not caught.value.may_be_too_large


def test_a_query_that_the_clients_schema_does_not_have_is_never_sent(tmp_path: Path) -> None:
    wrong = Query("runs", "query { runs { nomen } }", {})
    with serve(TABLES) as server, endpoint(server, tmp_path) as portal, pytest.raises(PortalError, match="nomen"):
        portal.ask(wrong)
    assert server.stats.requests == 0


def test_after_stop_nothing_is_tried_again(tmp_path: Path) -> None:
    with serve(TABLES, faults=lambda *_: Status(502)) as server, endpoint(server, tmp_path) as portal:
        portal.stop()
        with pytest.raises(PortalError):
            portal.ask(RUNS_QUERY)
    assert server.stats.requests == 1


def test_the_official_clients_user_agent_is_sent_and_its_schema_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryoet_data_portal._constants import USER_AGENT

    with serve(TABLES) as server:
        client = PortalClient(server.url, 5.0)
        sent: list[Any] = []
        data, size = client.send(RUNS_QUERY)
        connection = client._idle[0]
        sent.append(connection._transport.headers["User-agent"])
        client.close()
    assert sent == [USER_AGENT]
    assert size == server.stats.bytes
    assert len(data["rows"]) == len(RUNS)


# Pages and parts


@pytest.mark.parametrize("page_rows", [1, 3, 7, 1000])
def test_pages_give_every_row_once_whatever_their_size(page_rows: int, tmp_path: Path) -> None:
    with (
        serve(TABLES, shuffle=page_rows) as server,
        endpoint(server, tmp_path, limits=Limits(page_rows=page_rows)) as portal,
    ):
        found = all_rows(portal, "runs", "runs", {"name": {}}, {"datasetId": {"_in": list(DATASETS)}})
    assert ids(found) == RUNS
    assert len(found.requests) == len(RUNS) // page_rows + 1


def test_a_batch_that_fails_is_halved(tmp_path: Path) -> None:
    def too_many_runs(_: int, body: str) -> Fault | None:
        return Status(502) if next(attempts) < 6 else None

    attempts = itertools.count()
    with serve(TABLES, faults=too_many_runs) as server, endpoint(server, tmp_path) as portal:
        found = fetch_batch(portal, FILES, SCOPE, SCOPE.chosen)
    assert sorted(ids(found)) == ALL_FILES
    assert [r.what for r in found.requests] == [
        f"files, 6 runs from {RUNS[0]} to {RUNS[5]}",
        f"files, 6 runs from {RUNS[6]} to {RUNS[11]}",
    ]


def test_pages_of_one_run_that_fail_are_made_smaller(tmp_path: Path) -> None:
    attempts = itertools.count()
    with (
        serve(TABLES, faults=lambda *_: Status(502) if next(attempts) < 6 else None) as server,
        endpoint(server, tmp_path, limits=Limits(page_rows=16)) as portal,
    ):
        scope = RunScope(DATASETS, tuple(RUNS), (RUNS[0],))
        found = fetch_batch(portal, FILES, scope, scope.chosen)
        whole = fetch_batch(portal, FILES, scope, scope.chosen)
    assert ids(found) == ids(whole)
    assert len(found.requests) == len(ids(found)) // 4 + 1


def test_halving_ends(tmp_path: Path) -> None:
    with (
        serve(TABLES, faults=lambda *_: Status(502)) as server,
        endpoint(server, tmp_path) as portal,
        pytest.raises(PortalError, match=r"^files, run"),
    ):
        fetch_batch(portal, FILES, SCOPE, SCOPE.chosen)
    assert server.stats.requests < 30


@pytest.mark.parametrize("every", [2, 3])
def test_rows_are_whole_when_every_nth_request_fails(every: int, tmp_path: Path) -> None:
    faults = itertools.cycle([Status(502), Drop(), Truncate()])
    with (
        serve(TABLES, faults=lambda n, _: next(faults) if n % every == 0 else None) as server,
        endpoint(server, tmp_path, limits=Limits(page_rows=10)) as portal,
    ):
        found = fetch_batch(portal, FILES, SCOPE, SCOPE.chosen)
    assert ids(found) == ALL_FILES
    assert server.stats.failed > 3


def test_run_clauses_are_the_shortest_that_hold_for_the_batch_alone() -> None:
    scope = RunScope((1, 2), (10, 11, 20, 21, 30), (10, 11, 20, 30))
    assert scope.clause((10, 11, 20, 21, 30)) == {"datasetId": {"_in": [1, 2]}}
    assert scope.clause((10, 11, 20)) == {"datasetId": {"_in": [1, 2]}, "id": {"_gte": 10, "_lte": 20}}
    assert scope.clause((10, 11, 20, 30)) == {"id": {"_in": [10, 11, 20, 30]}}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 99])
def test_batches_hold_every_chosen_run_once(count: int) -> None:
    scope = RunScope((1,), (10, 11, 20, 30), (10, 11, 30))
    batches = scope.batches(count)
    assert [run for batch in batches for run in batch] == [10, 11, 30]
    assert len(batches) == min(max(count, 1), 3)


def test_clauses_are_joined_and_never_silently_replaced() -> None:
    one = {"annotation": {"run": {"id": {"_gt": 1}}}}
    assert both(one, {"annotation": {"run": {"id": {"_in": [2]}}, "objectId": {"_eq": "a"}}}) == {
        "annotation": {"run": {"id": {"_gt": 1, "_in": [2]}}, "objectId": {"_eq": "a"}}
    }
    with pytest.raises(ValueError, match="two values for _gt"):
        both(one, {"annotation": {"run": {"id": {"_gt": 2}}}})
    assert one == {"annotation": {"run": {"id": {"_gt": 1}}}}


def test_a_number_is_asked_for_with_room_for_its_last_digits() -> None:
    clause = near(13.48, 13.48)
    assert clause["_gte"] < 13.48 < clause["_lte"]
    assert clause["_lte"] - clause["_gte"] < 1e-4


# Answers on disk


def test_a_kept_answer_is_used_with_its_age(tmp_path: Path) -> None:
    clock = [1000.0]
    with serve(TABLES) as server:
        with Endpoint(server.url, ResponseCache(tmp_path, lambda: clock[0])) as portal:
            first = portal.ask(RUNS_QUERY)
        clock[0] += 90
        with Endpoint(server.url, ResponseCache(tmp_path, lambda: clock[0])) as portal:
            second = portal.ask(RUNS_QUERY)
    assert server.stats.requests == 1
    assert second.data == first.data
    assert (first.request.cached, first.request.age_seconds) == (False, None)
    assert (second.request.cached, second.request.age_seconds) == (True, 90.0)
    assert second.request.bytes == first.request.bytes == server.stats.bytes
    assert second.request.rows == len(RUNS)


def test_an_answer_older_than_a_day_is_asked_for_again_but_good_enough_offline(tmp_path: Path) -> None:
    clock = [1000.0]
    cache = ResponseCache(tmp_path, lambda: clock[0])
    with serve(TABLES) as server, Endpoint(server.url, cache) as portal:
        portal.ask(RUNS_QUERY)
        clock[0] += 24 * 3600 + 1
        assert Endpoint(server.url, cache, "offline").ask(RUNS_QUERY).request.age_seconds == 24 * 3600 + 1
        assert not portal.ask(RUNS_QUERY).request.cached
        assert portal.ask(RUNS_QUERY).request.age_seconds == 0
    assert server.stats.requests == 2


def test_refresh_asks_anew_and_rewrites(tmp_path: Path) -> None:
    with serve(TABLES) as server:
        for mode in ("use", "refresh"):
            with endpoint(server, tmp_path, mode) as portal:
                assert not portal.ask(RUNS_QUERY).request.cached
        with endpoint(server, tmp_path, "use") as portal:
            assert portal.ask(RUNS_QUERY).request.cached
    assert server.stats.requests == 2


def test_offline_needs_the_answer_and_never_asks(tmp_path: Path) -> None:
    with (
        serve(TABLES) as server,
        endpoint(server, tmp_path, "offline") as portal,
        pytest.raises(NotCachedError, match=r"^runs: no cached answer$"),
    ):
        portal.ask(RUNS_QUERY)
    assert server.stats.requests == 0


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    with serve(TABLES, faults=on(1, 2, fault=ErrorBody())) as server, endpoint(server, tmp_path, "use") as portal:
        with pytest.raises(PortalError):
            portal.ask(RUNS_QUERY)
        assert not portal.ask(RUNS_QUERY).request.cached
    assert len(list(tmp_path.rglob("*.z"))) == 1


def test_the_key_tells_endpoints_texts_and_variables_apart() -> None:
    keys = {
        request_key("http://a", "q", {"a": 1}),
        request_key("http://b", "q", {"a": 1}),
        request_key("http://a", "r", {"a": 1}),
        request_key("http://a", "q", {"a": 2}),
    }
    assert len(keys) == 4
    assert request_key("u", "q", {"a": 1, "b": 2}) == request_key("u", "q", {"b": 2, "a": 1})


@pytest.mark.parametrize("damage", [b"", b"not compressed", "cut"])
def test_a_damaged_file_counts_as_none(damage: bytes | str, tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    cache.put("abcd", {"rows": [1]}, 10)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    path.write_bytes(path.read_bytes()[:-5] if isinstance(damage, str) else damage)
    assert cache.get("abcd") is None


def test_a_folder_that_cannot_be_written_is_told_and_does_not_stop(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = ResponseCache(blocked)
    cache.put("abcd", {"rows": []}, 2)
    assert "file" in cache.problem


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    rows = {"rows": list(range(20_000))}
    readings: list[int | None] = []

    def write() -> None:
        cache = ResponseCache(tmp_path)
        for _ in range(5):
            cache.put("abcd", rows, 1)
            kept = cache.get("abcd")
            readings.append(len(kept.data["rows"]) if kept else None)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert readings == [20_000] * 40
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["abcd.json.z"]


def test_kept_answers_hold_the_same_values_as_the_servers(tmp_path: Path) -> None:
    data = {"rows": [{"id": 2**31 - 1, "a": 13.48, "b": None, "c": True, "d": "µ\u2028"}]}
    cache = ResponseCache(tmp_path)
    cache.put("abcd", orjson.loads(orjson.dumps(data)), 1)
    kept = cache.get("abcd")
    assert kept is not None
    assert kept.data == data
