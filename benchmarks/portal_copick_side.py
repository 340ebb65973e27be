"""What copick takes over a portal: ``python -m benchmarks.portal_copick_side URL three-step --datasets 10000``.

``URL`` is the GraphQL endpoint of ``python -m tests.portal_server``. ``three-step`` does what
``recipes/portal-curation.yaml`` says, as an export and two appends; ``whole`` exports all of the datasets. The root is
opened once, without copick's disk cache, and serves all three steps, in copick's favour: its command line opens it for
each. So is leaving out its validation of the result, and its imports.

Prints one JSON object: ``seconds``, ``peak_rss_mb``, and ``requests`` and ``bytes`` as the server counts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urljoin

from benchmarks.floor import measured
from tests.portal_oracle import copick_append, copick_export, copick_portal_root

_NONE = ("features", "meshes", "segmentations", "objects")


def three_step(url: str, datasets: Sequence[int], folder: Path) -> None:
    """Tomograms, ribosome picks of one method, fatty acid synthase picks of one author."""
    nothing: dict[str, list[str]] = {name: [] for name in _NONE}
    root = copick_portal_root(url, datasets, folder)
    out = folder / "out"
    copick_export(root, out, tomograms=["wbp-raw@13.48"], tomo_type_map={"wbp-raw": "wbp"}, picks=[], **nothing)
    copick_append(
        root,
        out,
        tomograms=[],
        picks=["cytosolic-ribosome:*/*"],
        picks_portal_meta={"method_type": "hybrid"},
        object_name_map={"cytosolic-ribosome": "ribosome"},
        session_id_template="{method_type}",
        **nothing,
    )
    copick_append(
        root,
        out,
        tomograms=[],
        picks=["fatty-acid-synthase-complex:*/*"],
        picks_author=["Sara Goetz"],
        object_name_map={"fatty-acid-synthase-complex": "fas"},
        session_id_template="{method_type}-{deposition_id}",
        **nothing,
    )


def whole(url: str, datasets: Sequence[int], folder: Path) -> None:
    """Everything in the datasets."""
    copick_export(copick_portal_root(url, datasets, folder), folder / "out")


_SCENARIOS = {"three-step": three_step, "whole": whole}


def counted(url: str) -> dict[str, int]:
    """The numbers that the stand-in server counts."""
    with urllib.request.urlopen(urljoin(url, "/stats")) as answer:
        return {name: value for name, value in json.load(answer).items() if name in ("requests", "bytes")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="GraphQL endpoint of the stand-in server")
    parser.add_argument("scenario", choices=_SCENARIOS)
    parser.add_argument("--datasets", type=int, nargs="+", default=[10000])
    given = parser.parse_args()
    before = counted(given.url)
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, float] = measured(lambda: _SCENARIOS[given.scenario](given.url, given.datasets, Path(folder)))
    result |= {name: value - before[name] for name, value in counted(given.url).items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
