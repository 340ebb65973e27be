"""What goes from the caches, and what stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croissant_recipes.sources import fact_cache
from croissant_recipes.sources.fact_cache import Kept, Shelf
from croissant_recipes.sources.portal import response_cache
from croissant_recipes.sources.portal.response_cache import KEPT_SECONDS, TTL_SECONDS, ResponseCache

DAY = TTL_SECONDS
START = 2e9


@pytest.fixture
def clock() -> list[float]:
    return [START]


@pytest.fixture
def cache(tmp_path: Path, clock: list[float]) -> ResponseCache:
    return ResponseCache(tmp_path, lambda: clock[0])


def put(cache: ResponseCache, folder: Path, key: str, now: float, data: object = None) -> None:
    cache.put(key, {"rows": data}, 1)
    os.utime(folder / key[:2] / f"{key}.json.z", (now, now))


def test_answers_that_nobody_asks_for_go(cache: ResponseCache, clock: list[float], tmp_path: Path) -> None:
    for key in ("aa", "bb"):
        put(cache, tmp_path, key, START)
    left = tmp_path / "aa" / ".left"
    left.touch()
    os.utime(left, (START, START))
    clock[0] = START + 60 * DAY
    assert cache.get("bb") is not None
    clock[0] = START + KEPT_SECONDS + DAY
    cache.prune()
    assert cache.get("aa") is None
    kept = cache.get("bb")
    assert kept is not None, "it was asked for"
    assert kept.age_seconds == KEPT_SECONDS + DAY, "and is no younger for it"
    assert not left.exists(), "a process that was killed left it"


def test_a_cache_holds_no_more_than_it_may(
    cache: ResponseCache, clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_cache, "KEPT_BYTES", 1)
    put(cache, tmp_path, "aa", START)
    put(cache, tmp_path, "bb", START + 1.5 * DAY)
    clock[0] = START + 2 * DAY
    cache.prune()
    assert cache.get("aa") is None
    assert cache.get("bb") is not None, "what is used today stays, whatever its size"


def test_it_is_looked_at_once_a_day(cache: ResponseCache, clock: list[float], tmp_path: Path) -> None:
    clock[0] = START + 2 * KEPT_SECONDS
    put(cache, tmp_path, "aa", START)
    cache.prune()
    put(cache, tmp_path, "bb", START)
    clock[0] += DAY - 1
    cache.prune()
    assert (tmp_path / "bb/bb.json.z").exists()
    clock[0] += 2
    cache.prune()
    assert not (tmp_path / "bb/bb.json.z").exists()


def test_a_cache_that_cannot_be_written_is_not_pruned(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ResponseCache(tmp_path / "file").prune()
    ResponseCache(tmp_path / "nowhere").prune()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_facts_beyond_the_most_go_first_kept_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(fact_cache, "_MOST", 3)
    (tmp_path / "facts-1.sqlite3").touch()
    facts = [Kept(f"/p/{i}", "stamp", "0" * 64, 10.0) for i in range(3)]
    fact_cache.keep(facts)
    reading = Shelf("/p")
    fact_cache.keep([facts[0]])
    fact_cache.keep([Kept("/p/new", "stamp", "0" * 64, 10.0)])
    known = [i for i in ("0", "1", "2", "new") if Shelf("/p").facts(f"/p/{i}", "stamp")]
    assert known == ["0", "2", "new"], "the first was read again since"
    assert reading.facts("/p/1", "stamp") is not None, "who has begun reads on"
    assert not (tmp_path / "facts-1.sqlite3").exists(), "no version of this tool reads it"
