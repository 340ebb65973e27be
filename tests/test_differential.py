"""The compiler against copick itself: what ``export_croissant`` and ``append_croissant`` write for the same layers.

Each generated case is a recipe over generated projects (``recipes_gen``); the very same slices are given to copick, and
its CSVs are compared with ours row by row. These are all the differences, each argued and each put right in copick's
rows (never in ours) by one function below:

1. *Row order.* copick writes rows as it finds them, we sort by key. Rows are compared by key.
2. *Artifacts in both roots of a project.* copick lists them twice, the static one first, and its reader then serves the
   first row for both. The overlay wins in copick itself (what is opened by name is the overlay's), so one row is left,
   the overlay's (``_leave_one_row_per_key``).
3. *URLs of overlay artifacts.* copick writes one relative path whichever root an artifact lies in; for the overlay that
   leads nowhere. We write where it lies (``_place``).
4. *URLs of appended local rows.* copick writes ``/a/path``, which its own reader joins to the base again. We write
   ``file:///a/path``, which it does not (``_place``). A source's ``base_url``, which copick has not, replaces the root.
5. *Features of tomograms that a filter leaves out.* copick leaves them out, although its specification calls filters
   independent. copick's own features are those of an export that filters nothing but features
   (``_export_features``).
6. *Density maps that do not exist.* Asking an object for its map makes copick create an empty one, so that its export
   writes to the source and lists every particle. Here asking gives nothing where there is no map
   (``_no_map_where_there_is_none``).
7. *Two objects under one name.* A rename of two objects to one name gives copick two pickable objects; a reader finds
   the first. So do we (``_pickable_objects``).
8. *Paths on the web.* A space, ``#``, ``?`` or ``%`` in the path of a row with an http(s) base leads nowhere as copick
   writes it; we write the whole URL, percent-encoded (``_on_the_web``).
9. *Values that mlcroissant changes.* copick appends to what mlcroissant reads, and mlcroissant reads a session ``0``
   beside an empty cell as ``0.0``. Most cases read the CSVs as they are (``_Records``), which is faster too; the
   cases of ``test_through_mlcroissant`` use mlcroissant itself and names that it keeps.

Selectors that match nothing, errors in recipes, are silent in copick: the recipes say ``allow_empty``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import copick.impl.filesystem
import mlcroissant
import pytest
from copick.ops.croissant import append_croissant, export_croissant, set_splits
from projects import Project, ProjectSpec, copick_root, write_project
from recipes_gen import Case, random_case

from croissant_recipes import Options, build, check, planning
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant.serialize import csv_bytes
from croissant_recipes.progress import Silent
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.work import Workers

CASES = 200
GROUP = 20
THROUGH_MLCROISSANT = 8
FROM_DISK = 3

Key = tuple[str, ...]
Rows = dict[str, dict[Key, dict[str, str]]]
"""By record set, then key: the cells of a row, as texts."""


@dataclass(frozen=True)
class Written:
    """A case on disk."""

    case: Case
    folder: Path
    projects: Mapping[str, Project]

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"


def write(case: Case, folder: Path) -> Written:
    used = {layer.source for layer in case.layers}
    projects = {name: write_project(folder / name, spec) for name, spec in case.specs.items() if name in used}
    written = Written(case, folder, projects)
    written.recipe.write_text(case.recipe(), encoding="utf-8")
    return written


# What copick makes of a case


def copick_rows(written: Written) -> tuple[Rows, dict[str, Any]]:
    """The rows and ``copick:config`` that copick comes to, with the differences that the module lists put right."""
    case, roots = written.case, {n: copick_root(p) for n, p in written.projects.items()}
    manifest = written.folder / "base" / "Croissant" / "metadata.json"
    if not case.base:
        manifest = written.folder / "copick" / "Croissant" / "metadata.json"
        _apply_first(written, roots, manifest)
    for layer in case.recipe_layers if case.base else case.layers[1:]:
        append_croissant(str(manifest), roots[layer.source], **layer.as_copick(), compute_file_sha256=case.file_sha256)
    if case.assign:
        set_splits(str(manifest), {name: list(runs) for name, runs in case.assign.items()})
    rows = _read(manifest.parent)
    _put_features_right(written, roots, rows)
    for found in rows.values():
        for row in found.values():
            if "url" in row:
                row["url"] = _place(written, row["url"])
    config = json.loads(manifest.read_text())["copick:config"]
    return rows, {**config, **case.project, "pickable_objects": _pickable_objects(config["pickable_objects"])}


def _apply_first(written: Written, roots: Mapping[str, Any], manifest: Path) -> None:
    layer = written.case.layers[0]
    export_croissant(
        roots[layer.source],
        str(manifest.parent.parent),
        base_url=written.case.base_url or str(written.projects[layer.source].root),
        validate=False,
        compute_file_sha256=written.case.file_sha256,
        **layer.as_copick(),
    )
    _leave_one_row_per_key(manifest)


def write_base(written: Written) -> None:
    """The Croissant that a case starts from."""
    if written.case.base:
        root = copick_root(written.projects[written.case.layers[0].source])
        manifest = written.folder / "base" / "Croissant" / "metadata.json"
        _apply_first(written, {written.case.layers[0].source: root}, manifest)


def _leave_one_row_per_key(manifest: Path) -> None:
    document = json.loads(manifest.read_text())
    for entry in document["distribution"]:
        schema = next(r for r in RECORD_SETS.values() if r.file_object_id == entry["@id"])
        path = manifest.parent / schema.csv_name
        with path.open(newline="") as file:
            rows = {tuple(row[c] for c in schema.key): row for row in csv.DictReader(file)}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, schema.columns)
            writer.writeheader()
            writer.writerows(rows.values())
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(document))


def _put_features_right(written: Written, roots: Mapping[str, Any], rows: Rows) -> None:
    """Where a layer filters tomograms: the features of every layer as copick exports them when it filters only those,
    one layer over the other."""
    layers = written.case.layers
    if not any(layer.filters_tomograms for layer in layers):
        return
    all_features: dict[Key, dict[str, str]] = {}
    for i, layer in enumerate(layers):
        found = _export_features(written, roots[layer.source], i)
        root = str(written.projects[layer.source].root)
        for key, row in found["features"].items():
            all_features[key] = row if i == 0 else {**row, "url": f"{root}/{row['url']}"}
        rows["voxel_spacings"] |= found["voxel_spacings"] if layer.filters_tomograms else {}
    # copick's are among them, and are the same where the layer that a feature comes from filters no tomograms.
    assert rows["features"].keys() <= all_features.keys()
    rows["features"] = all_features


def _export_features(written: Written, root: Any, position: int) -> Rows:
    """The features of one layer and their voxel spacings."""
    folder = written.folder / f"features-{position}"
    arguments = written.case.layers[position].as_copick() | {"splits": None, "tomograms": None}
    arguments |= {artifact: [] for artifact in ("picks", "meshes", "segmentations", "objects")}
    manifest = export_croissant(root, str(folder), base_url="file:///nowhere", validate=False, **arguments)
    _leave_one_row_per_key(Path(manifest))
    found = _read(folder / "Croissant")
    sizes = {(f["run"], f["voxel_size"]) for f in found["features"].values()}
    found["voxel_spacings"] = {k: v for k, v in found["voxel_spacings"].items() if k in sizes}
    return found


def _place(written: Written, url: str) -> str:
    """Where a row that copick wrote really lies, as we write it."""
    case = written.case
    first = case.layers[0].source
    root = next((n for n, p in written.projects.items() if url.startswith(f"{p.root}/")), None)
    if root is None:
        # A relative path: of the export or of the base, whose rows stay what they are.
        return (
            _on_the_web(url, case.base_url) if case.base else _url_of(written, first, url, case.base_url, exported=True)
        )
    return _url_of(written, root, url.removeprefix(f"{written.projects[root].root}/"), None, exported=False)


def _url_of(written: Written, source: str, path: str, base_url: str | None, *, exported: bool) -> str:
    project = written.projects[source]
    if project.overlay is not None and (project.overlay / path).exists():
        return f"file://{project.overlay}/{path}"
    if source in written.case.source_urls:
        return _encoded(f"{written.case.source_urls[source]}/{path}")
    return _on_the_web(path, base_url) if exported else f"file://{project.root}/{path}"


def _on_the_web(path: str, base_url: str | None) -> str:
    """A relative path, or a whole URL where no web server would find the file at the path as it is."""
    return _encoded(f"{base_url}/{path}") if base_url and re.search("[#?% ]", path) else path


def _encoded(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(rest, safe='/:@!$&()*+,;=~-._' + chr(39))}" if re.search("[#?% ]", rest) else url


def _pickable_objects(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        first.setdefault(entry["name"], {**entry, "metadata": entry.get("metadata") or {}})
    return list(first.values())


def _read(folder: Path) -> Rows:
    rows: Rows = {}
    for name, schema in RECORD_SETS.items():
        with (folder / schema.csv_name).open(newline="", encoding="utf-8") as file:
            rows[name] = _by_key(name, csv.DictReader(file))
    return rows


def _by_key(name: str, rows: Iterator[dict[str, str]] | Any) -> dict[Key, dict[str, str]]:
    found: dict[Key, dict[str, str]] = {}
    for row in rows:
        key = tuple(row[c] for c in RECORD_SETS[name].key)
        assert key not in found, f"{name} has {key} twice"
        found[key] = dict(row)
    return found


# What we make of it


def our_rows(plan: Plan) -> tuple[Rows, dict[str, Any]]:
    rows = {}
    for name, table in plan.content.tables.items():
        text = csv_bytes(name, table).decode()
        rows[name] = _by_key(name, csv.DictReader(text.splitlines(keepends=True)))
    return rows, dict(plan.content.config)


def plans_of(written: Sequence[Written]) -> list[Plan]:
    """The plans of cases, all of one ``file_sha256``."""
    options = Options(file_sha256=written[0].case.file_sha256, jobs=2)
    checked = check(*(w.recipe for w in written))
    for w, result in zip(written, checked, strict=True):
        assert result.ok, f"{w.case.recipe()}\n{result.diagnostics}"
    outcomes = planning.make_plans(
        [(c.recipe, c.diagnostics) for c in checked if c.recipe], options, Workers(4), Silent()
    )
    plans = []
    for w, outcome in zip(written, outcomes, strict=True):
        wrong = [str(d) for d in outcome.diagnostics if d.is_error]
        assert not wrong, f"{w.case.recipe()}\n" + "\n".join(wrong)
        assert outcome.plan is not None
        plans.append(outcome.plan)
    return plans


# Comparing


def assert_equal(written: Written, ours: tuple[Rows, Any], theirs: tuple[Rows, Any]) -> None:
    lines = []
    for name in RECORD_SETS:
        one, other = _flat(ours[0][name]), _flat(theirs[0][name])
        lines += [f"only ours    {name}: {row}" for row in sorted(one - other)]
        lines += [f"only copick's {name}: {row}" for row in sorted(other - one)]
    mine, copicks = (json.loads(json.dumps(config)) for config in (ours[1], theirs[1]))
    if mine != copicks:
        lines += [f"our copick:config: {mine}", f"copick's: {copicks}"]
    assert not lines, f"seed {written.case.seed}\n{written.case.recipe()}\n" + "\n".join(lines)


def _flat(rows: Mapping[Key, Mapping[str, str]]) -> set[tuple[tuple[str, str], ...]]:
    return {tuple(row.items()) for row in rows.values()}


class _Records:
    """In place of ``mlcroissant.Dataset``: the records of the CSVs beside a manifest, with no text changed."""

    def __init__(self, jsonld: str) -> None:
        self._entries = {e["@id"]: e["contentUrl"] for e in json.loads(Path(jsonld).read_text())["distribution"]}

    def records(self, record_set: str) -> Iterator[dict[str, str | None]]:
        schema = next(r for r in RECORD_SETS.values() if r.id == record_set)
        with open(self._entries[schema.file_object_id], newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {f"{record_set}/{column}": text or None for column, text in row.items()}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _no_map_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = copick.impl.filesystem.CopickObjectFSSpec
    asked = kind.zarr

    def zarr(self: Any) -> Any:
        there = self.fs_overlay.exists(self.overlay_path) or self.fs_static.exists(self.static_path)
        return asked(self) if there else None

    monkeypatch.setattr(kind, "zarr", zarr)


@pytest.mark.parametrize("start", range(0, CASES, GROUP))
def test_same_rows_as_copick(start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlcroissant, "Dataset", _Records)
    _compare([random_case(seed) for seed in range(start, start + GROUP)], tmp_path)


def _compare(cases: Sequence[Case], folder: Path) -> None:
    written = [write(case, folder / str(case.seed)) for case in cases]
    for w in written:
        write_base(w)
    for asked in (True, False):
        group = [w for w in written if w.case.file_sha256 is asked]
        # Ours first: copick may write into a project that it exports.
        for w, plan in zip(group, plans_of(group) if group else (), strict=True):
            assert_equal(w, our_rows(plan), copick_rows(w))


def test_through_mlcroissant(tmp_path: Path) -> None:
    """Appending as copick really does it, on names that mlcroissant keeps."""
    cases = (random_case(seed, nasty=False) for seed in range(10_000, 11_000))
    layered = (replace(c, specs={n: _kept_by_mlcroissant(s) for n, s in c.specs.items()}) for c in cases)
    chosen = [next(c for c in layered if len(c.layers) > 1) for _ in range(THROUGH_MLCROISSANT)]
    _compare(chosen, tmp_path)


def _kept_by_mlcroissant(spec: ProjectSpec) -> ProjectSpec:
    """Without session ids that are numbers: a column that has empty cells too makes others of them."""
    runs = []
    for run in spec.runs:
        changed = {
            kind: tuple(replace(a, session_id=f"s{a.session_id}") for a in getattr(run, kind))
            for kind in ("picks", "meshes", "segmentations")
        }
        runs.append(replace(run, **changed))
    return replace(spec, runs=tuple(runs))


@pytest.mark.parametrize("seed", range(20_000, 20_000 + FROM_DISK))
def test_the_files_of_a_build(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared above is what a build writes."""
    monkeypatch.setattr(mlcroissant, "Dataset", _Records)
    written = write(random_case(seed), tmp_path)
    write_base(written)
    plan = plans_of([written])[0]
    (result,) = build(written.recipe, options=Options(file_sha256=written.case.file_sha256))
    assert result.written
    assert result.output is not None
    on_disk = _read(Path(result.output.project_root.path) / "Croissant")
    assert on_disk == our_rows(plan)[0]
    assert_equal(written, (on_disk, our_rows(plan)[1]), copick_rows(written))


def test_the_cases_cover_what_they_are_for() -> None:
    """The generator makes enough of everything that the compiler has a way of its own for."""
    cases = [random_case(seed) for seed in range(CASES)]
    layers = [layer for case in cases for layer in case.recipe_layers]
    selectors = [s for layer in layers for v in layer.filters.values() for s in ([v] if isinstance(v, str) else v)]

    def renames_two(names: Mapping[str, str]) -> bool:
        return len(set(names.values())) < len(names)

    assert len(cases) >= 200
    assert sum(len(c.layers) > 1 for c in cases) >= 80
    assert sum(len(c.layers) > 2 for c in cases) >= 25
    assert sum(len({layer.source for layer in c.layers}) > 1 for c in cases) >= 40
    assert sum(c.base for c in cases) >= 15
    assert sum(c.specs[c.layers[0].source].two_roots for c in cases) >= 40
    assert sum(c.base_url is None for c in cases) >= 10
    assert sum(bool(c.assign) for c in cases) >= 40
    assert sum(bool(layer.split) for layer in layers) >= 40
    for key in ("name", "description", "user_id", "session_id"):
        said = [getattr(c.specs[c.layers[0].source], key) for c in cases]
        assert sum(value is None for value in said) >= 40, key
        assert sum(value is not None for value in said) >= 40, key
    assert sum(bool(c.project) for c in cases) >= 40
    assert sum(bool(c.project) and c.base for c in cases) >= 5
    assert sum(renames_two(layer.object_names) or renames_two(layer.tomo_types) for layer in layers) >= 5
    assert sum(bool(layer.tomo_types) for layer in layers) >= 60
    for artifact in ("runs", "tomograms", "features", "picks", "meshes", "segmentations", "objects"):
        assert sum(artifact in layer.filters for layer in layers) >= 60, artifact
    for form in ("re:", "@", "*", "multilabel", "instance", "panoptic"):
        assert sum(form in s for s in selectors) >= 20, form
