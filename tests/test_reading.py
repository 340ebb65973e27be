"""Our reader against copick's own, on Croissants that copick reads as they are, and alone on those that it does not."""

from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import copick
import fsspec
import mlcroissant as mlc
import numpy as np
import pytest
from copick.impl.mlcroissant import CopickRootMLC
from copick.models import CopickLocation, CopickPoint
from croissants import CONFIG, Rows, files_of, manifest_of, write_croissant

from croissant_recipes.journal import JOURNAL, Journal, staged_path
from croissant_recipes.opening.project import from_croissant
from croissant_recipes.opening.row_index import RowIndex
from croissant_recipes.schema import RECORD_SETS

_BOTH = ["u", "u"]
TAME: Rows = {
    "runs": {"name": ["ts_a", "ts_b", "ts_c"], "portal_run_id": ["", "", ""], "split": ["train", "val", ""]},
    "voxel_spacings": {"run": ["ts_a", "ts_a", "ts_b"], "voxel_size": [10.0, 13.48, 10.0]},
    "tomograms": {
        "run": ["ts_a", "ts_a", "ts_b"],
        "voxel_size": [10.0, 13.48, 10.0],
        "tomo_type": ["wbp", "wbp", "denoised"],
        "url": ["ExperimentRuns/ts_a/VoxelSpacing10.000/wbp.zarr", "s3://bucket/a.zarr", "https://x.org/b.zarr"],
    },
    "features": {
        "run": ["ts_a"],
        "voxel_size": [10.0],
        "tomo_type": ["wbp"],
        "feature_type": ["edge"],
        "url": ["f.zarr"],
    },
    "picks": {
        "run": ["ts_a", "ts_b"],
        "user_id": _BOTH,
        "session_id": ["s1", "s2"],
        "object_name": ["ribosome", "ribosome"],
        "voxel_size": [10.0, float("nan")],
        "url": ["ExperimentRuns/ts_a/Picks/u_s1_ribosome.json", "https://example.org/b.ndjson"],
        "sha256": ["ab" * 32, "cd" * 32],
        "portal_object_name": ["cytosolic ribosome", ""],
    },
    "meshes": {
        "run": ["ts_a"],
        "user_id": ["u"],
        "session_id": ["s"],
        "object_name": ["membrane"],
        "url": ["ExperimentRuns/ts_a/Meshes/u_s_membrane.glb"],
    },
    "segmentations": {
        "run": ["ts_a", "ts_b"],
        "voxel_size": [10.0, 10.0],
        "user_id": _BOTH,
        "session_id": ["s", "s"],
        "name": ["membrane", "all"],
        "is_multilabel": [False, True],
        "url": ["x.zarr", "y.zarr"],
    },
    "instance_segmentations": {
        "run": ["ts_b"],
        "voxel_size": [10.0],
        "user_id": ["u"],
        "session_id": ["s"],
        "name": ["cells"],
        "url": ["i.zarr"],
    },
    "panoptic_segmentations": {
        "run": ["ts_b"],
        "voxel_size": [10.0],
        "user_id": ["u"],
        "session_id": ["s"],
        "name": ["cells"],
        "url": ["p.zarr"],
    },
    "objects": {"name": ["ribosome"], "url": ["Objects/ribosome.zarr"]},
}
"""Texts that pandas leaves alone, in every record set."""

NASTY = ["0042", "NA", "1e5", " 5", "null", "True", "1001", 'a "b", c', "naïve\r\n名"]
"""Texts of which pandas leaves few alone."""


def state(root: CopickRootMLC) -> dict[str, Any]:
    """Everything that copick's root and its index keep, in comparable form."""
    index = {f.name: getattr(root.index, f.name) for f in dataclasses.fields(root.index) if f.name != "_write_lock"}
    for ours in ("by_run", "by_place", "places", "location", "fs_args", "changes", "stored_version", "made"):
        index.pop(ours, None)
    kept = {k: v for k, v in vars(root).items() if k not in ("index", "fs_overlay", "_new", "_given")}
    kept["config"] = root.config.model_dump()
    overlay = root.fs_overlay
    return {**kept, **index, "fs": type(overlay), "fs_options": overlay.storage_options, "mode": root.mode}


def walk(root: CopickRootMLC) -> list[tuple[object, ...]]:
    """What a user sees who goes through the whole project."""
    seen: list[tuple[object, ...]] = [("split", s, *names) for s, names in root.splits.items()]
    seen += [("object", o.name, o.static_path, o.read_only, o.label, o.color) for o in root.pickable_objects]
    for run in root.runs:
        seen.append(("run", run.name, run.split, run.static_path, run.overlay_path))
        for spacing in run.voxel_spacings:
            seen.append(("spacing", run.name, spacing.voxel_size))
            for tomogram in spacing.tomograms:
                seen.append(("tomogram", run.name, tomogram.tomo_type, tomogram.static_path, tomogram.read_only))
                seen += [("features", run.name, f.feature_type, f.read_only) for f in tomogram.features]
        seen += [("picks", *_key(p), p._find_row()["url"], p.read_only) for p in run.picks]
        seen += [("mesh", *_key(m), m._find_row()["url"], m.read_only) for m in run.meshes]
        for s in run.segmentations:
            key = (run.name, s.segmentation_type, s.name, s.user_id, s.session_id, s.voxel_size)
            seen.append(("segmentation", *key, s._find_row()["url"], s.read_only))
    return seen


def _key(artifact: Any) -> tuple[str, ...]:
    return (artifact.run.name, artifact.pickable_object_name, artifact.user_id, artifact.session_id)


def pick_files(folder: Path) -> None:
    """The file of one pick of ``TAME``."""
    file = folder / "ExperimentRuns/ts_a/Picks/u_s1_ribosome.json"
    file.parent.mkdir(parents=True)
    point = {"location": {"x": 1.0, "y": 2.0, "z": 3.0}}
    named = {"pickable_object_name": "ribosome", "user_id": "u", "session_id": "s1", "points": [point]}
    file.write_text(json.dumps(named))


LAB = "https://example.org/lab"
WAYS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "project": (None, {}),
    "project elsewhere": ("file:///data/lab", {}),
    "overlay": (LAB, {"overlay_root": "OVERLAY"}),
    "overlay of a relocatable": (None, {"overlay_root": "OVERLAY"}),
    "overlay in the same place": (None, {"overlay_root": "PROJECT"}),
    "moved": (LAB, {"croissant_base_url": "https://example.org/moved", "overlay_root": "OVERLAY"}),
    "options": (None, {"static_fs_args": {"auto_mkdir": False}, "croissant_fs_args": {"auto_mkdir": True}}),
}
"""The base URL of a Croissant, and how it is opened."""


@pytest.mark.parametrize("way", WAYS)
def test_a_root_is_copicks_own_in_all_that_it_keeps_and_lists(tmp_path: Path, way: str) -> None:
    base_url, given = WAYS[way]
    manifest = write_croissant(tmp_path / "project", TAME, base_url=base_url)
    places = {"OVERLAY": str(tmp_path / "overlay"), "PROJECT": str(tmp_path / "project")}
    arguments = {k: places.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
    theirs = copick.from_croissant(str(manifest), **arguments)
    ours = from_croissant(str(manifest), **arguments)
    assert isinstance(ours, CopickRootMLC)
    assert state(ours) == state(theirs)
    if way != "overlay in the same place":
        assert walk(ours) == walk(theirs)


def test_what_is_opened_by_name_is_what_is_listed(tmp_path: Path) -> None:
    pick_files(tmp_path)
    root = from_croissant(str(write_croissant(tmp_path, TAME)))
    run = root.get_run("ts_a")
    assert [p.location.y for p in run.get_picks("ribosome")[0].points] == [2.0]
    assert run.get_voxel_spacing(13.48).get_tomogram("wbp").static_path == "s3://bucket/a.zarr"
    assert [r.name for r in root.get_runs_in_split("val")] == ["ts_b"]
    assert root.get_run("ts_z") is None


def test_a_config_is_written_and_opens_the_same_croissant(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path / "project", TAME)
    for opened, name in ((copick.from_croissant, "theirs.json"), (from_croissant, "ours.json")):
        opened(str(manifest), overlay_root=str(tmp_path / "overlay"), output_path=str(tmp_path / name))
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "theirs.json").read_bytes()
    assert [run.name for run in copick.from_file(str(tmp_path / "ours.json")).runs] == ["ts_a", "ts_b", "ts_c"]


@pytest.mark.parametrize(
    ("texts", "parquet"), [(NASTY, False), (NASTY, True), *(([text], False) for text in NASTY[:6])]
)
def test_every_text_is_what_was_written(tmp_path: Path, texts: list[str], parquet: bool) -> None:
    same = dict.fromkeys(("user_id", "session_id", "object_name", "url", "portal_annotation_id"), texts)
    rows: Rows = {"runs": {"name": texts, "portal_run_id": texts}, "picks": {"run": texts, **same}}
    root = from_croissant(str(write_croissant(tmp_path, rows, parquet=parquet)))
    assert [run.name for run in root.runs] == sorted(texts)
    assert {name: row["portal_run_id"] for name, row in root.index.runs_by_name.items()} == {t: t for t in texts}
    for text in texts:
        found = [(p.pickable_object_name, p.user_id, p.session_id) for p in root.get_run(text).picks]
        assert found == [(text, text, text)]
        assert root.get_run(text).picks[0]._find_row()["portal_annotation_id"] == text


def test_reading_touches_nothing_in_the_folder(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, TAME)
    before = {p: p.stat().st_mtime_ns for p in (manifest.parent, *manifest.parent.iterdir())}
    walk(from_croissant(str(manifest), overlay_root=str(tmp_path / "overlay")))
    assert {p: p.stat().st_mtime_ns for p in (manifest.parent, *manifest.parent.iterdir())} == before


def test_many_read_one_croissant_at_once(tmp_path: Path) -> None:
    manifest = str(write_croissant(tmp_path, TAME))
    with ThreadPoolExecutor(8) as pool:
        roots = list(pool.map(lambda _: from_croissant(manifest), range(24)))
    assert all(len(root.index.picks) == 2 for root in roots)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croissant_recipes.croissant.reader.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_waiting")
def test_a_csv_that_is_not_the_manifests_is_refused_by_name(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, TAME)
    csv = manifest.parent / "picks.csv"
    csv.write_bytes(csv.read_bytes().replace(b"s1", b"s3"))
    with pytest.raises(ValueError, match=r"picks\.csv does not match its metadata\.json"):
        from_croissant(str(manifest))


@pytest.mark.usefixtures("no_waiting")
def test_a_csv_that_the_manifest_names_must_be_there(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, TAME)
    (manifest.parent / "meshes.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"meshes\.csv"):
        from_croissant(str(manifest))


def test_a_csv_that_the_manifest_does_not_name_is_no_part_of_it(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, {"runs": TAME["runs"]})
    (manifest.parent / "meshes.csv").unlink()
    (manifest.parent / "picks.csv").write_bytes(files_of(TAME)["picks.csv"])
    root = from_croissant(str(manifest))
    assert (root.index.meshes, root.index.picks) == ([], [])


def test_a_croissant_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_croissant(tmp_path, TAME)
    later: Rows = {**TAME, "picks": {**TAME["picks"], "session_id": ["s8", "s9"]}}
    files = files_of(later)
    (manifest.parent / "picks.csv").write_bytes(files["picks.csv"])
    waits: list[float] = []

    def until_the_manifest_follows(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            manifest.write_bytes(manifest_of(later, files))

    monkeypatch.setattr("croissant_recipes.croissant.reader.time.sleep", until_the_manifest_follows)
    assert [row["session_id"] for row in from_croissant(str(manifest)).index.picks] == ["s8", "s9"]
    assert len(waits) == 2


@pytest.fixture
def store() -> Any:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


def _upload(fs: Any, folder: str, rows: Rows) -> dict[str, bytes]:
    files = files_of(rows)
    files["metadata.json"] = manifest_of(rows, files)
    for name, data in files.items():
        fs.pipe_file(f"{folder}/{name}", data)
    return files


def test_a_remote_croissant_is_read_beside_its_manifest(store: Any) -> None:
    _upload(store, "/project/Croissant", TAME)
    root = from_croissant("memory://project/Croissant/metadata.json")
    assert root.index.base_url == "memory://project"
    assert [len(root.index._get_list_for(r.id)) for r in RECORD_SETS.values()] == [3, 3, 3, 1, 2, 1, 2, 1, 1, 1]


def test_of_a_remote_croissant_that_is_half_committed_the_new_version_is_read_and_not_written_to(store: Any) -> None:
    _upload(store, "/project/Croissant", {"runs": {"name": ["old"]}})
    files = files_of(TAME)
    new = {**files, "metadata.json": manifest_of(TAME, files, base_url="memory://elsewhere")}
    for name, data in new.items():
        store.pipe_file(f"/project/Croissant/{staged_path(name)}", data)
    store.pipe_file(f"/project/Croissant/{staged_path(JOURNAL)}", Journal.of(new, ()).to_bytes())
    store.pipe_file("/project/Croissant/picks.csv", new["picks.csv"])
    root = from_croissant("memory://project/Croissant/metadata.json")
    assert [run.name for run in root.runs] == ["ts_a", "ts_b", "ts_c"]
    assert root.index.base_url == "memory://elsewhere"
    with pytest.raises(PermissionError, match="was being built"):
        root.get_run("ts_c").split = "test"


def test_a_croissant_is_read_over_http(tmp_path: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    pick_files(tmp_path)
    write_croissant(tmp_path, TAME)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        root = from_croissant(f"{url}/Croissant/metadata.json", overlay_root=str(tmp_path / "overlay"))
        assert root.index.base_url == url
        assert root.get_run("ts_a").picks[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    finally:
        server.shutdown()
        server.server_close()


def add_one_of_each(root: CopickRootMLC) -> None:
    run = root.new_run("ts_new")
    run.split = "test"
    picks = run.new_picks("ribosome", "s7", "me")
    picks.points = [CopickPoint(location=CopickLocation(x=1, y=2, z=3))]
    picks.store()
    spacing = run.new_voxel_spacing(8.0)
    tomogram = spacing.new_tomogram("wbp")
    tomogram.from_numpy(np.zeros((4, 4, 4), dtype="float32"))
    tomogram.new_features("edge").zarr()
    run.new_mesh("membrane", "s7", "me")
    for flags in ({}, {"is_multilabel": True}, {"is_instance": True}, {"is_panoptic": True}):
        run.new_segmentation(8.0, "membrane", "s7", user_id="me", **{"is_multilabel": False, **flags}).zarr()


def take_away(root: CopickRootMLC) -> None:
    run = root.get_run("ts_new")
    run.delete_picks(object_name="ribosome", user_id="me", session_id="s7")
    run.get_segmentations(name="membrane")[0].delete()
    root.set_splits({"fold": ["ts_a"]}, clear_existing=True)


@pytest.mark.parametrize(
    ("writer", "reader"), [(copick.from_croissant, from_croissant), (from_croissant, copick.from_croissant)]
)
def test_what_one_writes_the_other_reads(tmp_path: Path, writer: Any, reader: Any) -> None:
    pick_files(tmp_path)
    manifest = str(write_croissant(tmp_path, TAME))
    root = writer(manifest)
    for change in (add_one_of_each, take_away):
        change(root)
        root.refresh()
        assert walk(reader(manifest)) == walk(root)
    assert root.splits == {"fold": ["ts_a"]}
    assert {r.name for r in root.runs} == {"ts_a", "ts_b", "ts_c", "ts_new"}


def test_both_write_the_same(tmp_path: Path) -> None:
    found = []
    for opened, name in ((copick.from_croissant, "theirs"), (from_croissant, "ours")):
        pick_files(tmp_path / name)
        manifest = write_croissant(tmp_path / name, TAME)
        root = opened(str(manifest))
        add_one_of_each(root)
        take_away(root)
        found.append({p.name: p.read_bytes() for p in manifest.parent.glob("*.csv")})
    assert found[0] == found[1]


def test_refresh_shows_what_others_wrote(tmp_path: Path) -> None:
    manifest = str(write_croissant(tmp_path, TAME))
    root = from_croissant(manifest)
    assert len(root.get_run("ts_a").picks) == 1
    other = from_croissant(manifest)
    picks = other.get_run("ts_a").new_picks("ribosome", "s9", "me")
    picks.points = []
    picks.store()
    root.refresh()
    assert {p.session_id for p in root.get_run("ts_a").picks} == {"s1", "s9"}


def test_an_overlay_is_written_and_the_croissant_is_not(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path / "project", TAME)
    before = {p.name: p.read_bytes() for p in manifest.parent.iterdir()}
    overlay = str(tmp_path / "overlay")
    run = from_croissant(str(manifest), overlay_root=overlay).get_run("ts_b")
    picks = run.new_picks("ribosome", "mine", "me")
    picks.points = []
    picks.store()
    with pytest.raises(PermissionError):
        run.split = "train"
    assert {p.name: p.read_bytes() for p in manifest.parent.iterdir()} == before
    for opened in (copick.from_croissant, from_croissant):
        again = opened(str(manifest), overlay_root=overlay).get_run("ts_b").picks
        assert [(p.session_id, p.read_only) for p in again] == [("s2", True), ("mine", False)]


def test_a_write_leaves_nothing_in_the_manifest_that_is_no_longer_so(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, TAME, parquet=True)
    root = from_croissant(str(manifest))
    root.clear_splits()
    picks = root.get_run("ts_a").new_picks("ribosome", "s9", "me")
    picks.points = []
    picks.store()
    document = json.loads(manifest.read_text())
    ids = {entry["@id"]: entry for entry in document["distribution"]}
    assert {"picks-csv", "meshes-csv", "meshes-parquet"} <= ids.keys()
    assert "picks-parquet" not in ids
    assert "contentSize" in ids["meshes-csv"]
    assert "contentSize" not in ids["picks-csv"]
    assert "copick/splits" not in {r["@id"] for r in document["recordSet"]}
    theirs = copick.from_croissant(str(manifest))
    assert {p.session_id for p in theirs.get_run("ts_a").picks} == {"s1", "s9"}
    assert walk(theirs) == walk(from_croissant(str(manifest)))


def test_new_splits_are_listed(tmp_path: Path) -> None:
    manifest = write_croissant(tmp_path, TAME)
    root = from_croissant(str(manifest))
    root.set_splits({"test": ["ts_b", "ts_c"]})
    splits = next(r for r in json.loads(manifest.read_text())["recordSet"] if r["@id"] == "copick/splits")
    assert [list(record.values()) for record in splits["data"]] == [
        ["train", "https://mlcommons.org/definitions/training_split"],
        ["test", "https://mlcommons.org/definitions/test_split"],
    ]


def test_the_list_of_splits_comes_with_the_first_and_goes_with_the_last(tmp_path: Path) -> None:
    rows: Rows = {"runs": {"name": ["ts_a", "ts_b"]}}
    manifest = write_croissant(tmp_path, rows)
    before = json.loads(manifest.read_text())
    # As of a manifest of copick's.
    manifest.write_text(json.dumps({**before, "@context": {k: v for k, v in before["@context"].items() if k != "wd"}}))
    root = from_croissant(str(manifest))
    root.get_run("ts_b").split = "val"
    document = json.loads(manifest.read_text())
    assert document["recordSet"] == json.loads(_with_splits(["val"]))["recordSet"]
    assert document["@context"]["wd"] == before["@context"]["wd"]
    ctx = mlc.Context()
    mlc.Metadata.from_json(ctx=ctx, json_=document)
    assert not ctx.issues.errors
    assert copick.from_croissant(str(manifest)).splits == from_croissant(str(manifest)).splits == {"val": ["ts_b"]}
    root.get_run("ts_b").split = None
    assert json.loads(manifest.read_text())["recordSet"] == before["recordSet"]
    assert copick.from_croissant(str(manifest)).splits == {}


def _with_splits(splits: list[str]) -> bytes:
    rows: Rows = {"runs": {"name": ["ts_a", "ts_b"]}}
    return manifest_of(rows, files_of(rows), splits=splits)


WRONG_SPLITS: dict[str, tuple[Any, type[Exception], str]] = {
    "two": ({"train": ["ts_a", "ts_c"], "val": ["ts_c"]}, ValueError, "'ts_c' is in the splits 'train' and 'val'"),
    "number": ({"train": ["ts_c"], "1": ["ts_b"]}, ValueError, "'1' reads as a number"),
    "blank": ({"train": ["ts_c"], "  ": ["ts_b"]}, ValueError, "no name for a split"),
    "no run": ({"train": ["ts_c", "ts_z"]}, KeyError, "no run 'ts_z'"),
    "line": ({"train": ["ts_c"], "a\nb": ["ts_b"]}, ValueError, "no name for a split"),
    "surrogate": ({"\ud800": ["ts_c"]}, ValueError, "no name for a split"),
    "text of runs": ({"train": "ts_c"}, TypeError, "list of their names, not as 'ts_c'"),
    "one run": ({"train": 3}, TypeError, "list of their names, not as 3"),
    "run of another type": ({"train": ["ts_c", 3]}, TypeError, "a run is given by its name, a text, not by 3"),
    "split of another type": ({1: ["ts_c"]}, TypeError, "a split is named by a text, not by 1"),
    "pairs": ([("train", ["ts_c"])], TypeError, "mapping of each split to its runs"),
}


@pytest.mark.parametrize("case", WRONG_SPLITS)
def test_splits_that_cannot_be_set_change_nothing(tmp_path: Path, case: str) -> None:
    mapping, error, message = WRONG_SPLITS[case]
    manifest = write_croissant(tmp_path, TAME)
    before = {p.name: p.read_bytes() for p in manifest.parent.iterdir()}
    root = from_croissant(str(manifest))
    with pytest.raises(error, match=message):
        root.set_splits(mapping, clear_existing=True)
    assert root.splits == {"train": ["ts_a"], "val": ["ts_b"]}
    assert {p.name: p.read_bytes() for p in manifest.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("value", "error"), [("0", ValueError), (3, TypeError), (b"val", TypeError), (True, TypeError)]
)
def test_a_run_gets_no_split_that_is_none(tmp_path: Path, value: Any, error: type[Exception]) -> None:
    manifest = write_croissant(tmp_path, TAME)
    before = {p.name: p.read_bytes() for p in manifest.parent.iterdir()}
    root = from_croissant(str(manifest))
    with pytest.raises(error, match="split"):
        root.get_run("ts_a").split = value
    with pytest.raises(TypeError, match="not as 'ts_a'"):
        root.clear_splits("ts_a")
    assert root.get_run("ts_a").split == "train"
    assert {p.name: p.read_bytes() for p in manifest.parent.iterdir()} == before


def test_a_walk_goes_through_the_rows_once(tmp_path: Path) -> None:
    class Counted(list[Any]):
        passes = 0

        def __iter__(self) -> Any:
            Counted.passes += 1
            return super().__iter__()

    names = [f"ts_{i:03}" for i in range(60)]
    many = {c: ["x"] * 60 for c in ("user_id", "session_id", "object_name", "url")}
    rows: Rows = {"runs": {"name": names}, "picks": {"run": names, **many}}
    root = from_croissant(str(write_croissant(tmp_path, rows)))
    assert isinstance(root.index, RowIndex)
    root.index.picks = Counted(root.index.picks)
    assert (
        sum(
            pick.path.endswith("/x") and pick.row["url"] == "x" and pick._find_row()["run"] == pick.run.name
            for r in root.runs
            for pick in r.picks
        )
        == 60
    )
    assert Counted.passes == 1


def test_the_croissant_says_what_the_project_is(tmp_path: Path) -> None:
    root = from_croissant(str(write_croissant(tmp_path, TAME, config={**CONFIG, "user_id": "lab"})))
    assert (root.config.name, root.user_id) == ("Small", "lab")
    assert [(o.name, o.radius) for o in root.pickable_objects] == [("ribosome", 130.0), ("membrane", None)]
