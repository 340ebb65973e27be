"""Sources that nobody wrote, through ``check``, ``plan`` and ``build``: a result or errors that say where, in seconds.

What was found stays as cases with names, in ``test_hostile.py``. A campaign of any length: ``PYTHONPATH=. python
tests/test_fuzz.py built 0 2000`` tries the seeds from 0 to 1999 (also ``checked``, ``planned``, ``of_portal``) and says
which ones failed.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import conftest
import pytest
from hostile_folder import SECONDS, Case, Folder, Mangling

from tests.portal_server import serve
from tests.portal_tables import generate

HANGS = 300.0
"""After how many seconds of a busy machine a campaign gives a case up."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("hostile"))


def test_spoilt_recipes_checked(folder: Folder) -> None:
    found = [folder.checked(seed) for seed in range(60)]
    assert max(case.seconds for case in found) < SECONDS
    assert len({d.code for case in found for d in case.errors}) > 5


def test_spoilt_recipes_planned(folder: Folder) -> None:
    found = [folder.planned(seed) for seed in range(10)]
    assert max(case.seconds for case in found) < SECONDS
    assert len({d.code for case in found for d in case.errors}) > 2


def test_spoilt_sources_built(folder: Folder) -> None:
    found = [folder.built(seed) for seed in range(8)]
    assert max(case.seconds for case in found) < SECONDS
    assert len({d.code for case in found for d in case.errors}) > 2


def test_spoilt_answers_of_a_portal(folder: Folder) -> None:
    with _portal(folder) as run:
        found = [run(seed) for seed in range(2)]
    assert any(case.errors for case in found)


@contextmanager
def _portal(folder: Folder) -> Iterator[Callable[[int], Case]]:
    mangling = Mangling()
    with serve(generate(runs=3), faults=mangling) as server:

        def run(seed: int) -> Case:
            mangling.seed = seed
            return folder.of_portal(seed, server.url)

        yield run


def campaign(run: Callable[[int], Case], first: int, last: int) -> None:
    """Tries all seeds and prints what came of them."""
    ended, slow, failed = Counter[str](), [], {}
    started = time.monotonic()
    for seed in range(first, last):
        # Of a case that never ends, this says where it is.
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            case = run(seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                last = seed
                break
            where = traceback.extract_tb(error.__traceback__)[-1]
            failed.setdefault(f"{type(error).__name__} at {where.filename}:{where.lineno}", []).append(seed)
            continue
        ended.update({d.code.value for d in case.errors} or {"good"})
        if case.seconds > SECONDS:
            slow.append((seed, case.spoilt, round(case.seconds, 1)))
        if seed % 500 == 499:
            print(f"{seed + 1}: {len(slow)} slow, {sum(map(len, failed.values()))} failed", flush=True)
    faulthandler.cancel_dump_traceback_later()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{last - first} cases in {time.monotonic() - started:.0f} s, at most {peak} MiB, slow: {slow}")
    print(dict(ended.most_common()))
    for what, seeds in failed.items():
        print(f"{len(seeds)} times {what}: seeds {seeds[:10]}")


def _main(what: str, first: str, last: str) -> None:
    # What a spoilt URL leads to is not asked.
    conftest.guard_the_network()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.environ["CROISSANT_RECIPE_CACHE_DIR"] = f"{scratch}/cache"
        folder = Folder(Path(scratch))
        if what == "of_portal":
            with _portal(folder) as run:
                campaign(run, int(first), int(last))
        else:
            campaign(getattr(folder, what), int(first), int(last))


if __name__ == "__main__":
    _main(*sys.argv[1:])
