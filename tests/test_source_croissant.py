"""Existing Croissants as sources: every text as it is written, every row where its data lies."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import math
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import copick
import pandas as pd
import pytest
from croissants import CONFIG, write_croissant
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import Mesh, PickableObject, Picks, ProjectSpec, Run, Segmentation, Tomogram, write_project
from source_layers import keys, layer

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.croissant import reader
from croissant_recipes.croissant.reader import read_croissant
from croissant_recipes.croissant.sifting import sifted, without_strays
from croissant_recipes.diagnostics import DiagnosticError, Severity
from croissant_recipes.language.source_kinds import CroissantSource as CroissantSpec
from croissant_recipes.location import Location
from croissant_recipes.progress import Silent
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.base import FileFacts, Inventory, Means, Root
from croissant_recipes.sources.croissant_source import CroissantSource
from croissant_recipes.work import Workers

ROWS = {
    "runs": {"name": ["TS_001", "0042", "NA"], "portal_run_id": ["", "16463", ""], "split": ["train", "val", ""]},
    "voxel_spacings": {"run": ["TS_001"], "voxel_size": [10.0]},
    "tomograms": {
        "run": ["TS_001", "TS_001"],
        "voxel_size": [10.0, 7.84],
        "tomo_type": ["wbp", "null"],
        "url": ["ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr", "s3://elsewhere/tomo.zarr"],
        "portal_tomogram_id": ["1001", ""],
    },
    "picks": {
        "run": ["TS_001", "0042"],
        "user_id": ["alice", "NA"],
        "session_id": ["1.10", "1e5"],
        "object_name": ["ribosome", "true"],
        "voxel_size": [10.0, math.nan],
        "url": ["/p/one.json", "file:///data/two.json"],
        "sha256": ["a" * 64, ""],
        "portal_object_name": ["cytosolic ribosome", ""],
    },
    "segmentations": {
        "run": ["TS_001", "TS_001"],
        "voxel_size": [10.0, 10.0],
        "user_id": ["alice", "alice"],
        "session_id": ["1", "1"],
        "name": ["membrane", "all"],
        "is_multilabel": [False, True],
        "url": ["s/one.zarr", "s/two.zarr"],
    },
    "instance_segmentations": {
        "run": ["TS_001"],
        "voxel_size": [10.0],
        "user_id": ["alice"],
        "session_id": ["1"],
        "name": ["membrane"],
        "url": ["s/three.zarr"],
    },
    "objects": {"name": ["ribosome"], "url": ["Objects/ribosome.zarr"]},
}


def source(url: Path | str, folder: Path = Path("/"), **spec: Any) -> CroissantSource:
    return CroissantSource("old", CroissantSpec(url=str(url), **spec), Means(folder, Workers(4)))


def scanned(url: Path | str, folder: Path = Path("/"), **spec: Any) -> Inventory:
    return source(url, folder, **spec).scan([layer()], Silent())[0]


def refused(url: Path | str, folder: Path = Path("/")) -> list[tuple[Code, str, str | None]]:
    with pytest.raises(DiagnosticError) as caught:
        scanned(url, folder)
    return [(d.code, d.message, d.hint) for d in caught.value.diagnostics]


def edit(manifest: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(manifest.read_text())
    change(document)
    manifest.write_text(json.dumps(document))


def rewrite_csv(manifest: Path, name: str, data: bytes) -> None:
    """Writes a CSV, and its sha256 into the manifest."""
    (manifest.parent / f"{name}.csv").write_bytes(data)
    edit(manifest, lambda d: file_object(d, name).update(sha256=hashlib.sha256(data).hexdigest()))


def file_object(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(e for e in document["distribution"] if e["@id"] == RECORD_SETS[name].file_object_id)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once: mlcroissant takes its time with a manifest."""
    folder = tmp_path_factory.mktemp("written")
    write_croissant(folder, ROWS)
    return folder


@pytest.fixture
def manifest(tmp_path: Path, written: Path) -> Path:
    shutil.copytree(written, tmp_path / "old")
    return tmp_path / "old" / "Croissant" / "metadata.json"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_WAITS", (0.0,))


# Rows


def test_every_text_is_as_it_is_written(manifest: Path) -> None:
    inventory = scanned(manifest)
    assert inventory.table("runs").values.tolist() == [
        ["0042", "16463", "val"],
        ["NA", "", ""],
        ["TS_001", "", "train"],
    ]
    assert keys(inventory)["picks"] == {("TS_001", "alice", "1.10", "ribosome"), ("0042", "NA", "1e5", "true")}
    assert keys(inventory)["tomograms"] == {("TS_001", 10.0, "wbp"), ("TS_001", 7.84, "null")}
    picks = inventory.table("picks").set_index("run")
    assert math.isnan(picks.loc["0042", "voxel_size"])
    assert picks.loc["TS_001", ["voxel_size", "sha256", "portal_object_name"]].tolist() == [
        10.0,
        "a" * 64,
        "cytosolic ribosome",
    ]
    assert inventory.table("tomograms")["portal_tomogram_id"].tolist() == ["", "1001"]


def test_all_types_of_segmentation_share_a_table(manifest: Path) -> None:
    table = scanned(manifest).table("segmentations")
    assert table[["name", "segmentation_type", "path"]].values.tolist() == [
        ["all", "multilabel", "s/two.zarr"],
        ["membrane", "binary", "s/one.zarr"],
        ["membrane", "instance", "s/three.zarr"],
    ]


def test_relative_rows_have_the_root_and_absolute_ones_none(manifest: Path) -> None:
    inventory = scanned(manifest)
    assert inventory.table("tomograms")[["root", "path"]].values.tolist() == [
        ["", "s3://elsewhere/tomo.zarr"],
        ["croissant", "ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr"],
    ]
    # copick joins a path that begins with a slash to the base like any other.
    assert inventory.table("picks")[["root", "path"]].values.tolist() == [
        ["", "file:///data/two.json"],
        ["croissant", "p/one.json"],
    ]


def test_the_data_lie_above_the_croissant_unless_it_says_otherwise(tmp_path: Path, manifest: Path) -> None:
    assert scanned(manifest).roots == {"croissant": Root(Location.parse(tmp_path / "old"))}
    published = manifest
    edit(published, lambda d: d.update({"copick:baseUrl": "https://example.org/data/"}))
    assert scanned(published).roots == {
        "croissant": Root(Location.parse("https://example.org/data"), base_url="https://example.org/data")
    }
    moved = scanned(published, base_url="s3://moved/data/")
    assert moved.roots == {"croissant": Root(Location.parse("s3://moved/data"), base_url="s3://moved/data")}
    edit(published, lambda d: d.update({"copick:baseUrl": f"file://{tmp_path}/here"}))
    assert scanned(published).roots == {"croissant": Root(Location.parse(tmp_path / "here"))}


def test_credentials_in_a_base_url_are_not_told(manifest: Path) -> None:
    edit(manifest, lambda d: d.update({"copick:baseUrl": "https://me:hunter2@example.org/data?token=hunter3"}))
    inventory = scanned(manifest)
    assert inventory.roots["croissant"] == Root(
        Location.parse("https://example.org/data"), base_url="https://example.org/data"
    )


def test_objects_config_and_manifest_are_passed_on(manifest: Path) -> None:
    inventory = scanned(manifest)
    assert list(inventory.objects) == CONFIG["pickable_objects"]
    assert inventory.config == {key: CONFIG[key] for key in ("name", "description", "version")}
    assert inventory.manifest == json.loads(manifest.read_text())


def test_a_relative_url_starts_at_the_recipe(tmp_path: Path, manifest: Path) -> None:
    assert len(scanned("old/Croissant/metadata.json", tmp_path).table("runs")) == 3


def test_a_croissant_is_read_once_for_all_layers(manifest: Path) -> None:
    first, second = source(manifest).scan([layer(), layer()], Silent())
    assert first is second


def test_read_croissant_gives_record_tables(manifest: Path) -> None:
    existing = read_croissant(Location.parse(manifest))
    assert existing.tables.keys() == RECORD_SETS.keys()
    assert existing.tables["voxel_spacings"].values.tolist() == [["TS_001", 10.0]]
    assert existing.tables["picks"]["url"].tolist() == ["/p/one.json", "file:///data/two.json"]
    assert existing.base == Location.parse(manifest.parent.parent)
    assert not existing.diagnostics


def test_parquet_beside_the_csvs_changes_nothing(tmp_path: Path, manifest: Path) -> None:
    with_parquet = write_croissant(tmp_path / "parquet", ROWS, parquet=True)
    assert any("parquet" in str(e) for e in json.loads(with_parquet.read_text())["distribution"])
    assert keys(scanned(with_parquet)) == keys(scanned(manifest))


def test_files_can_be_read_too(tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROISSANT_RECIPE_CACHE_DIR", str(tmp_path / "cache"))
    for path in (tmp_path / "old" / "p" / "one.json", tmp_path / "two.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"voxel_spacing": 10.0}')
    asked = [("croissant", "p/one.json"), ("", f"file://{tmp_path}/two.json")]
    found = source(manifest).read_files(asked, sha256=True, progress=Silent())
    digest = hashlib.sha256(b'{"voxel_spacing": 10.0}').hexdigest()
    assert found == {key: FileFacts(digest, 10.0) for key in asked}


# Croissants of copick


def test_a_croissant_that_copick_wrote(tmp_path: Path) -> None:
    from copick.ops.croissant import export_croissant

    sessions = ("1", "2")
    run = Run(
        "TS_001",
        (Tomogram(10.0, "wbp"),),
        picks=tuple(Picks("alice", s, "ribosome", voxel_spacing=10.0) for s in sessions),
        meshes=(Mesh("alice", "1", "ribosome"),),
        segmentations=tuple(
            Segmentation(10.0, "alice", "1", "ribosome", t) for t in ("binary", "multilabel", "instance", "panoptic")
        ),
    )
    project = write_project(tmp_path, ProjectSpec((run,), (PickableObject("ribosome", density_map=True),)))
    export_croissant(
        copick.from_file(str(project.config)), str(project.root), base_url=f"file://{project.root}", validate=False
    )
    inventory = scanned(project.root / "Croissant" / "metadata.json")
    assert not inventory.diagnostics
    assert inventory.roots == {"croissant": Root(Location.parse(project.root))}
    assert keys(inventory)["picks"] == {("TS_001", "alice", s, "ribosome") for s in sessions}
    assert {k[-1] for k in keys(inventory)["segmentations"]} == {"binary", "multilabel", "instance", "panoptic"}
    for artifact, table in inventory.tables.items():
        for path in table["path"] if artifact != "runs" else ():
            assert (project.root / path).exists()


def test_of_rows_with_one_key_the_first_counts(manifest: Path) -> None:
    header = ",".join(RECORD_SETS["meshes"].columns)
    rows = "TS_001,alice,1,ribosome,first.glb,\nTS_001,alice,1,ribosome,second.glb,\nTS_001,bob,1,ribosome,third.glb,\n"
    edit(manifest, lambda d: d["distribution"].append({"@type": "cr:FileObject", "@id": "meshes-csv"}))
    rewrite_csv(manifest, "meshes", f"{header}\n{rows}".encode())
    inventory = scanned(manifest)
    assert inventory.table("meshes")["path"].tolist() == ["first.glb", "third.glb"]
    (found,) = inventory.diagnostics
    assert (found.code, found.severity) == (Code.CROISSANT, Severity.WARNING)
    assert found.message == (
        f"Croissant {manifest}: meshes.csv: 1 row repeats the key of an earlier row; the earlier one counts, as for "
        "copick"
    )
    assert found.notes == ("TS_001, alice, 1, ribosome",)


def test_a_croissant_of_an_older_copick(manifest: Path) -> None:
    """No record sets of newer types, no newer columns, no checksums."""

    def age(document: dict[str, Any]) -> None:
        for key, name in (
            ("distribution", "instance-segmentations-csv"),
            ("recordSet", "copick/instance_segmentations"),
        ):
            document[key] = [e for e in document[key] if e["@id"] != name]
        for entry in document["distribution"]:
            entry.pop("sha256")

    edit(manifest, age)
    (manifest.parent / "instance_segmentations.csv").unlink()
    (manifest.parent / "segmentations.csv").write_text(
        "run,voxel_size,user_id,session_id,name,url\nTS_001,10.0,alice,1,membrane,s/one.zarr\n"
    )
    (manifest.parent / "runs.csv").write_text("name\nTS_001\n")
    inventory = scanned(manifest)
    assert inventory.table("runs").values.tolist() == [["TS_001", "", ""]]
    assert inventory.table("segmentations")["segmentation_type"].tolist() == ["binary"]


def test_a_csv_that_the_manifest_does_not_list_is_not_read(manifest: Path) -> None:
    assert "meshes-csv" not in manifest.read_text()
    (manifest.parent / "meshes.csv").write_text("this is, no\nCSV")
    assert scanned(manifest).table("meshes").empty
    (manifest.parent / "meshes.csv").unlink()
    assert scanned(manifest).table("meshes").empty


def test_a_column_that_copick_does_not_know_is_told(manifest: Path) -> None:
    rewrite_csv(manifest, "runs", b"name,note,mood\nTS_001,x,y\n0042,x,y\n")
    edit(manifest, lambda d: d["recordSet"][0]["field"].append({"@type": "cr:Field", "@id": "copick/runs/grade"}))
    (found,) = scanned(manifest).diagnostics
    assert (found.code, found.severity) == (Code.CROISSANT, Severity.WARNING)
    assert found.message == (
        f"Croissant {manifest}: runs.csv has columns that copick does not know, left out: 'note', 'mood' and 'grade'"
    )
    assert "a record set of their own" in str(found.hint)


@pytest.mark.parametrize("key", ["run", "user_id", "session_id", "object_name"])
def test_a_csv_without_a_column_of_its_key_is_refused(manifest: Path, key: str) -> None:
    table = pd.read_csv(manifest.parent / "picks.csv", dtype=str).drop(columns=key)
    rewrite_csv(manifest, "picks", table.to_csv(index=False).encode())
    problem = f"Croissant {manifest}: picks.csv has no column {key!r}, by which its rows are known"
    assert refused(manifest) == [(Code.CROISSANT, problem, None)]
    rewrite_csv(manifest, "picks", b"url\n")
    assert scanned(manifest).table("picks").empty, "nothing is lost of what has no rows"


def test_blank_rows_and_lines_are_left_out_and_told(manifest: Path) -> None:
    rewrite_csv(manifest, "runs", b"name,portal_run_id,split\nTS_001,,train\n,,\n\n0042,,\nNA,,\n,7,val\n")
    inventory = scanned(manifest)
    assert inventory.table("runs")["name"].tolist() == ["0042", "NA", "TS_001"]
    assert [d.message for d in inventory.diagnostics] == [
        f"Croissant {manifest}: runs.csv: line 4 is empty",
        f"Croissant {manifest}: runs.csv: rows 3 and 6 are without a name, left out",
    ]
    rewrite_csv(manifest, "runs", b"name,portal_run_id,split\nTS_001,,\n,,\n0042,,\n")
    (told,) = scanned(manifest).diagnostics
    assert told.message == f"Croissant {manifest}: runs.csv: row 3 is blank, left out"


def test_rows_of_runs_that_are_not_listed_are_left_out_and_told_once(manifest: Path) -> None:
    """copick does not see them either. They were once written as rows of a run that nobody lists."""
    rewrite_csv(manifest, "runs", b"name,portal_run_id,split\n0042,,\n")
    inventory = scanned(manifest)
    left = {name: table["run"].tolist() for name, table in inventory.tables.items() if "run" in table}
    assert {run for runs in left.values() for run in runs} == {"0042"}
    (told,) = inventory.diagnostics
    assert (told.code, told.severity) == (Code.CROISSANT, Severity.WARNING)
    assert told.message == (
        f"Croissant {manifest}: runs.csv does not list 'TS_001', and rows of it are left out: 1 in voxel_spacings.csv, "
        "2 in tomograms.csv, 1 in picks.csv, 2 in segmentations.csv and 1 in instance_segmentations.csv"
    )


def test_of_runs_with_one_name_the_last_counts(manifest: Path) -> None:
    rewrite_csv(manifest, "runs", b"name,portal_run_id,split\nTS_001,,train\n0042,,\nTS_001,,val\n")
    from_copick = copick.from_croissant(str(manifest)).get_run("TS_001").split
    inventory = scanned(manifest)
    assert inventory.table("runs").values.tolist() == [["0042", "", ""], ["TS_001", "", from_copick]]
    (told,) = inventory.diagnostics
    assert told.message.endswith("runs.csv: 1 row repeats the key of a later row; the later one counts, as for copick")
    assert told.notes == ("TS_001",)


NAMES = st.sampled_from(["", "A", "B", "C"])
RUNS = st.lists(st.tuples(NAMES, st.just("7"), st.sampled_from(["", "train", "val"])), max_size=5)
PICKS = st.lists(st.tuples(NAMES, st.just("u"), NAMES, NAMES, st.floats(1, 9) | st.just(math.nan), NAMES), max_size=8)


@settings(max_examples=40, deadline=None)
@given(RUNS, PICKS)
def test_every_row_that_is_left_out_is_told(run_rows: list[tuple[Any, ...]], pick_rows: list[tuple[Any, ...]]) -> None:
    """A reader that keeps nothing in mind, row by row."""
    told, kept_runs, kept = 0, {}, {}
    for run in run_rows:
        told += not run[0] or run[0] in kept_runs
        if run[0]:
            kept_runs[run[0]] = run
    known = set()
    for row in pick_rows:
        if not row[0] or row[:4] in known:
            told += 1
            continue
        known.add(row[:4])
        if row[0] in kept_runs:
            kept[row[:4]] = row
        else:
            told += 1
    columns = {name: RECORD_SETS[name].columns for name in ("runs", "picks")}
    read = {name: tables.records(name) for name in RECORD_SETS} | {
        name: tables.records(name, dict(zip(columns[name], zip(*rows, strict=True), strict=False)) if rows else {})
        for name, rows in (("runs", run_rows), ("picks", pick_rows))
    }
    remarks = []
    for name in read:
        read[name], more = sifted(name, read[name])
        remarks += more
    read, more = without_strays(read)
    assert set(read["runs"].itertuples(index=False, name=None)) == set(kept_runs.values())
    assert list(read["picks"][list(RECORD_SETS["picks"].key)].itertuples(index=False, name=None)) == list(kept)
    assert read["picks"]["url"].tolist() == [row[5] for row in kept.values()]
    counted = sum(_rows_told(remark.message) for remark in [*remarks, *more])
    assert counted == told


def _rows_told(message: str) -> int:
    """How many rows a remark speaks of."""
    if " repeat" in message:
        return int(message.split(": ")[1].split()[0])
    if "does not list" in message:
        return sum(map(int, re.findall(r"(\d+) in \w+\.csv", message)))
    return len(re.findall(r"\d+", message))


def test_a_csv_elsewhere_is_read_where_the_manifest_says(tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "tables").mkdir()
    (manifest.parent / "runs.csv").rename(tmp_path / "tables" / "runs.csv")
    edit(manifest, lambda d: file_object(d, "runs").update(contentUrl="../../tables/runs.csv"))
    assert len(scanned(manifest).table("runs")) == 3
    edit(manifest, lambda d: file_object(d, "runs").update(contentUrl=f"file://{tmp_path}/tables/runs.csv"))
    assert len(scanned(manifest).table("runs")) == 3


# What cannot be used


def test_a_csv_that_does_not_match_the_manifest(manifest: Path) -> None:
    path = manifest.parent / "picks.csv"
    path.write_bytes(path.read_bytes().replace(b"alice", b"carol"))
    assert refused(manifest) == [
        (
            Code.CROISSANT,
            f"Croissant {manifest}: picks.csv does not match its metadata.json: its sha256 is another",
            "write it anew, or get all its files in one version",
        )
    ]


def test_a_csv_that_is_not_there(manifest: Path) -> None:
    (manifest.parent / "picks.csv").unlink()
    assert refused(manifest) == [
        (
            Code.CROISSANT,
            f"Croissant {manifest}: it lists picks.csv, which is not there",
            "write it anew, or get all its files in one version",
        )
    ]


def test_a_csv_that_is_none(manifest: Path) -> None:
    rewrite_csv(manifest, "voxel_spacings", b"run,voxel_size\nTS_001,ten\n")
    ((code, message, _),) = refused(manifest)
    assert code is Code.CROISSANT
    assert message == f"Croissant {manifest}: voxel_spacings.csv, column voxel_size, row 2: 'ten' is no number"


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    assert refused("old/metadata.json", tmp_path) == [
        (
            Code.UNREACHABLE,
            f"Croissant {tmp_path}/old/metadata.json cannot be read: there is no such file or folder",
            "correct the path",
        )
    ]


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "{",
            "it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            "write it anew with copick or croissant-recipe, or get it whole",
        ),
        (
            '{"name": "other", "recordSet": [{"@id": "images"}]}',
            "it has neither copick:config nor a record set of copick",
            "name the metadata.json of a Croissant that copick or croissant-recipe wrote",
        ),
        (
            "[]",
            "it has neither copick:config nor a record set of copick",
            "name the metadata.json of a Croissant that copick or croissant-recipe wrote",
        ),
        (
            '{"pickable_objects": [], "overlay_root": "."}',
            "it is a copick config, and no Croissant",
            "a copick project is another kind of source: write `copick: {config: …}` instead of `croissant: {url: …}`",
        ),
        (
            '{"copick:config": "{}"}',
            "its copick:config is no object with a list of pickable_objects",
            "write it anew with copick or croissant-recipe; mlcroissant's own writer makes it a text",
        ),
        (
            '{"copick:config": {"pickable_objects": [{"label": 1}]}}',
            "its copick:config is no object with a list of pickable_objects",
            "write it anew with copick or croissant-recipe; mlcroissant's own writer makes it a text",
        ),
    ],
)
def test_a_manifest_that_is_no_copick_croissant(tmp_path: Path, text: str, problem: str, hint: str | None) -> None:
    manifest = tmp_path / "metadata.json"
    manifest.write_text(text)
    assert refused(manifest) == [(Code.CROISSANT, f"Croissant {manifest}: {problem}", hint)]


def test_a_croissant_that_is_replaced_while_it_is_read(
    tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = write_croissant(tmp_path / "new", {**ROWS, "runs": {"name": ["TS_007"]}}).parent
    real = reader._manifest
    done: list[bool] = []

    def replaced_after(*given: Any) -> Any:
        document = real(*given)
        if not done:
            done.append(True)
            manifest.parent.rename(tmp_path / "gone")
            new.rename(manifest.parent)
        return document

    monkeypatch.setattr(reader, "_manifest", replaced_after)
    assert scanned(manifest).table("runs")["name"].tolist() == ["TS_007"]


# Elsewhere than on a disk


class _Server(http.server.SimpleHTTPRequestHandler):
    """Wants a token in the query, as a shared link does."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if query != "token=hunter2":
            self.send_error(403)
            return
        self.path = path
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the class above
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(_Server, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_croissant_on_the_web(manifest: Path, web: str) -> None:
    url = f"{web}/old/Croissant/metadata.json?token=hunter2"
    inventory = scanned(url)
    assert keys(inventory) == keys(scanned(manifest))
    assert inventory.roots == {"croissant": Root(Location.parse(f"{web}/old"), base_url=f"{web}/old")}


def test_files_below_a_croissant_on_the_web_are_read_with_its_token(manifest: Path, web: str) -> None:
    (manifest.parent.parent / "p").mkdir()
    (manifest.parent.parent / "p" / "one.json").write_text('{"voxel_spacing": 10.0}')
    asked = [("croissant", "p/one.json")]
    found = source(f"{web}/old/Croissant/metadata.json?token=hunter2").read_files(asked, sha256=True, progress=Silent())
    assert found == {asked[0]: FileFacts(hashlib.sha256(b'{"voxel_spacing": 10.0}').hexdigest(), 10.0)}


def test_what_is_not_on_the_web_is_told_without_the_token(web: str, manifest: Path) -> None:
    assert refused(f"{web}/none/metadata.json?token=hunter2") == [
        (
            Code.UNREACHABLE,
            f"Croissant {web}/none/metadata.json cannot be read: there is no such file or folder",
            "correct the URL, or check the connection and the fs_args",
        )
    ]
    ((code, message, _),) = refused(f"{web}/old/Croissant/metadata.json?token=hunter3")
    assert code is Code.UNREACHABLE
    assert message.startswith(f"Croissant {web}/old/Croissant/metadata.json cannot be read: ")
    assert "hunter3" not in message


def test_a_croissant_in_another_filesystem(manifest: Path) -> None:
    memory = MemoryFileSystem()
    memory.put(str(manifest.parent.parent), "/somewhere/old", recursive=True)
    try:
        inventory = scanned("memory://somewhere/old/Croissant/metadata.json")
        assert keys(inventory) == keys(scanned(manifest))
        assert inventory.roots["croissant"].location.url == "memory://somewhere/old"
    finally:
        memory.rm("/somewhere", recursive=True)


def test_an_unknown_protocol_is_told() -> None:
    ((code, message, hint),) = refused("gopher://example.org/metadata.json")
    assert (code, hint) == (
        Code.UNREACHABLE,
        "install the package that gives fsspec this protocol, or correct the URL",
    )
    assert message == "Croissant gopher://example.org/metadata.json cannot be read: Protocol not known: gopher"
