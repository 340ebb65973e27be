"""croissant-recipes beside copick over one stand-in portal: ``python -m benchmarks.compare_portal --runs 1000``.

``three-step`` is ``recipes/portal-curation.yaml`` over dataset 10000, ``whole`` everything of the three datasets. Both
sides start with nothing cached and ask the same server, which waits ``--latency-ms`` before each answer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.floor import in_fresh_process

_SCENARIOS = {
    "three-step": (("10000",), {"bytes": 10, "requests": 5, "seconds": 10}),
    "whole": (("10000", "10440", "10301"), {"bytes": 2, "seconds": 4}),
}
"""The datasets of each scenario, and the ratios that are promised."""


@contextmanager
def server(runs: int, latency_ms: float, datasets: tuple[str, ...]) -> Iterator[str]:
    """The stand-in portal in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "tests.portal_server", "--runs", str(runs), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        [*command, "--datasets", *datasets], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
        finally:
            process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000])
    parser.add_argument("--latency-ms", type=float, default=30)
    parser.add_argument("--no-copick", action="store_true", help="only our side")
    given = parser.parse_args()
    print(f"{'runs':>6}  {'scenario':10}  {'figure':8}  {'ours':>12}  {'copick':>12}  {'ratio':>6}  wanted")
    for runs in given.runs:
        for scenario, (datasets, wanted) in _SCENARIOS.items():
            with server(runs, given.latency_ms, datasets) as url:
                words = (url, scenario, "--datasets", *datasets)
                ours = in_fresh_process("benchmarks.portal_our_side", *words)
                theirs = None if given.no_copick else in_fresh_process("benchmarks.portal_copick_side", *words)
            for figure in ("seconds", "requests", "bytes"):
                side = (
                    f"{theirs[figure]:>12,.6g}  {theirs[figure] / ours[figure]:>6.1f}" if theirs else f"{'':12}  {'':6}"
                )
                promise = f"{wanted[figure]:g}" if figure in wanted else ""
                print(f"{runs:>6}  {scenario:10}  {figure:8}  {ours[figure]:>12,.6g}  {side}  {promise}", flush=True)


if __name__ == "__main__":
    main()
