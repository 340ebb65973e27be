"""Builds in processes of their own: killed at any moment, and beside somebody who saves.

Nothing is mixed: what is there is all of one version. Nothing that was saved is lost. What the stores do at each single
step has tests of their own; a campaign of any length on disk and on S3, ``PYTHONPATH=.:tests python
tests/test_interrupted_builds.py 100``, prints how many builds were killed or had a writer beside them, and what came of
them.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
from servers import s3_server
from test_build import Lab

from croissant_recipes import Options, build, from_croissant
from croissant_recipes.croissant.reader import read_croissant
from croissant_recipes.location import Location

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["croissant_recipes.planning", "croissant_recipes.building", "mlcroissant", "copick"])

VERSIONS = {"A": "", "B": "runs: [TS_1, TS_2], "}
"""The runs that the layer takes in each version. Neither takes what others save, which lies in the project too."""


def _build(recipe: str, on_drift: str) -> None:
    (result,) = build(recipe, options=Options(on_drift=on_drift))  # type: ignore[arg-type]
    errors = {d.code.value for d in result.diagnostics if d.is_error}
    sys.exit(0 if not errors else 5 if errors <= {"CR502", "CR503"} else 9)


@dataclass
class Bench:
    """One recipe in two versions, built into one place by processes that can be killed."""

    folder: Path
    fs_args: dict[str, Any] | None = None
    came: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.lab = Lab(self.folder)
        self.url = "s3://lab/out/Croissant/metadata.json" if self.fs_args else str(self.lab.manifest)
        where = f'"s3://lab/out", fs_args: {json.dumps(self.fs_args)}' if self.fs_args else "out"
        self.recipes = {
            name: self.lab.write(
                f"{name}.yaml",
                f"  - {{export: lab, {runs}picks: ['ribosome:alice']}}\n",
                start=f"dataset:\n  name: Lab\n  description: Version {name}.\n  version: 1.0.0\n  license: MIT\n"
                "  date_published: 2026-01-15\n  url: https://example.org\n  creators: [{name: Lab}]\n"
                f'output: {{project_root: {where}, base_url: "file://{self.lab.project.root}"}}\n',
            )
            for name, runs in VERSIONS.items()
        }
        started = time.monotonic()
        self.built = {}
        for name in ("A", "B"):
            assert self.run(name) == 0
            self.built[name] = self.there()
        self.seconds = (time.monotonic() - started) / 2
        assert self.built["A"] != self.built["B"]

    def run(self, version: str, kill_after: float | None = None) -> int | None:
        """The exit code of a build, negative where it was killed."""
        process = _PROCESSES.Process(target=_build, args=(str(self.recipes[version]), "keep"))
        process.start()
        process.join(kill_after)
        process.kill()
        process.join()
        return process.exitcode

    def opened(self) -> Any:
        return from_croissant(self.url, croissant_fs_args=self.fs_args)

    def there(self, by: str = "") -> tuple[str, frozenset[tuple[str, str]]]:
        """The version, and the picks that it has, without those of one user."""
        # Files that do not fit the manifest's checksums are not opened at all.
        root = self.opened()
        picks = {(r.name, f"{p.pickable_object_name}:{p.user_id}/{p.session_id}") for r in root.runs for p in r.picks}
        return _description(self), frozenset(p for p in picks if not by or f":{by}/" not in p[1])

    def saved(self, by: str) -> set[str]:
        return {p.session_id for run in self.opened().runs for p in run.picks if p.user_id == by}

    def save(self, by: str, session: str) -> None:
        picks = self.opened().get_run("TS_1").new_picks("ribosome", session, by)
        picks.points = []
        picks.store()

    def forget_the_lock(self) -> None:
        """As if the time had passed after which the lock of a killed build is taken over in an object store."""
        if self.fs_args:
            s3 = fsspec.filesystem("s3", **self.fs_args, use_listings_cache=False)
            for lock in (f for f in s3.find("lab/out") if f.endswith("/.lock")):
                s3.rm(lock)

    def killed(self, dice: random.Random) -> None:
        """A build of the other version is killed at any moment, and what is there is one of the two."""
        version = dice.choice("AB")
        code = self.run(version, dice.uniform(0.0, 1.2 * self.seconds))
        self.came["killed" if code and code < 0 else f"ended with {code}"] += 1
        assert code in (0, 5) or (code or 0) < 0, f"ended with {code}"
        assert self.there(by="bob") in self.built.values(), "two versions in one"


def _description(bench: Bench) -> str:
    # As our reader sees it: what a build in an object store has half put in place counts.
    stored = read_croissant(Location.parse(bench.url), bench.fs_args or {})
    return str(stored.manifest["description"])


@contextmanager
def on(place: str, folder: Path) -> Iterator[Bench]:
    if place == "disk":
        yield Bench(folder)
        return
    with s3_server() as server:
        server.make_bucket("lab")
        yield Bench(folder, server.fs_args)


class Curator:
    """Saves picks again and again, with pauses, and remembers those whose saving came to its end."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench, self._random = bench, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.saved: set[str] = set()

    def __enter__(self) -> Curator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        for n in count():
            # A Croissant in an object store that is being put in place takes nothing.
            with suppress(PermissionError):
                self._bench.save("bob", str(n))
                self.saved.add(str(n))
            if self._stop.wait(self._random.uniform(0, 2 * self._bench.seconds)):
                return


def kill(bench: Bench, times: int, seed: int = 0) -> None:
    """Builds are killed at any moment, after somebody saved something, which is never lost."""
    dice = random.Random(seed)
    saved = set()
    for n in range(times):
        if dice.random() < 0.3:
            with suppress(PermissionError):
                bench.save("bob", f"before-{n}")
                saved.add(f"before-{n}")
        bench.killed(dice)
        bench.forget_the_lock()
        assert bench.saved("bob") >= saved, f"lost with build {n}"
    assert bench.run("A") == 0
    assert bench.saved("bob") == saved


def write_beside(bench: Bench, times: int, seed: int = 0) -> None:
    """Builds while somebody saves: each is written or refused as a whole, and nothing that was saved is lost."""
    dice = random.Random(seed)
    with Curator(bench, seed) as curator:
        for _ in range(times):
            code = bench.run(dice.choice("AB"))
            bench.came[f"beside a writer, ended with {code}"] += 1
            assert code in (0, 5)
    assert bench.run("A") == 0
    assert bench.saved("bob") >= curator.saved
    bench.came["saved meanwhile"] += len(curator.saved)


def test_killed_and_beside_somebody_who_saves(tmp_path: Path) -> None:
    with on("disk", tmp_path) as bench:
        kill(bench, 1)
        write_beside(bench, 1, seed=1)


def _campaign(times: int) -> None:
    for place in ("disk", "s3"):
        for attack in (kill, write_beside):
            with tempfile.TemporaryDirectory() as folder, on(place, Path(folder)) as bench:
                started = time.monotonic()
                try:
                    attack(bench, times)
                except AssertionError as error:
                    print(f"FAILED: {error}")
                print(f"{place}: {dict(bench.came)} in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    _campaign(int(sys.argv[1]))
