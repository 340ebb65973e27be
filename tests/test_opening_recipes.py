"""Everything in every Croissant that the shipped recipes build opens, with our reader and with copick's.

What the recipes call https://example.org is a server on this machine, or a bucket of one; the portal and its bucket are
stand-ins too, with a small array or a few points at each key that a row names.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import s3fs
import trimesh
import zarr
from samples import READERS, SAMPLE, Key, artifacts, built, content, snapshot, stored
from servers import S3Server, s3_server, web_server

from croissant_recipes.croissant import manifest
from croissant_recipes.schema import RECORD_SETS
from tests.portal_server import serve

RECIPES = SAMPLE.parent
PORTAL_RECIPES = {"portal-curation": "portal/tables.json.gz", "popsicle-yeast": "popsicle/tables.json.gz"}
LOCAL = [
    *sorted(p.stem for p in RECIPES.glob("*.yaml") if "portal:" not in p.read_text(encoding="utf-8")),
    "published/recipe",
]
ON_S3 = ("append-two-annotators", "best-tomogram", "published/recipe")
"""Recipes of each kind: rows of several layers, renamed ones, and rows below the Croissant's own base URL."""

PORTAL = "cryoet-data-portal-public"
EVERY_READER = [("ours", {}), ("copick", {"overlay_root": "overlay"})]
READER_IDS = ["ours", "copick's"]
"""Each in the way that docs/opening.md says is enough. It has a test of every other one."""

Data = dict[Key, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def unvalidated() -> Iterator[None]:
    """The manifests of these recipes are validated where they are built for themselves."""
    patch = pytest.MonkeyPatch()
    patch.setattr(manifest, "_check", lambda *_, **__: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def s3(unvalidated: None) -> Iterator[S3Server]:
    patch = pytest.MonkeyPatch()
    with s3_server() as server:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        server.make_public(PORTAL)
        server.make_public("example")
        yield server
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()


def build_at(folder: Path, place: str, names: tuple[str, ...]) -> None:
    """Builds recipes in a copy of their folder, with another place for https://example.org."""
    made = shutil.ignore_patterns("Croissant", ".croissant-recipe.lock", "build", "*.py")
    shutil.copytree(RECIPES, folder, ignore=made)
    for recipe in folder.rglob("*.yaml"):
        recipe.write_text(recipe.read_text(encoding="utf-8").replace("https://example.org", place), encoding="utf-8")
    built(folder / "published/recipe.yaml")
    built(*(folder / f"{name}.yaml" for name in names if name != "published/recipe"))


def croissant_of(folder: Path, name: str) -> Path:
    own = {"quickstart": folder / "sample", "published/recipe": folder / "published"}
    return own.get(name, folder / "build" / name) / "Croissant"


@pytest.fixture(scope="module")
def on_the_web(tmp_path_factory: pytest.TempPathFactory, unvalidated: None) -> Iterator[Path]:
    """The recipes, built, with their data and Croissants published."""
    folder, root = tmp_path_factory.mktemp("recipes"), tmp_path_factory.mktemp("web")
    with web_server(root) as url:
        build_at(folder / "recipes", url, tuple(LOCAL))
        (root / "lab").symlink_to(SAMPLE)
        for name in LOCAL:
            croissant = croissant_of(folder / "recipes", name)
            base, _, rest = metadata_of(croissant).removeprefix(f"{url}/").partition("/")
            if rest == "Croissant/metadata.json":
                (root / base).mkdir()
                (root / base / "Croissant").symlink_to(croissant)
                for part in ("ExperimentRuns", "Objects"):
                    (root / base / part).symlink_to(SAMPLE / part)
        yield folder / "recipes"


def metadata_of(croissant: Path) -> str:
    """Where ``metadata.json`` is found: beside the CSV files, which have a URL if they are to be published."""
    file = json.loads((croissant / "metadata.json").read_bytes())["distribution"][0]["contentUrl"]
    return f"{file.rsplit('/', 1)[0]}/metadata.json" if "://" in file else str(croissant / "metadata.json")


def rows(croissant: Path) -> Iterator[tuple[Key, dict[str, str]]]:
    """Every row that names data, by the key that ``artifacts`` gives what it names."""
    for name, schema in RECORD_SETS.items():
        if "url" not in schema.columns:
            continue
        with (croissant / schema.csv_name).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield _key(name, row), row


def _key(record_set: str, row: Mapping[str, str]) -> Key:
    run, size = row.get("run", ""), float(row.get("voxel_size") or 0)
    if record_set in ("picks", "meshes"):
        return (
            "mesh" if record_set == "meshes" else "picks",
            run,
            row["user_id"],
            row["session_id"],
            row["object_name"],
        )
    if record_set == "tomograms":
        return ("tomogram", run, size, row["tomo_type"])
    if record_set == "features":
        return ("features", run, size, row["tomo_type"], row["feature_type"])
    if record_set == "objects":
        return ("density map", "", row["name"])
    kind = record_set.split("_")[0] if record_set != "segmentations" else None
    kind = kind or ("multilabel" if row["is_multilabel"].lower() == "true" else "binary")
    return (kind, run, size, row["user_id"], row["session_id"], row["name"])


def at_url(croissant: Path) -> Data:
    """What lies at the URL of each row, in the sample project, read without copick."""
    found: Data = {}
    for key, row in rows(croissant):
        part = "Objects/" if key[0] == "density map" else "ExperimentRuns/"
        path = SAMPLE / (part + row["url"].partition(part)[2])
        if path.suffix == ".json":
            points = json.loads(path.read_text())["points"]
            found[key] = np.array([[*p["location"].values(), p["score"]] for p in points])
        elif path.suffix == ".glb":
            found[key] = np.asarray(trimesh.load(path, force="mesh").vertices)
        else:
            found[key] = zarr.open(str(path), mode="r")["0"][:]
    return found


def assert_opens(root: Any, expected: Data) -> None:
    found = {key: stored(key, artifact) for key, artifact in artifacts(root)}
    assert found.keys() == expected.keys()
    assert [key for key in expected if not np.array_equal(found[key], expected[key])] == []


@pytest.mark.parametrize(("reader", "given"), EVERY_READER, ids=READER_IDS)
@pytest.mark.parametrize("name", LOCAL)
def test_on_the_web(
    name: str, reader: str, given: dict[str, str], on_the_web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    croissant = croissant_of(on_the_web, name)
    before = snapshot(croissant.parent, times_of_folders=reader == "ours")
    assert_opens(READERS[reader](metadata_of(croissant), **given), at_url(croissant))
    assert snapshot(croissant.parent, times_of_folders=reader == "ours") == before
    assert reader != "ours" or not Path("overlay").exists()


@pytest.fixture(scope="module")
def on_s3(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Path:
    """Some recipes, built, whose data is on S3."""
    folder = tmp_path_factory.mktemp("recipes") / "recipes"
    build_at(folder, "s3://example", ON_S3)
    files = {str(p.relative_to(SAMPLE)): p.read_bytes() for p in SAMPLE.rglob("*") if p.is_file()}
    bases = {"lab"}
    for name in ON_S3:
        base = json.loads((croissant_of(folder, name) / "metadata.json").read_bytes())["copick:baseUrl"]
        bases.add(base.removeprefix("s3://example/"))
    for base in bases:
        s3.replace("example", f"{base}/", files)
    return folder


@pytest.mark.parametrize(("reader", "given"), EVERY_READER, ids=READER_IDS)
@pytest.mark.parametrize("name", ON_S3)
def test_on_s3(
    name: str,
    reader: str,
    given: dict[str, str],
    on_s3: Path,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    croissant = croissant_of(on_s3, name)
    before = s3.objects("example")
    root = READERS[reader](str(croissant / "metadata.json"), static_fs_args=s3.fs_args, **given)
    assert_opens(root, at_url(croissant))
    assert s3.objects("example") == before


@pytest.fixture(scope="module", params=PORTAL_RECIPES)
def of_the_portal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3: S3Server
) -> tuple[Path, Data]:
    """A Croissant of portal rows, and what lies in the bucket at the key of each."""
    folder = tmp_path_factory.mktemp("portal")
    recipe = folder / "recipe.yaml"
    shipped = (RECIPES / f"{request.param}.yaml").read_text(encoding="utf-8")
    tables = RECIPES.parent / "tests/data" / PORTAL_RECIPES[request.param]
    with serve(orjson.loads(gzip.decompress(tables.read_bytes()))) as portal:
        recipe.write_text(shipped.replace("portal: {", f"portal: {{url: {json.dumps(portal.url)}, "), encoding="utf-8")
        built(recipe)
    croissant = folder / "build" / request.param / "Croissant"
    data: Data = {}
    for key, row in rows(croissant):
        name = row["url"].removeprefix(f"s3://{PORTAL}/")
        files, data[key] = _of_the_bucket(key, name, float(row["voxel_size"]))
        s3.replace(PORTAL, name, files)
    return croissant, data


def _of_the_bucket(key: Key, name: str, voxel_size: float) -> tuple[dict[str, bytes], np.ndarray]:
    """An object of the portal's bucket, by what comes after its name, and the data in it: of each name another."""
    number = zlib.crc32(name.encode()) % 251
    if key[0] == "picks":
        point = {"type": "point", "location": {"x": number, "y": 2, "z": 3}}
        scaled = [number * voxel_size, 2 * voxel_size, 3 * voxel_size]
        return {"": json.dumps(point).encode() + b"\n"}, np.array([[*scaled, 1.0]])
    volume = np.full((2, 2, 2), number, np.uint8)
    store: dict[str, bytes] = {}
    group = zarr.group(zarr.storage.KVStore(store), overwrite=True)
    group.create_dataset("0", data=volume, dimension_separator="/", compressor=None)
    return {f"/{path}": bytes(value) for path, value in store.items()}, volume


@pytest.mark.parametrize(("reader", "given"), EVERY_READER, ids=READER_IDS)
def test_in_the_portals_bucket(
    reader: str,
    given: dict[str, str],
    of_the_portal: tuple[Path, Data],
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours needs not be told that the bucket is read without credentials.

    An array takes twenty requests, and the benchmark has a hundred: of most of them one chunk is read.
    """
    monkeypatch.chdir(tmp_path)
    croissant, data = of_the_portal
    arguments: dict[str, Any] = {} if reader == "ours" else {"static_fs_args": {"anon": True}}
    before = snapshot(croissant.parent, times_of_folders=reader == "ours"), s3.objects(PORTAL)
    root = READERS[reader](str(croissant / "metadata.json"), **arguments, **given)
    found = dict(artifacts(root))
    assert found.keys() == data.keys()
    for key, artifact in found.items():
        if key[0] == "picks" or key[1] == root.runs[0].name:
            assert np.array_equal(content(key, artifact), data[key]), key
        else:
            assert artifact.zarr()["0/0/0/0"] == data[key].tobytes(), key
    assert (snapshot(croissant.parent, times_of_folders=reader == "ours"), s3.objects(PORTAL)) == before
