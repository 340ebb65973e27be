"""Keys that lack a part, such as a tomogram without a voxel size, are keys wherever rows are told apart."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import copick
import pytest
from compiling import DATASET, with_code
from croissants import write_croissant

from croissant_recipes import Options, Planned, build
from croissant_recipes.codes import Code
from croissant_recipes.croissant import manifest
from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.diagnostics import Severity
from croissant_recipes.render import text
from croissant_recipes.render.view import View
from croissant_recipes.schema import RECORD_SETS

Rows = Mapping[tuple[str, float, str], str]
"""URLs of tomograms by run, voxel size and type; an unknown size is -1 here, as that equals itself."""

SIZES = (-1.0, 10.0, 20.0)


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests are validated in tests of their own."""
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)


def croissant(folder: Path, tomograms: Rows) -> str:
    runs = sorted({run for run, _, _ in tomograms} | {"A", "B"})
    columns = {
        "run": [run for run, _, _ in tomograms],
        "voxel_size": [math.nan if size < 0 else size for _, size, _ in tomograms],
        "tomo_type": [kind for _, _, kind in tomograms],
        "url": list(tomograms.values()),
    }
    write_croissant(folder, {"runs": {"name": runs}, "tomograms": columns})
    return str(folder / "Croissant/metadata.json")


def recipe(folder: Path, sources: Sequence[str], layers: str = "", base: str = "") -> Path:
    names = [f"  s{i}: {{croissant: {{url: {url}}}}}\n" for i, url in enumerate(sources)]
    first = "append" if base else "export"
    written = layers or "".join(
        f"  - {{{first if not i else 'append'}: s{i}, tomograms: all, others: exclude}}\n" for i in range(len(sources))
    )
    start = f"base: {base}\n" if base else DATASET
    path = folder / "recipe.yaml"
    path.write_text(
        f"recipe: 1\nname: small\n{start}output: {{project_root: out}}\nsources:\n{''.join(names)}layers:\n{written}"
    )
    return path


def built(path: Path, **options: object) -> Planned:
    (result,) = build(path, options=Options(**options))  # type: ignore[arg-type]
    return result


def rows(folder: Path, name: str = "tomograms") -> dict[tuple[object, ...], str]:
    data = (folder / "out/Croissant" / f"{name}.csv").read_bytes()
    table = read_csv(data, name)[0].fillna({"voxel_size": -1.0})
    key = list(RECORD_SETS[name].key)
    values = table["url"].map(lambda url: url.rpartition("/")[2]) if "url" in table else [""] * len(table)
    assert not table[key].duplicated().any()
    return dict(zip(table[key].itertuples(index=False, name=None), values, strict=True))


def some(rng: random.Random, mark: str) -> Rows:
    keys = [(run, size, kind) for run in "AB" for size in SIZES for kind in ("raw", "wbp")]
    return {key: f"{mark}{i}.zarr" for i, key in enumerate(rng.sample(keys, rng.randint(1, 8)))}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("based", [False, True])
def test_layers_over_each_other_are_a_dictionary_updated(tmp_path: Path, seed: int, based: bool) -> None:
    rng = random.Random(seed)
    first, second = some(rng, "first"), some(rng, "second")
    urls = [croissant(tmp_path / "first", first), croissant(tmp_path / "second", second)]
    path = recipe(tmp_path, urls[1:], base=urls[0]) if based else recipe(tmp_path, urls)
    result = built(path)
    assert result.written
    assert rows(tmp_path) == {**first, **second}
    assert set(rows(tmp_path, "voxel_spacings")) == {(run, size) for run, size, _ in {**first, **second}}
    replaced = [d for d in result.diagnostics if d.code is Code.SHADOWED]
    assert bool(replaced) == bool(first.keys() & second.keys())
    again = built(path)
    assert again.prepared is not None
    assert not again.prepared.changes
    assert not with_code(again.diagnostics, Code.DRIFT)


def test_copick_cannot_list_what_has_no_voxel_size_and_that_is_told(tmp_path: Path) -> None:
    url = croissant(tmp_path / "first", {("A", -1.0, "raw"): "1.zarr", ("B", 10.0, "raw"): "2.zarr"})
    result = built(recipe(tmp_path, [url]))
    (told,) = with_code(result.diagnostics, Code.READERS_CHANGE)
    assert told.severity is Severity.WARNING
    assert told.message == (
        "no voxel size is known of 1 row of voxel_spacings.csv and 1 row of tomograms.csv: copick fails where it lists "
        "those of 'A'"
    )
    assert not built(recipe(tmp_path, [url]), strict=True).ok
    root = copick.from_croissant(str(result.metadata_url))
    assert [s.voxel_size for s in root.get_run("B").voxel_spacings] == [10.0]
    with pytest.raises(TypeError):
        list(root.get_run("A").voxel_spacings)


def test_a_collision_is_found_shown_and_resolved(tmp_path: Path) -> None:
    url = croissant(tmp_path / "first", {("A", -1.0, "raw"): "1.zarr", ("A", -1.0, "wbp"): "2.zarr"})
    layer = "  - {export: s0, tomograms: all, others: exclude, rename: {tomo_types: {raw: one, wbp: one}}%s}\n"
    stopped = built(recipe(tmp_path, [url], layer % ""))
    (told,) = with_code(stopped.diagnostics, Code.COLLISION)
    assert told.notes[0] == "run 'A', voxel_size (none), tomo_type 'one' is the key of:"
    assert "collision in tomograms: A, (none), one" in text.planned([stopped.report], View(verbose=True))
    assert built(recipe(tmp_path, [url], layer % ", on_collision: last")).written
    assert rows(tmp_path) == {("A", -1.0, "one"): "2.zarr"}


def test_changes_of_the_recipe_and_of_others_are_told_apart(tmp_path: Path) -> None:
    first: Rows = {("A", -1.0, "raw"): "1.zarr", ("A", 10.0, "raw"): "2.zarr", ("B", -1.0, "raw"): "3.zarr"}
    url = croissant(tmp_path / "first", first)
    path = recipe(tmp_path, [url])
    built(path)
    csv = tmp_path / "out/Croissant/tomograms.csv"
    document = csv.with_name("metadata.json")
    data = csv.read_bytes().replace(b"B,,raw,3.zarr", b"B,,raw,9.zarr").replace(b"A,,raw,1.zarr", b"A,,wbp,1.zarr")
    old, new = (hashlib.sha256(d).hexdigest() for d in (csv.read_bytes(), data))
    csv.write_bytes(data)
    document.write_text(document.read_text().replace(old, new))
    (told,) = with_code(built(path).diagnostics, Code.DRIFT)
    assert [note.partition(": url")[0] for note in told.notes] == [
        "+ tomograms: A, (none), wbp",
        "~ tomograms: B, (none), raw",
        "- tomograms: A, (none), raw",
    ]
    assert built(path, on_drift="keep").ok
    kept = {("A", -1.0, "wbp"): "1.zarr", ("A", 10.0, "raw"): "2.zarr", ("B", -1.0, "raw"): "9.zarr"}
    assert rows(tmp_path) == kept
    # The recipe takes no run A any more: what others added of it stays, with its spacing.
    only_b = recipe(tmp_path, [url], "  - {export: s0, runs: B, tomograms: all, others: exclude}\n")
    assert built(only_b, on_drift="keep").ok
    assert set(rows(tmp_path)) == {("A", -1.0, "wbp"), ("B", -1.0, "raw")}
    assert set(rows(tmp_path, "voxel_spacings")) == {("A", -1.0), ("B", -1.0)}
    lost = built(only_b, on_drift="discard")
    assert lost.ok
    assert rows(tmp_path) == {("B", -1.0, "raw"): "3.zarr"}
    assert json.loads(document.read_bytes())["name"] == "Small"
