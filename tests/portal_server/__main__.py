"""Serves tables in a process of its own: ``python -m tests.portal_server --runs 1000 --latency-ms 30``.

Prints the endpoint's URL on one line once it listens, and serves until its standard input ends or it is killed.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

import orjson

from tests.portal_server import serve
from tests.portal_server.filters import Tables
from tests.portal_tables import DATASETS, generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--runs", type=int, help="generate tables of so many runs")
    source.add_argument("--tables", type=Path, help="a tables.json.gz")
    parser.add_argument("--datasets", type=int, nargs="+", default=list(DATASETS), help="with --runs")
    parser.add_argument("--seed", type=int, default=0, help="with --runs")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--shuffle", type=int, help="seed of another order of rows at every request")
    given = parser.parse_args()
    tables: Tables = (
        orjson.loads(gzip.decompress(given.tables.read_bytes()))
        if given.tables
        else generate(runs=given.runs, seed=given.seed, datasets=tuple(given.datasets))
    )
    with serve(tables, latency=given.latency_ms / 1000, shuffle=given.shuffle) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
