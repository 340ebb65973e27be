"""A whole build with everything on a real S3 server: the project, a published Croissant, and the output."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from servers import KEY, SECRET, S3Server, s3_server

from croissant_recipes import Options, api, from_croissant

SAMPLE = Path(__file__).parent.parent / "recipes" / "sample"
METADATA = "s3://lab/project/Croissant/metadata.json"


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        running.make_bucket("lab")
        files = {
            str(p.relative_to(SAMPLE)): p.read_bytes()
            for p in sorted(SAMPLE.rglob("*"))
            if p.is_file() and "Croissant" not in p.parts and p.name != ".croissant-recipe.lock"
        }
        running.replace("lab", "project/", files)
        yield running


def write_recipe(folder: Path, server: S3Server, **changes: object) -> Path:
    """The recipe of a project on S3, built beside its data. JSON is YAML too."""
    config = {
        **json.loads((SAMPLE / "filesystem.json").read_bytes()),
        "overlay_root": "s3://lab/project",
        "overlay_fs_args": server.fs_args,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    document = {
        "recipe": 1,
        "name": "remote",
        "dataset": {
            "name": "Remote",
            "description": "A project on S3.",
            "version": "1.0.0",
            "license": "CC-BY-4.0",
            "date_published": "2026-01-15",
            "url": "https://example.org",
            "creators": [{"name": "Lab"}],
        },
        "output": {"project_root": "s3://lab/project", "fs_args": server.fs_args},
        "sources": {"lab": {"copick": {"config": "config.json"}}},
        "layers": [{"export": "lab"}],
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def built(path: Path, **options: object) -> api.Planned:
    [result] = api.build(path, options=Options(**options))
    assert result.ok, [str(d) for d in result.diagnostics]
    return result


def opened(server: S3Server) -> object:
    return from_croissant(METADATA, croissant_fs_args=server.fs_args, static_fs_args=server.fs_args)


def test_build_beside_the_data(tmp_path: Path, server: S3Server) -> None:
    built(write_recipe(tmp_path, server))
    root = opened(server)
    assert [r.name for r in root.runs] == ["TS_001", "TS_002", "TS_003", "TS_004"]
    picks = root.get_run("TS_001").get_picks("ribosome", user_id="curator", session_id="round-1")
    assert len(picks) == 1
    assert picks[0].points
    tomogram = root.get_run("TS_001").voxel_spacings[0].get_tomograms("wbp")[0]
    assert tomogram.numpy().shape == (16, 16, 16)


def test_the_same_rows_as_from_disk(tmp_path: Path, server: S3Server) -> None:
    built(write_recipe(tmp_path, server))
    there = server.objects("lab", "project/Croissant/")
    shutil.copytree(SAMPLE, tmp_path / "sample", ignore=shutil.ignore_patterns("Croissant", ".croissant*"))
    local = {"project_root": "sample"}
    sources = {"lab": {"copick": {"config": "sample/filesystem.json"}}}
    built(write_recipe(tmp_path, server, output=local, sources=sources))
    here = {p.name: p.read_bytes() for p in (tmp_path / "sample" / "Croissant").iterdir()}
    assert {n: d for n, d in there.items() if n.endswith(".csv")} == {
        n: d for n, d in here.items() if n.endswith(".csv")
    }
    # The recipe's digest is another: it says where it is built.
    there_said, here_said = (re.sub(b"sha256:[0-9a-f]{64}", b"", f["metadata.json"]) for f in (there, here))
    assert there_said == here_said


def as_text(data: bytes) -> str:
    """A file's text; of a Parquet, which is compressed, that of its values and its schema."""
    if not data.startswith(b"PAR1"):
        return data.decode()
    table = pq.read_table(io.BytesIO(data))
    return f"{table.schema} {table.to_pylist()}"


def test_no_credentials_anywhere(tmp_path: Path, server: S3Server, capfd: pytest.CaptureFixture[str]) -> None:
    result = built(write_recipe(tmp_path, server))
    said = "".join(map(str, result.diagnostics)) + "".join(capfd.readouterr())
    written = "".join(map(as_text, server.objects("lab", "project/Croissant/").values()))
    for secret in (KEY, SECRET):
        assert secret not in said
        assert secret not in written


def test_rebuild_changes_nothing_and_drift_is_found(tmp_path: Path, server: S3Server) -> None:
    path = write_recipe(tmp_path, server, layers=[{"export": "lab", "picks": "*:[!m]*", "others": "include"}])
    built(path)
    before = server.objects("lab", "project/Croissant/")
    again = built(path)
    assert not again.prepared.changes
    assert server.objects("lab", "project/Croissant/") == before
    opened(server).get_run("TS_004").new_picks("ribosome", session_id="9", user_id="me").store()
    [stopped] = api.build(path)
    assert [d.code.value for d in stopped.diagnostics if d.is_error] == ["CR502"]
    built(path, on_drift="discard")


def test_a_croissant_on_s3_as_source_and_as_base(tmp_path: Path, server: S3Server) -> None:
    built(write_recipe(tmp_path, server))
    published = {"old": {"croissant": {"url": METADATA, "fs_args": server.fs_args}}}
    layers = [{"append": "old", "picks": ["ribosome:curator/*"], "others": "exclude"}]
    output = {"project_root": "s3://lab/copy", "fs_args": server.fs_args}
    document = json.loads(write_recipe(tmp_path, server, sources=published, layers=layers, output=output).read_bytes())
    del document["dataset"]
    document["base"] = METADATA
    path = tmp_path / "copy.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    result = built(path)
    root = from_croissant(
        "s3://lab/copy/Croissant/metadata.json", croissant_fs_args=server.fs_args, static_fs_args=server.fs_args
    )
    assert root.config.name == "Sample project", "as the base has it, which has it from its source"
    places = {root.index.places.absolute(row["url"]) for row in root.index.picks}
    assert all(place.startswith("s3://lab/project/ExperimentRuns/") for place in places), places
    assert all(picks.load() for run in root.runs for picks in run.picks)
    assert list(result.plan.resolution.merged.replacements())


def test_a_bucket_that_is_not_there(tmp_path: Path, server: S3Server) -> None:
    output = {"project_root": "s3://nowhere/x", "fs_args": server.fs_args, "base_url": "https://example.org/x"}
    [result] = api.build(write_recipe(tmp_path, server, output=output))
    assert not result.written
    [error] = [d for d in result.diagnostics if d.is_error]
    assert error.code.value == "CR504"
    assert "s3://nowhere/x/Croissant" in error.message
    assert SECRET not in str(error)
