"""What builds over different stand-in servers have in common."""

from __future__ import annotations

import json
import re
from pathlib import Path

from croissant_recipes.croissant.build_record import RECORD_FILE
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.croissant.provenance import GENERATED_BY

Files = dict[str, bytes]


def built_files(root: Path) -> Files:
    """The files of a Croissant by name. Of the build record and the manifest only what does not tell of the endpoint,
    which is another for every server: the digest of the recipe, which names it, and what the sources resolved to, are
    left out."""
    files = {path.name: path.read_bytes() for path in sorted((root / "Croissant").iterdir())}
    record = json.loads(files[RECORD_FILE])
    assert len(record["recipe"].pop("digest")) == 64
    del record["files"][METADATA], record["metadata"][GENERATED_BY]
    assert all(source["portal"]["url"] for source in record["parts"].pop("sources").values())
    assert {len(identity) for identity in record.pop("sources").values()} == {64}
    manifest, found = re.subn(b"sha256:[0-9a-f]{64}", b"sha256:", files[METADATA])
    assert found == 1
    return {**files, METADATA: manifest, RECORD_FILE: json.dumps(record).encode()}
