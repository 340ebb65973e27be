"""Every cell of docs/opening.md: what it says opens, opens with the data of the project, and what it says does not."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import copick
import numpy as np
import pytest
import s3fs
from samples import READERS, Key, artifacts, built, content, contents, copy_sample, snapshot, stored, write_recipe
from servers import S3Server, s3_server, web_server

from croissant_recipes.croissant import manifest
from docs import generate
from docs.opening_table import CELLS, CROISSANTS, PLACES, TYPES, Cell, is_read, opens

LAYER = """\
  - export: lab
    runs: TS_001
    tomograms: wbp@10.0
    picks: ribosome:curator/round-1
    segmentations: ["*", "*?instance=true", "*?panoptic=true"]
"""
RENAMED = {"wbp": "raw", "ribosome": "particle", "membrane": "bilayer", "all-objects": "everything", "cell": "cells"}
RENAME = f"""\
    rename:
      tomo_types: {{wbp: raw}}
      objects: {{{", ".join(f"{old}: {new}" for old, new in RENAMED.items() if old != "wbp")}}}
"""
PORTAL = "cryoet-data-portal-public"
S3 = "lab"

Data = Mapping[Key, np.ndarray]


def _type(key: Key) -> str:
    return next(t for t in TYPES if t.split()[0] == str(key[0]).split()[0])


class Places:
    """The sample project in every place, and the Croissants of it, which are built when they are first asked for."""

    def __init__(self, folder: Path, web: str, s3: S3Server) -> None:
        self.folder, self.web, self.s3 = folder, web, s3
        self.project = copy_sample(folder)
        self._drop_what_no_cell_is_about()
        config = json.loads((self.project / "filesystem.json").read_text())
        self.data: Data = contents(copick.from_string(json.dumps({**config, "overlay_root": str(self.project)})))
        self.files = {str(p.relative_to(self.project)): p.read_bytes() for p in self.project.rglob("*") if p.is_file()}
        self._found: dict[tuple[str, str, str], dict[str, bool]] = {}
        s3.make_bucket(S3)
        s3.make_public(PORTAL)

    def _drop_what_no_cell_is_about(self) -> None:
        runs = self.project / "ExperimentRuns"
        for name in ("TS_002", "TS_003", "TS_004", "TS_001/VoxelSpacing20.000"):
            shutil.rmtree(runs / name)

    def croissant(self, place: str, name: str) -> Path:
        """The folder of a Croissant for one place, built once."""
        out = self.folder / f"{PLACES.index(place)}-{name.split()[0]}"
        if not out.exists():
            base = {"disk": f"file://{out}", "http(s)": f"{self.web}/{out.name}", "S3": f"s3://{S3}/project"}
            source = "config: sample/filesystem.json"
            if place == "portal":
                source += f', base_url: "s3://{PORTAL}/10000"'
            recipe = write_recipe(
                self.folder,
                LAYER + (RENAME if name == "renamed" else ""),
                name=f"p{out.name}",
                more=f'output: {{project_root: {out.name}, base_url: "{base.get(place, f"s3://{PORTAL}")}"}}\n'
                f"sources: {{lab: {{copick: {{{source}}}}}}}\n",
            )
            built(recipe)
        return out

    def found(self, reader: str, place: str, name: str) -> dict[str, bool]:
        """For each type, whether it opened. Read once, in a fresh copy, since copick may change what it reads."""
        key = (reader, place, name)
        if key not in self._found:
            self._found[key] = self._open(*key)
        return self._found[key]

    def _open(self, reader: str, place: str, name: str) -> dict[str, bool]:
        built_as = self.croissant(place, name)
        fresh = self.folder / "-".join([*reader.replace(",", "").replace("'", "").split(), built_as.name])
        if place == "http(s)":
            fresh = built_as
        else:
            shutil.copytree(built_as, fresh)
        if place in ("disk", "http(s)"):
            shutil.copytree(self.project, fresh, dirs_exist_ok=True)
        elif place == "S3":
            self.s3.replace(S3, "project/", self.files)
        else:
            self.s3.replace(PORTAL, "10000/", self.files)
        given: dict[str, Any] = {}
        if place == "disk":
            given["croissant_base_url"] = f"file://{fresh}"
        elif place == "S3":
            given["static_fs_args"] = self.s3.fs_args
        elif place == "portal" and not reader.startswith("ours"):
            given["static_fs_args"] = {"anon": True}
        if reader.endswith("Mode B"):
            given["overlay_root"] = str(self.folder / "overlay")
        metadata = f"{self.web}/{fresh.name}" if place == "http(s)" else str(fresh)
        ours = reader.startswith("ours")
        before = self._state(fresh)
        root = READERS["ours" if ours else "copick"](f"{metadata}/Croissant/metadata.json", **given)
        read = content if place in ("disk", "http(s)") else stored
        outcome = self._read(root, read, RENAMED if name == "renamed" else {})
        if ours:
            assert self._state(fresh) == before, "reading changes nothing"
            assert not (self.folder / "overlay").exists()
        return outcome

    def _state(self, folder: Path) -> tuple[object, ...]:
        return snapshot(folder), self.s3.objects(S3), self.s3.objects(PORTAL)

    def _read(self, root: Any, read: Callable[[Key, Any], np.ndarray], names: Mapping[str, str]) -> dict[str, bool]:
        back = {new: old for old, new in names.items()}
        opened: dict[str, set[bool]] = defaultdict(set)
        for key, artifact in artifacts(root):
            original = (key[0], *(back.get(str(part), part) for part in key[1:]))
            try:
                same = np.array_equal(read(key, artifact), self.data[original])
            except Exception:
                same = False
            opened[_type(key)].add(same)
        assert all(len(each) == 1 for each in opened.values()), opened
        return {artifact: each.pop() for artifact, each in opened.items()}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("places")
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest, "_check", lambda *_, **__: None)
    with web_server(folder) as web, s3_server() as s3:
        # The stand-in for the portal's bucket is found as the portal's own is: by its name, without credentials.
        patch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        yield Places(folder, web, s3)
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()


@pytest.mark.parametrize("cell", CELLS, ids=" | ".join)
def test_an_artifact_opens_where_the_page_says_so(cell: Cell, places: Places) -> None:
    assert places.found(cell.reader, cell.place, cell.name)[cell.artifact] is opens(cell)


def test_the_page_shows_these_cells() -> None:
    page = (generate.REPOSITORY / generate.OPENING_PAGE).read_text(encoding="utf-8")
    assert generate.with_opening_tables(page) == page, "python -m docs.generate writes it anew"


@pytest.mark.parametrize("reader", ["ours", "copick's"])
@pytest.mark.parametrize("named", CROISSANTS)
def test_a_croissant_is_read_where_the_page_says_so(
    named: str, reader: str, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files that are named by a URL of their own are found from anywhere, so only this one has such.
    out = places.croissant("http(s)" if named == "http(s) URL" else "S3", "as its file")
    url = f"{out}/Croissant/metadata.json"
    given: dict[str, Any] = {}
    if named == "relative path":
        monkeypatch.chdir(out)
        url = "Croissant/metadata.json"
    elif named == "file:// URL":
        url = f"file://{url}"
    elif named == "http(s) URL":
        url = f"{places.web}/{out.name}/Croissant/metadata.json"
    elif named == "s3:// URL":
        files = {p.name: p.read_bytes() for p in (out / "Croissant").iterdir()}
        places.s3.replace(S3, "published/Croissant/", files)
        url = f"s3://{S3}/published/Croissant/metadata.json"
        given = {"croissant_fs_args": places.s3.fs_args}
    open_it = READERS["ours" if reader == "ours" else "copick"]
    if is_read(reader, named):
        root = open_it(url, overlay_root=str(tmp_path / "overlay"), **given)
        assert [(r.name, len(r.picks)) for r in root.runs] == [("TS_001", 1)]
    else:
        with pytest.raises(Exception, match=r"."):
            open_it(url, overlay_root=str(tmp_path / "overlay"), **given)
