"""Drift to something that a recipe says: a small Croissant of the rows beside it, and edits of its text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from croissant_recipes import stores, tables
from croissant_recipes.building import Prepared
from croissant_recipes.codes import Code
from croissant_recipes.croissant import build_record, drift
from croissant_recipes.croissant.content import METADATA, Content
from croissant_recipes.croissant.drift import Drift, Existing
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language import fragments
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.language.recipe import ObjectOverride
from croissant_recipes.language.recipe_edits import Edits
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, PROJECT_KEYS, RECORD_SETS
from croissant_recipes.stores import Output

_DATASET = {
    "name": "name",
    "description": "description",
    "version": "version",
    "license": "license",
    "url": "url",
    "datePublished": "date_published",
    "citeAs": "cite_as",
    "keywords": "keywords",
}
"""What a manifest says of the dataset in the words of a recipe. What is not here has another form in each."""


@dataclass(frozen=True)
class Proposal:
    """What would be said.

    Attributes:
        edits: Of the recipe.
        folder: The folder of the small Croissant's project, beside the recipe.
        files: The files of that Croissant, none where no row is adopted.
    """

    edits: Edits
    folder: Path
    files: Mapping[str, bytes] = field(default_factory=dict)


def proposal(checked: CheckedRecipe, prepared: Prepared, output: Output) -> Proposal:
    """What a recipe can say of the drift that a plan found.

    Raises:
        DiagnosticError: If an earlier small Croissant is there and cannot be read, or mlcroissant refuses the new one.
    """
    assert prepared.undecided is not None
    existing, found = prepared.undecided
    folder = checked.folder / f"{checked.path.stem}-adopted"
    earlier = _earlier(folder)
    records = _records(found, earlier)
    config = build_record.objects_of(existing.manifest)
    planned = build_record.objects_of({build_record.CONFIG: prepared.content.config})
    new = [config[name] for name in found.objects if name in config and name not in planned]
    objects = _objects(new, earlier)
    files: Mapping[str, bytes] = {}
    if objects or any(len(records[name]) for name in RECORD_SETS):
        files = _content(checked, existing, records, objects, folder, output).files()
    relative = f"{folder.name}/Croissant/{METADATA}"
    edits = Edits(
        croissant=relative if files else None,
        dataset={} if checked.recipe.base else dict(_dataset(existing, found)),
        project={k: _theirs(existing)[k] for k in found.config if k in PROJECT_KEYS[:2] and _theirs(existing).get(k)},
        objects={
            name: dict(_attributes(planned[name], config[name]))
            for name in found.objects
            if name in planned and name in config
        },
        **_splits(found),
        inherited=fragments.inherited(checked.document, "splits"),
    )
    return Proposal(edits, folder, files)


@contextmanager
def on_trial(recipe: Path, text: str, proposed: Proposal) -> Iterator[Path]:
    """The recipe with another text, beside the one that it is, and what it would append; both are gone afterwards.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` if they cannot be written there.
    """
    trial = proposed.folder.with_name(f".{proposed.folder.name}-trial")
    tried = recipe.with_name(f".{recipe.stem}-trial{recipe.suffix}")
    try:
        with _reporting(recipe):
            for name, data in proposed.files.items():
                (trial / "Croissant").mkdir(parents=True, exist_ok=True)
                (trial / "Croissant" / name).write_bytes(data)
            tried.write_text(text.replace(f"{proposed.folder.name}/Croissant", f"{trial.name}/Croissant"), "utf-8")
        yield tried
    finally:
        shutil.rmtree(trial, ignore_errors=True)
        tried.unlink(missing_ok=True)


def write(recipe: Path, text: str, proposed: Proposal) -> None:
    """Writes the small Croissant, then the recipe.

    Raises:
        DiagnosticError: ``NOT_WRITABLE`` if they cannot be written; ``LOCKED`` if somebody else writes the Croissant.
    """
    if proposed.files:
        beside = Output(Location.parse(proposed.folder))
        with stores.locked(beside):
            stale = stores.read_existing(beside).keys() - proposed.files.keys()
            stores.commit(beside, proposed.files, remove=stale)
    with _reporting(recipe):
        staged = recipe.with_name(f".{recipe.name}.new")
        staged.write_text(text, "utf-8")
        shutil.copymode(recipe, staged)
        os.replace(staged, recipe.resolve())


@contextmanager
def _reporting(recipe: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{recipe.parent}: {error.strerror or error}"
        hint = "allow the recipe and what is adopted to be written there"
        raise DiagnosticError(Diagnostic(Code.NOT_WRITABLE, message, hint=hint)) from None


def _theirs(existing: Existing) -> Mapping[str, Any]:
    return build_record.config_of(existing.manifest)


def _earlier(folder: Path) -> Existing | None:
    there = folder / "Croissant"
    files = {p.name: p.read_bytes() for p in sorted(there.iterdir()) if p.is_file()} if there.is_dir() else {}
    return drift.parse(files, str(there))


def _records(found: Drift, earlier: Existing | None) -> dict[str, pd.DataFrame]:
    """The rows to adopt, over those that were adopted before, with the runs that they need."""
    records = {name: earlier.tables[name] if earlier else tables.records(name) for name in RECORD_SETS}
    runs = []
    for name, changes in found.tables.items():
        if name == "voxel_spacings":
            continue
        rows = changes.added if name == "runs" else tables.concat([changes.added, changes.changed])
        records[name] = _over(name, records[name], rows)
        if "run" in RECORD_SETS[name].columns:
            runs += rows["run"].tolist()
    missing = sorted(set(runs) - set(records["runs"]["name"]))
    bare = tables.records("runs", {"name": missing})
    return {**records, "runs": _over("runs", bare, records["runs"]), "voxel_spacings": _spacings(records)}


def _over(name: str, below: pd.DataFrame, above: pd.DataFrame) -> pd.DataFrame:
    stacked, key = tables.concat([below, above]), RECORD_SETS[name].key
    return tables.sort_by(stacked[tables.last_of_each(stacked, key)], key)


def _spacings(records: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    key = list(RECORD_SETS["voxel_spacings"].key)
    spaced = [records[r][key] for a in ARTIFACTS.values() if a.spaces for r in a.record_sets]
    return tables.sort_by(tables.concat(spaced).drop_duplicates(), key)


def _objects(new: list[Any], earlier: Existing | None) -> list[Any]:
    known = build_record.objects_of(earlier.manifest) if earlier else {}
    return list({**known, **{o["name"]: o for o in new}}.values())


def _content(
    checked: CheckedRecipe,
    existing: Existing,
    records: Mapping[str, pd.DataFrame],
    objects: list[Any],
    folder: Path,
    output: Output,
) -> Content:
    name = checked.recipe.name
    return Content(
        tables=records,
        config={"name": name, "description": f"Adopted by the recipe {name}.", build_record.OBJECTS: objects},
        dataset={
            "name": f"{name}-adopted",
            "description": f"Rows that others added to the Croissant of the recipe {name}, and that it adopted.",
            "version": "1.0.0",
            "license": existing.manifest.get("license") or "unspecified",
            "date_published": existing.manifest.get("datePublished") or "2026-01-01",
            "url": existing.manifest.get("url") or "https://example.org",
            "creators": [{"name": name}],
        },
        base=None,
        base_url=existing.manifest.get("copick:baseUrl") or _from(folder, output.project_root),
        csv_base=None,
        parquet=False,
    )


def _from(folder: Path, root: Location) -> str:
    """The project as the small Croissant names it: so that both can be moved together where they lie together."""
    if not root.is_local:
        return str(root)
    return os.path.relpath(root.path, folder)


def _dataset(existing: Existing, found: Drift) -> Iterator[tuple[str, Any]]:
    for key in found.metadata:
        value = existing.manifest.get(key)
        if key in _DATASET and (isinstance(value, str) or (isinstance(value, list) and key == "keywords")):
            yield _DATASET[key], value


def _attributes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in theirs.items():
        if name in ObjectOverride.model_fields and value is not None and value != ours.get(name):
            yield name, value


def _splits(found: Drift) -> dict[str, Any]:
    runs = found.tables.get("runs")
    assign: dict[str, list[str]] = {}
    unassign: list[str] = []
    for row in runs.changed.itertuples(index=False) if runs else ():
        if row.split:
            assign.setdefault(str(row.split), []).append(str(row.name))
        else:
            unassign.append(str(row.name))
    return {"assign": assign, "unassign": unassign}
