"""What a result does not show: rows of some types in some splits, and what runs are called.

One step between the tables that all results of a recipe share and the rows of one of them. Who has only that result
is not to find out what it hides: rows that are withheld leave no voxel spacing behind, and of a masked run nothing
stays by which it is known elsewhere, such as what the portal calls it or the checksum of its files.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import merging, naming, urls
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.croissant.content import Content
from croissant_recipes.croissant.masked_names import MaskedName, MaskedNames
from croissant_recipes.croissant.provenance import DERIVED_FROM, GENERATED_BY
from croissant_recipes.diagnostics import Diagnostic, did_you_mean, joined, key_text
from croissant_recipes.language import normal_form
from croissant_recipes.language.checked import CheckedRecipe, OutputSpec
from croissant_recipes.language.run_masks import RunMask
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS
from croissant_recipes.sources.base import Inventory
from croissant_recipes.tables import Mask

_SHOWN = 5


@dataclass(frozen=True)
class Hidden:
    """What a result does not show.

    Attributes:
        withheld: How many rows, by split and artifact type.
        names: How masked runs are called, by their names.
        given: The names that were given now.
        diagnostics: What cannot be hidden.
    """

    withheld: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    given: tuple[MaskedName, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


NOTHING = Hidden()


def show(
    artifacts: Mapping[str, pd.DataFrame],
    spacings: pd.DataFrame,
    spec: OutputSpec,
    checked: CheckedRecipe,
    known: MaskedNames,
) -> tuple[Mapping[str, pd.DataFrame], pd.DataFrame, Hidden]:
    """The artifact tables and voxel spacings of one result, and what is not in them.

    Args:
        artifacts: All rows, runs with their splits.
        spacings: All rows of voxel spacings.
        spec: The result.
        checked: The recipe.
        known: The names that masked runs have already.
    """
    if not spec.hides:
        return artifacts, spacings, NOTHING
    runs = artifacts["runs"]
    found = _unknown_splits(spec, checked, set(runs["split"]))
    visible, spacings, withheld = _withheld(artifacts, spacings, spec)
    masks = {
        run: spec.masks[split] for run, split in zip(runs["name"], runs["split"], strict=True) if split in spec.masks
    }
    names, given, problems = _named(masks, set(runs["name"]), spec, checked, known)
    found += problems
    if names:
        for artifact, table in visible.items():
            if artifact == "runs" or ARTIFACTS[artifact].of_run:
                visible[artifact] = _masked(table, "name" if artifact == "runs" else "run", names)
        spacings = _masked(spacings, "run", names)
    return visible, spacings, Hidden(withheld, names, given, tuple(found))


# Rows


def _withheld(
    artifacts: Mapping[str, pd.DataFrame], spacings: pd.DataFrame, spec: OutputSpec
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, dict[str, dict[str, int]]]:
    """What is left, and how much was taken."""
    kept, taken = dict(artifacts), dict[str, pd.DataFrame]()
    counts: dict[str, dict[str, int]] = {split: {} for split in spec.withhold}
    for artifact, hidden in withheld_rows(artifacts, spec).items():
        table = artifacts[artifact]
        for split, rows in hidden.items():
            counts[split][artifact] = int(rows.sum())
        gone = np.logical_or.reduce(list(hidden.values()))
        kept[artifact] = tables.take(table, np.flatnonzero(~gone))
        taken[artifact] = table[gone]
    return kept, _explained(spacings, kept, taken), counts


def withheld_rows(artifacts: Mapping[str, pd.DataFrame], spec: OutputSpec) -> dict[str, dict[str, Mask]]:
    """The rows that a result withholds, by artifact type and split."""
    runs = artifacts["runs"]
    found: dict[str, dict[str, Mask]] = {}
    for split, types in spec.withhold.items():
        names = runs["name"][runs["split"] == split]
        for artifact in types:
            found.setdefault(artifact, {})[split] = artifacts[artifact]["run"].isin(names).to_numpy()
    return found


def _explained(
    spacings: pd.DataFrame, kept: Mapping[str, pd.DataFrame], taken: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """The voxel spacings without those that only rows have that were taken: they would tell of them."""
    key = list(RECORD_SETS["voxel_spacings"].key)
    spaced = [a for a, described in ARTIFACTS.items() if described.spaces]
    gone = [taken[a][key] for a in spaced if a in taken]
    if not gone:
        return spacings
    codes, of_gone, of_kept = tables.key_codes(
        [spacings, tables.concat(gone), tables.concat([kept[a][key] for a in spaced])], key
    )
    return tables.take(spacings, np.flatnonzero(~np.isin(codes, of_gone) | np.isin(codes, of_kept)))


# Names


def _named(
    masks: Mapping[str, RunMask], runs: set[str], spec: OutputSpec, checked: CheckedRecipe, known: MaskedNames
) -> tuple[dict[str, str], tuple[MaskedName, ...], list[Diagnostic]]:
    """A name for every run that is masked: the one that it has, or the next free one of its pattern."""
    output = spec.name or ""
    had = known.of(output)
    names: dict[str, str] = {}
    for entry in had:
        if entry.run in masks and masks[entry.run].has(entry.name):
            names.setdefault(entry.run, entry.name)
    clashing = {run: names.pop(run) for run in sorted(names) if names[run] in runs}
    # A name is nobody's but the one's who had it, also where that run is gone, and never what another run is called.
    used = {entry.name for entry in had} | runs
    given, numbers = [], dict.fromkeys({m.text for m in masks.values()}, 0)
    for run in _in_drawn_order(masks.keys() - names.keys(), spec, checked):
        mask = masks[run]
        while True:
            numbers[mask.text] += 1
            name = mask.name(numbers[mask.text])
            if name not in used:
                break
        names[run] = name
        used.add(name)
        given.append(MaskedName(output, run, name))
    found = []
    if clashing:
        shown = [f"{name} is what {run} is called there" for run, name in list(clashing.items())[:_SHOWN]]
        span = checked.document.key_span(*spec.path, "mask_runs")
        message = f"outputs.{output} calls masked runs what other runs are called by now"
        hint = "name those runs otherwise, with `run_name` or in their source; names that were given stay"
        found.append(Diagnostic(Code.MASKED_NAMES, message, span=span, hint=hint, notes=tuple(shown)))
    return names, tuple(given), found


def _in_drawn_order(runs: Iterable[str], spec: OutputSpec, checked: CheckedRecipe) -> list[str]:
    """Runs in an order that tells nothing of their names to who does not know the key, and is the same everywhere. The
    key is what the recipe gives as one, or else all that the recipe says."""
    key = spec.mask_key or json.dumps(normal_form.normal_form(checked), sort_keys=True, ensure_ascii=False)

    def drawn(run: str) -> bytes:
        return hmac.digest(key.encode(), json.dumps(["masked run", spec.name, run]).encode(), "sha256")

    return sorted(runs, key=drawn)


def _masked(table: pd.DataFrame, column: str, names: Mapping[str, str]) -> pd.DataFrame:
    """A table with the names, and without what else tells which run it is."""
    masked = table[column].isin(names.keys())
    if not masked.any():
        return table
    telling = [c for c in table.columns if c.startswith("portal_") or c == "sha256"]
    blank = {c: table[c].where(~masked, "").astype("str") for c in telling}
    return table.assign(**{column: naming.mapped(table[column], names)}, **blank)


def of_known_runs(artifacts: Mapping[str, pd.DataFrame], hidden: Hidden) -> Mapping[str, pd.DataFrame]:
    """The tables of a result without the rows of masked runs."""
    if not hidden.names:
        return artifacts
    owners = {a: "name" if a == "runs" else "run" for a, d in ARTIFACTS.items() if d.of_run or a == "runs"}
    masked = set(hidden.names.values())
    return {
        a: tables.take(table, np.flatnonzero(~table[owners[a]].isin(masked))) if a in owners else table
        for a, table in artifacts.items()
    }


def without_provenance(manifest: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The manifest of a base without what it was made from and by: that is of rows that are hidden, too."""
    if manifest is None:
        return None
    return {key: value for key, value in manifest.items() if key not in (DERIVED_FROM, GENERATED_BY)}


# What is wrong


def _unknown_splits(spec: OutputSpec, checked: CheckedRecipe, there: set[str]) -> list[Diagnostic]:
    """Splits that no run is in and the recipe knows nothing of: nothing would be hidden, and nobody would know."""
    known = {s for s in there if s} | _declared(checked)
    found = []
    for key, splits in (("withhold", spec.withhold), ("mask_runs", spec.masks)):
        for split in splits:
            if split not in known:
                span = checked.document.key_span(*spec.path, key, split)
                hint = did_you_mean(split, known, what="splits are") or "say with `splits:` which runs are in it"
                found.append(Diagnostic(Code.HIDING, f"no run is in the split {split!r}", span=span, hint=hint))
    return found


def _declared(checked: CheckedRecipe) -> set[str]:
    splits = checked.recipe.splits
    rules = [*checked.assign, *(rule for layer in checked.layers for rule in layer.splits)]
    drawn = splits.random.shares if splits.random is not None else ()
    return {*(r.split for r in rules), *(r.split for r in checked.split_rows), *drawn}


def published_with(
    artifacts: Mapping[str, pd.DataFrame],
    layers: Mapping[int, LayerRows],
    spec: OutputSpec,
    checked: CheckedRecipe,
    project_root: str,
) -> list[Diagnostic]:
    """Rows that are withheld and whose files lie where the result is built: who gets the folder has them."""
    root = Location.parse(project_root).real.uri
    lines: list[str] = []
    counts: list[str] = []
    for artifact, hidden in withheld_rows(artifacts, spec).items():
        table = artifacts[artifact][np.logical_or.reduce(list(hidden.values()))]
        inside = [
            rows[urls.is_below(urls.places(rows, _where(layers[number].stock.parts[source])), root)]
            for (number, source), rows in merging.by_source(table)
        ]
        n = sum(map(len, inside))
        if n:
            described = ARTIFACTS[artifact]
            counts.append(f"{n} {described.many if n > 1 else described.one}")
            lines += [f"{artifact}: {key_text(k)}" for rows in inside for k in _keys(rows, described.key)]
    if not counts:
        return []
    more = (f"and {len(lines) - _SHOWN} more",) if len(lines) > _SHOWN else ()
    message = f"outputs.{spec.name} withholds {joined(counts)} whose files lie below its own project_root"
    hint = "build it into another folder, which can be published whole"
    span = checked.document.value_span(*spec.path, "project_root")
    return [Diagnostic(Code.GIVEN_AWAY, message, span=span, hint=hint, notes=(*lines[:_SHOWN], *more))]


def shown_again(spec: OutputSpec, content: Content, checked: CheckedRecipe) -> list[Diagnostic]:
    """Rows of what is withheld that are in a result because others added or changed them and that is to be kept."""
    runs, lines = content.tables["runs"], []
    for split, types in spec.withhold.items():
        names = runs["name"][runs["split"] == split]
        for record_set in (r for artifact in types for r in ARTIFACTS[artifact].record_sets):
            table = content.tables[record_set]
            rows = table[table["run"].isin(names)]
            lines += [f"{record_set}: {key_text(key)}" for key in _keys(rows, RECORD_SETS[record_set].key)]
    if not lines:
        return []
    message = f"outputs.{spec.name} withholds rows that others added or changed there, and they are to be kept"
    hint = "lose them with --on-drift discard"
    span = checked.document.key_span(*spec.path, "withhold")
    return [Diagnostic(Code.GIVEN_AWAY, message, span=span, hint=hint, notes=tuple(lines[:_SHOWN]))]


def _where(inventory: Inventory) -> dict[str, str]:
    """Where the roots of a source lie now, whatever URL they are read at."""
    return {key: root.location.real.uri.rstrip("/") for key, root in inventory.roots.items()}


def _keys(rows: pd.DataFrame, key: Sequence[str]) -> Iterable[tuple[object, ...]]:
    return rows[list(key)].itertuples(index=False, name=None)
