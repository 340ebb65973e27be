"""The floor: the least that any exporter of a project must do, in plain Python. Also how every side is measured.

``python -m benchmarks.floor CONFIG`` lists the directories that an export lists, with ``os.scandir``, and takes the
sha256 of the picks and meshes in them (``--no-sha256`` leaves that out). It prints one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_STATUS = Path("/proc/self/status")
_HASHED = (".json", ".glb")


def measured(call: Callable[[], object]) -> dict[str, float]:
    """``seconds`` that the call takes, and ``peak_rss_mb`` of this process up to its end (MB of 2**20 bytes, Linux)."""
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    # Not getrusage: its maximum survives exec, so a child would report the memory of the process that started it.
    peak_kb = next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return {"seconds": round(seconds, 3), "peak_rss_mb": round(peak_kb / 1024, 1)}


def in_fresh_process(module: str, *arguments: str) -> dict[str, float]:
    """What ``python -m module`` measures and prints, with ``total_seconds`` of the whole process, imports included.

    Raises:
        subprocess.CalledProcessError: If the process fails. What it wrote to stderr is shown.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    total = time.perf_counter() - start
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "total_seconds": round(total, 3)}


def artifact_paths(root: Path) -> Iterator[str]:
    """Every artifact of a copick project, from one listing of each directory. Zarr stores are not looked into."""
    for run in _folders(str(root / "ExperimentRuns")):
        for folder in _folders(run):
            with os.scandir(folder) as entries:
                yield from (entry.path for entry in entries)
    objects = root / "Objects"
    if objects.is_dir():
        yield from _folders(str(objects))


def sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.path for entry in entries if entry.is_dir()]


def _export(root: Path, hashes: bool) -> None:
    paths = list(artifact_paths(root))
    if hashes:
        for path in paths:
            if path.endswith(_HASHED):
                sha256(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="copick config of a project with one root")
    parser.add_argument("--no-sha256", action="store_true")
    given = parser.parse_args()
    root = Path(json.loads(given.config.read_text())["overlay_root"])
    print(json.dumps(measured(lambda: _export(root, not given.no_sha256))))


if __name__ == "__main__":
    main()
