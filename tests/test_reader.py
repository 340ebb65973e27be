"""One reader for every Croissant that is there, wherever it lies. What a source makes of it: test_source_croissant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pytest
from croissants import write_croissant

from croissant_recipes import from_croissant
from croissant_recipes.access import NotThereError
from croissant_recipes.codes import Code
from croissant_recipes.croissant import reader
from croissant_recipes.croissant.reader import parse_croissant, read_croissant
from croissant_recipes.diagnostics import DiagnosticError
from croissant_recipes.journal import JOURNAL, Journal, staged_path
from croissant_recipes.location import Location

ROWS = {
    "runs": {"name": ["ts_a", "0042"], "split": ["train", ""]},
    "picks": {
        "run": ["ts_a", "0042"],
        "user_id": ["NA", "me"],
        "session_id": ["1.10", "1"],
        "object_name": ["ribosome", "ribosome"],
        "url": ["a.json", "b.json"],
    },
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_WAITS", (0.0,))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_croissant(tmp_path / "lab", ROWS)


def at_hand(manifest: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in manifest.parent.iterdir()}


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


def test_files_at_hand_give_what_the_same_files_in_place_give(manifest: Path) -> None:
    location = Location.parse(manifest)
    here, there = parse_croissant(at_hand(manifest), location), read_croissant(location)
    assert (here.manifest, here.base, here.config) == (there.manifest, there.base, there.config)
    assert here.tables.keys() == there.tables.keys()
    assert all(table.equals(there.tables[name]) for name, table in here.tables.items())
    assert here.tables["picks"]["session_id"].tolist() == ["1.10", "1"]


def test_files_at_hand_may_have_been_changed_since_the_manifest(manifest: Path) -> None:
    files = at_hand(manifest)
    files["runs.csv"] = files["runs.csv"].replace(b"train", b"val")
    found = parse_croissant(files, Location.parse(manifest))
    assert found.tables["runs"]["split"].tolist() == ["val", ""]


def test_files_at_hand_have_to_be_a_croissant(manifest: Path) -> None:
    files = at_hand(manifest)
    with pytest.raises(DiagnosticError) as caught:
        parse_croissant({**files, "metadata.json": b"{}"}, Location.parse(manifest))
    assert "neither copick:config nor a record set" in str(caught.value)
    del files["runs.csv"]
    with pytest.raises(NotThereError, match=r"it lists runs\.csv, which is not there"):
        parse_croissant(files, Location.parse(manifest))


def test_what_is_missing_is_a_missing_file_for_python_too(manifest: Path) -> None:
    (manifest.parent / "picks.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"it lists picks\.csv, which is not there") as missing:
        read_croissant(Location.parse(manifest))
    assert isinstance(missing.value, DiagnosticError)
    assert [d.code for d in missing.value.diagnostics] == [Code.CROISSANT]
    manifest.unlink()
    for place in (str(manifest), "memory://none/metadata.json"):
        with pytest.raises(FileNotFoundError, match="there is no such file or folder") as none:
            read_croissant(Location.parse(place))
        assert isinstance(none.value, ValueError)


def test_a_version_that_is_complete_but_not_in_place(manifest: Path, tmp_path: Path, memory: Any) -> None:
    folder = "/lab/Croissant"
    for name, data in at_hand(manifest).items():
        memory.pipe_file(f"{folder}/{name}", data)
    location = Location.parse("memory://lab/Croissant/metadata.json")
    assert not read_croissant(location).staged
    new = at_hand(write_croissant(tmp_path / "new", {"runs": {"name": ["ts_new"]}}))
    for name, data in new.items():
        memory.pipe_file(f"{folder}/{staged_path(name)}", data)
    assert not read_croissant(location).staged
    memory.pipe_file(f"{folder}/{staged_path(JOURNAL)}", Journal.of(new, ()).to_bytes())
    found = read_croissant(location)
    assert found.staged
    assert found.tables["runs"]["name"].tolist() == ["ts_new"]
    assert found.tables["picks"].empty
    root = from_croissant("memory://lab/Croissant/metadata.json")
    with pytest.raises(PermissionError, match="was being built: open it again once that build, or the next one, is"):
        root.set_splits({"train": ["ts_new"]})


def test_a_croissant_in_an_archive(manifest: Path, tmp_path: Path) -> None:
    import shutil

    shutil.make_archive(str(tmp_path / "lab"), "zip", tmp_path / "lab")
    found = read_croissant(Location.parse("zip://Croissant/metadata.json::lab.zip", tmp_path))
    assert found.tables["runs"]["name"].tolist() == ["ts_a", "0042"]
    assert found.base == Location.parse(f"zip://::{tmp_path}/lab.zip")


class _Told(SimpleHTTPRequestHandler):
    """Notes who asks with which token."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_csv_on_another_server_is_asked_for_without_the_token(manifest: Path, tmp_path: Path) -> None:
    class First(_Told):
        asked: list[tuple[str, str | None]] = []  # noqa: RUF012 - of this test alone

    class Other(_Told):
        asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    (tmp_path / "tables").mkdir()
    (manifest.parent / "runs.csv").rename(tmp_path / "tables" / "runs.csv")
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), partial(h, directory=str(tmp_path))) for h in (First, Other)]
    try:
        for server in servers:
            Thread(target=server.serve_forever, daemon=True).start()
        here, there = (f"http://127.0.0.1:{server.server_port}" for server in servers)
        document = json.loads(manifest.read_text())
        for entry in document["distribution"]:
            if entry["@id"] == "runs-csv":
                entry["contentUrl"] = f"{there}/tables/runs.csv"
        manifest.write_text(json.dumps(document))
        found = read_croissant(
            Location.parse(f"{here}/lab/Croissant/metadata.json?t=1"), {"headers": {"Authorization": "hunter2"}}
        )
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
    assert found.tables["runs"]["name"].tolist() == ["ts_a", "0042"]
    assert {token for _, token in First.asked} == {"hunter2"}
    assert {path.partition("?")[2] for path, _ in First.asked} == {"t=1"}
    assert Other.asked == [("/tables/runs.csv", None)]
