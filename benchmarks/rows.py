"""Large Croissants to measure on, made of rows alone: ``python -m benchmarks.rows DIR --rows 1000000``.

Picks as projects have them: runs with tens of artifacts, a few users and objects, addresses of about a hundred
characters, a checksum each. No file that a row names exists. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.content import Content
from croissant_recipes.schema import RECORD_SETS

OBJECTS = ("ribosome", "proteasome", "apoferritin", "thyroglobulin", "virus-like-particle", "beta-galactosidase")
USERS = ("alice", "template-matching", "membrain-seg")
PICKS_PER_RUN = 200
BASE_URL = "https://data.example.org/projects/benchmark"
DATASET = {
    "name": "Benchmark",
    "description": "Generated rows.",
    "version": "1.0.0",
    "license": "https://creativecommons.org/publicdomain/zero/1.0/",
    "date_published": "2025-01-01",
    "url": "https://example.org/benchmark",
    "creators": [{"name": "Nobody"}],
}


def picks(rows: int, *, version: int = 0) -> pd.DataFrame:
    """Picks of a project, sorted by key. In another ``version`` one row in a hundred is gone, another is new, and one
    in ten has another checksum."""
    number = np.arange(rows + rows // 100)
    kept = number[number % 101 != 50 * version]
    run, at = np.divmod(kept, PICKS_PER_RUN)
    names = {
        "run": [f"TS_{r:06d}" for r in run],
        "user_id": np.array(USERS, dtype=object)[at % len(USERS)],
        "session_id": [f"round-{s:03d}" for s in at // (len(USERS) * len(OBJECTS))],
        "object_name": np.array(OBJECTS, dtype=object)[at // len(USERS) % len(OBJECTS)],
    }
    stem = pd.Series(names["user_id"]) + "_" + pd.Series(names["session_id"]) + "_" + pd.Series(names["object_name"])
    sha256 = [hashlib.sha256(b"%d %d" % (n, version if n % 10 == 0 else 0)).hexdigest() for n in kept.tolist()]
    table = tables.records(
        "picks",
        {
            **names,
            "voxel_size": np.where(kept % 7 == 0, np.nan, 10.0),
            "url": "ExperimentRuns/session-2024-11-24_grid-07/" + pd.Series(names["run"]) + "/Picks/" + stem + ".json",
            "sha256": sha256,
            "portal_object_name": ["cytosolic ribosome" if n % 3 == 0 else "" for n in kept],
            "portal_annotation_id": [str(10_000 + r) if n % 3 == 0 else "" for n, r in zip(kept, run, strict=True)],
        },
    )
    return tables.sort_by(table, RECORD_SETS["picks"].key)


def write_croissant(folder: Path, rows: int, *, version: int = 0) -> Path:
    """A Croissant of so many picks in ``folder``, and the path of its manifest."""
    found = {name: tables.records(name) for name in RECORD_SETS}
    found["picks"] = picks(rows, version=version)
    found["runs"] = tables.records("runs", {"name": found["picks"]["run"].unique()})
    config = {
        "name": "Benchmark",
        "description": "Generated rows.",
        "version": "1.0.0",
        "pickable_objects": [{"name": n, "is_particle": True, "label": i} for i, n in enumerate(OBJECTS, start=1)],
    }
    content = Content(found, config, DATASET, None, BASE_URL, None, parquet=False)
    (folder / "Croissant").mkdir(parents=True, exist_ok=True)
    for name, data in content.files().items():
        (folder / "Croissant" / name).write_bytes(data)
    return folder / "Croissant" / "metadata.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--version", type=int, default=0)
    given = parser.parse_args()
    print(write_croissant(given.folder, given.rows, version=given.version))


if __name__ == "__main__":
    main()
