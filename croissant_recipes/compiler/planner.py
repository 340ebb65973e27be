"""From checked recipe and inventories to a plan. Pure: nothing here reads or writes.

Three steps, as only rows that survive have their files read, and a recipe can have several results: ``resolve`` merges
the layers and says which files are needed, ``settle`` puts what they say into the tables, ``finish`` makes each result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import (
    collisions,
    data_checks,
    dataset_metadata,
    expectations,
    labels,
    layers,
    merging,
    naming,
    objects,
    origins,
    placing,
    records,
    splits,
    withholding,
)
from croissant_recipes.compiler.dataset_metadata import NOTHING_USED, Filled, Used
from croissant_recipes.compiler.labels import Labelling
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.merging import Merged
from croissant_recipes.compiler.objects import Offered
from croissant_recipes.compiler.urls import Publication
from croissant_recipes.compiler.withholding import Hidden
from croissant_recipes.croissant import masked_names
from croissant_recipes.croissant.content import Content
from croissant_recipes.croissant.masked_names import NAMES_FILE, NO_NAMES, MaskedNames
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, errors, in_order, key_text
from croissant_recipes.language.checked import CheckedRecipe, LayerSpec, OutputSpec, Take, TypeFilter
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, PROJECT_KEYS
from croissant_recipes.sources.base import ArrayFacts, FileFacts, Inventory

_SHOWN = 3

Fact = TypeVar("Fact")

_BASE_LAYER = LayerSpec(-1, "base", ("base",), {artifact: TypeFilter(artifact, Take.ALL) for artifact in ARTIFACTS})
"""Layer 0: all of the Croissant that a recipe starts from."""

_HASHED = tuple(name for name, described in ARTIFACTS.items() if described.hashed)
_OF_OBJECTS = tuple((n, d.object_column) for n, d in ARTIFACTS.items() if d.object_column)
_NAMED = tuple((n, column) for n, column in _OF_OBJECTS if ARTIFACTS[n].of_run)

BASE = ""
"""Stands for the base where things go by the names of sources."""

Files = Mapping[str, Sequence[tuple[str, str]]]
"""Files to read, as (root, path), by source."""

Authored = Mapping[str, Mapping[str, Sequence[str]]]
"""Portal ids of records by source and artifact type."""

Authors = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
"""Names of authors by source, artifact type and portal id."""

Facts = Mapping[str, Mapping[tuple[str, str], FileFacts]]
"""What the files say, by source."""


@dataclass(frozen=True)
class Data:
    """What the files and stores in ``Resolution.points`` and ``Resolution.arrays`` say, by source."""

    points: Facts = field(default_factory=dict)
    arrays: Mapping[str, Mapping[tuple[str, str], ArrayFacts]] = field(default_factory=dict)


@dataclass(frozen=True)
class Base:
    """The Croissant that a recipe starts from.

    Attributes:
        inventory: What it holds.
        voxel_spacings: Its rows of voxel spacings, which stay whatever else does.
        base_url: Its ``copick:baseUrl``.
        csv_base: The http(s) URL above ``Croissant/`` that its manifest names the CSVs below.
        identity: A digest of its manifest and CSVs.
    """

    inventory: Inventory
    voxel_spacings: pd.DataFrame
    base_url: str | None
    csv_base: str | None
    identity: str = ""


@dataclass(frozen=True)
class Resolution:
    """Layers merged, before files are read.

    Attributes:
        checked: The recipe.
        base: What it starts from.
        layers: What each layer contributes, by its number; the base is layer 0.
        merged: Their union.
        files: What has to be read.
        diagnostics: What the layers found.
        points, arrays: Files and stores that have to be read for what is expected of them. Those of the base are under
            ``BASE``.
    """

    checked: CheckedRecipe
    base: Base | None
    layers: Mapping[int, LayerRows]
    merged: Merged
    files: Files
    diagnostics: tuple[Diagnostic, ...]
    points: Files = field(default_factory=dict)
    arrays: Files = field(default_factory=dict)

    @property
    def of_recipe(self) -> tuple[LayerRows, ...]:
        """The layers that the recipe has, in order."""
        return tuple(layer for number, layer in self.layers.items() if number)

    @property
    def first(self) -> LayerRows | None:
        """What the others come on top of: the base, or the layer that exports."""
        return next(iter(self.layers.values()), None)

    @property
    def collided(self) -> Authored:
        """Portal ids of records that collide and will be shown, by source and artifact type."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for layer in self.layers.values():
            for artifact, clashes in collisions.undecided(layer.collisions).items():
                ids = collisions.shown_ids(artifact, clashes)
                for position, of_source in ids.items():
                    known = found.setdefault(layer.spec.sources[position], {})
                    known[artifact] = tuple(dict.fromkeys((*known.get(artifact, ()), *of_source)))
        return found


@dataclass(frozen=True)
class Settled:
    """What the layers come to, before it is known where it is written: the same for every result of a recipe.

    Attributes:
        resolution: How the layers came together.
        artifacts: The artifact tables, with what the files say and the splits of runs.
        voxel_spacings: The rows of voxel spacings.
        config: What ``copick:config`` says of the project.
        offered: Its pickable objects, of which each result lists all or some.
        drawn: The runs whose split was drawn.
        dataset: The recipe's dataset block, with what was filled; ``None`` where a base has the metadata.
        filled: What of it was filled.
        diagnostics: Everything found so far, check's findings included.
        used: What the dataset block was filled from.
        split_places: Where the recipe says which split a run is in, of the runs that it says it of.
    """

    resolution: Resolution
    artifacts: Mapping[str, pd.DataFrame]
    voxel_spacings: pd.DataFrame
    config: Mapping[str, object]
    offered: Offered
    drawn: frozenset[str]
    dataset: Mapping[str, Any] | None
    filled: tuple[Filled, ...]
    diagnostics: tuple[Diagnostic, ...]
    used: Used = NOTHING_USED
    split_places: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A result of a recipe, and where it goes.

    Attributes:
        spec: What the recipe says of it.
        project_root: Absolute path or URL that it is written below.
        base_url: Instead of the ``base_url`` that the recipe has for it.
        manifest: That of the base, as it has to be there.
        in_place: Whether it takes the place of the base.
        known: The names that masked runs have already; of a result that hides nothing, those that all others give too.
        names_read: The table of names that was there when they were given.
    """

    spec: OutputSpec
    project_root: str
    base_url: str | None = None
    manifest: Mapping[str, Any] | None = None
    in_place: bool = False
    known: MaskedNames = NO_NAMES
    names_read: bytes | None = None


@dataclass(frozen=True)
class Plan:
    """What a build would write as one result.

    Attributes:
        resolution: How the layers came together.
        target: Which result it is.
        publication: Where it is written and read.
        artifacts: The final artifact tables, each row with its lineage.
        rows: The same as the rows of every record set.
        content: The Croissant.
        diagnostics: What was found of this result, beside what ``Settled`` has. With an error among either nothing is
            written.
        hidden: What it does not show.
        hides: What each result of the recipe does not show, by its name; of that of which is told what all share.
        identities: What each source resolved to (``Source.identity``), by its name.
        labelling: What decided the labels of its objects.
        drawn: The runs whose split was drawn, as the result calls them.
        filled: What the sources say of the dataset that the recipe leaves open.
        split_places: Where the recipe says which split a run is in, of the runs that it says it of, by their names in
            the result.
        offered: The pickable objects, and where each is from.
    """

    resolution: Resolution
    target: Target
    publication: Publication
    artifacts: Mapping[str, pd.DataFrame]
    rows: Mapping[str, pd.DataFrame]
    content: Content
    diagnostics: tuple[Diagnostic, ...]
    hidden: Hidden
    hides: Mapping[str, Hidden] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    labelling: Labelling = field(default_factory=Labelling)
    drawn: frozenset[str] = frozenset()
    filled: tuple[Filled, ...] = ()
    split_places: Mapping[str, Span] = field(default_factory=dict)
    offered: Offered = field(default_factory=lambda: Offered({}))

    @property
    def checked(self) -> CheckedRecipe:
        return self.resolution.checked


def resolve(checked: CheckedRecipe, inventories: Sequence[Sequence[Inventory]], base: Base | None) -> Resolution:
    """Apply every layer to the inventories of its sources and merge them in order."""
    applied = [] if base is None else [layers.apply(_BASE_LAYER, [base.inventory])]
    applied += [layers.apply(spec, found) for spec, found in zip(checked.layers, inventories, strict=True)]
    by_number = {layer.spec.number: layer for layer in applied}
    merged = merging.merge(applied)
    found = [d for layer in applied for d in layer.diagnostics]
    unmet = [layer.unmet for layer in applied if layer.spec.number]
    found += naming.met_nowhere(unmet, checked.document.file)
    expect = checked.recipe.expect
    points = _placed([data_checks.picks_to_read(expect, merged.tables)], by_number)
    arrays = _placed(data_checks.arrays_to_read(expect, merged.tables), by_number)
    return Resolution(checked, base, by_number, merged, _files(merged, by_number), in_order(found), points, arrays)


def _placed(parts: Iterable[pd.DataFrame], by_number: Mapping[int, LayerRows]) -> Files:
    """Where the data of rows lies."""
    needed: dict[str, dict[tuple[str, str], None]] = {}
    for part in parts:
        for (number, position), rows in merging.by_source(part):
            of_source = needed.setdefault(_source_of(by_number[number], position), {})
            of_source.update(dict.fromkeys(zip(rows["root"], rows["path"], strict=True)))
    return {source: tuple(files) for source, files in needed.items() if files}


def _source_of(layer: LayerRows, position: int) -> str:
    return layer.spec.sources[position] if layer.spec.number else BASE


def _files(merged: Merged, by_number: Mapping[int, LayerRows]) -> Files:
    """The files of surviving rows that have to be read."""
    needed: dict[str, dict[tuple[str, str], None]] = {}
    for artifact in _HASHED:
        for (number, position), rows in merging.by_source(merged.tables[artifact]):
            layer = by_number[number]
            read = [key for key, root in layer.stock.parts[position].roots.items() if root.reads_files]
            wanted = rows[rows["root"].isin(read)]
            of_source = needed.setdefault(layer.spec.sources[position], {})
            of_source.update(dict.fromkeys(zip(wanted["root"], wanted["path"], strict=True)))
    return {source: tuple(files) for source, files in needed.items() if files}


def settle(resolution: Resolution, facts: Facts, authors: Authors, used: Used = NOTHING_USED) -> Settled:
    """Fill in what the files say, and everything that follows from the rows wherever they are written.

    Args:
        resolution: From ``resolve``.
        facts: What the files in ``resolution.files`` say.
        authors: Of the records in ``resolution.collided``, as far as sources know.
        used: What the portal says of what the rows are from, where the recipe leaves its dataset open.
    """
    found = [*resolution.diagnostics, *_collisions(resolution, authors), *_replacements(resolution)]
    artifacts = dict(resolution.merged.tables)
    for artifact in _HASHED:
        artifacts[artifact], problems = _with_facts(artifact, artifacts[artifact], resolution, facts)
        found += problems
    assigned = splits.assign(resolution.checked, artifacts, resolution.of_recipe)
    artifacts["runs"] = _with_splits(artifacts["runs"], assigned.of_runs)
    found += assigned.diagnostics
    kept = resolution.base.voxel_spacings if resolution.base else tables.records("voxel_spacings")
    spacings = records.voxel_spacings(artifacts, kept)
    offered, problems = _objects(resolution, artifacts)
    found += problems
    for spec in resolution.checked.outputs:
        found += _labels(offered, artifacts, resolution.checked, spec)
    dataset, filled, problems = dataset_metadata.whole(resolution.checked, used)
    found += problems
    project = _project(resolution, dataset or {})
    config = {**project, **resolution.checked.recipe.project.model_dump(exclude_none=True)}
    return Settled(
        resolution,
        artifacts,
        spacings,
        config,
        offered,
        assigned.drawn,
        dataset,
        filled,
        in_order(found),
        used,
        assigned.places,
    )


def finish(settled: Settled, target: Target) -> Plan:
    """One result: what it shows, and where that lies when it is read."""
    resolution, spec, base = settled.resolution, target.spec, settled.resolution.base
    recipe, document = resolution.checked.recipe, resolution.checked.document
    output_url = target.base_url or spec.output.base_url
    visible, spacings, hidden = withholding.show(
        settled.artifacts, settled.voxel_spacings, spec, resolution.checked, target.known
    )
    placement = placing.place(resolution.layers, visible, recipe.sources, output_url, target.project_root)
    kept_url = base.base_url if base else None
    publication, found = placing.publish(
        placement, target.project_root, output_url, kept_url, document.key_span(*spec.path)
    )
    artifacts = placing.with_urls(placement, publication)
    found += placing.only_with_overlay(artifacts)
    if spec.withhold:
        root = target.project_root
        found += withholding.published_with(settled.artifacts, resolution.layers, spec, resolution.checked, root)
    rows = records.from_artifacts(artifacts, spacings)
    # What masked runs are from would tell of them.
    known = withholding.of_known_runs(artifacts, hidden)
    dataset, filled = settled.dataset, settled.filled
    if spec.hides and settled.used.records:
        seen = origins.by_source(resolution.layers, known).values()
        shown = tuple(r for r in settled.used.records if any(r.number in getattr(each, r.kind) for each in seen))
        dataset, filled, problems = dataset_metadata.whole(resolution.checked, replace(settled.used, records=shown))
        found += problems
    labelling = objects.labelling(settled.offered, recipe.objects, spec.output)
    listed = objects.complete(settled.offered, labelling.numbers())
    content = Content(
        tables=records.without_lineage(rows),
        config={**settled.config, "pickable_objects": listed},
        dataset=dataset,
        base=withholding.without_provenance(target.manifest) if spec.hides else target.manifest,
        base_url=publication.base_url,
        csv_base=_csv_base(output_url, base),
        parquet=spec.output.parquet,
        provenance=origins.of_result(
            resolution.checked, resolution.layers, known, in_place=target.in_place, hides=spec.hides
        ),
        beside=_table_of_names(target, resolution.checked),
    )
    found += hidden.diagnostics
    return Plan(
        resolution,
        target,
        publication,
        artifacts,
        rows,
        content,
        in_order(found),
        hidden,
        labelling=labelling,
        drawn=frozenset(hidden.names.get(name, name) for name in settled.drawn),
        filled=filled,
        split_places={hidden.names.get(name, name): span for name, span in settled.split_places.items()},
        offered=settled.offered,
    )


def expected(settled: Settled, whole: Plan | None, data: Data | None = None) -> list[Diagnostic]:
    """What does not hold of all that the recipe makes, whatever results show of it.

    Args:
        settled: From ``settle``.
        whole: A result that hides nothing, if there is one.
        data: What was read for it.
    """
    if any(errors(settled.diagnostics)):
        # Counts that do not hold because of another error say nothing new.
        return []
    checked = settled.resolution.checked
    said = _said(settled, data or Data())
    found = data_checks.check(checked.recipe.expect, settled.artifacts, said, checked.document)
    if whole is not None:
        return found + expectations.check(checked.recipe.expect, whole.content.tables, checked.document)
    placed = {a: table.assign(url="") if ARTIFACTS[a].places else table for a, table in settled.artifacts.items()}
    rows = records.from_artifacts(placed, settled.voxel_spacings)
    return found + expectations.check(checked.recipe.expect, records.without_lineage(rows), checked.document)


def _said(settled: Settled, data: Data) -> data_checks.Said:
    """What was read, beside the rows that it is of."""
    resolution = settled.resolution

    def beside(artifact: str, known: Mapping[str, Mapping[tuple[str, str], Fact]]) -> list[Fact | None]:
        table = settled.artifacts[artifact]
        found: list[Fact | None] = [None] * len(table)
        for (number, position), rows in merging.by_source(table):
            of_source = known.get(_source_of(resolution.layers[number], position), {})
            places = zip(rows["root"].tolist(), rows["path"].tolist(), strict=True)
            for i, place in zip(rows.index.tolist(), places, strict=True):
                found[i] = of_source.get(place)
        return found

    return data_checks.Said(
        beside("picks", data.points) if resolution.points else (),
        {name: beside(name, data.arrays) for name in data_checks.SPACED} if resolution.arrays else {},
    )


def _table_of_names(target: Target, checked: CheckedRecipe) -> Mapping[str, bytes]:
    """The file that says how runs are called elsewhere, of a result that hides nothing where another one masks."""
    if target.spec.hides or not any(spec.masks for spec in checked.outputs):
        return {}
    return {NAMES_FILE: masked_names.to_bytes(target.known)}


def _collisions(resolution: Resolution, authors: Authors) -> Iterator[Diagnostic]:
    for layer in resolution.layers.values():
        for artifact, found in collisions.undecided(layer.collisions).items():
            names = [authors.get(source, {}).get(artifact, {}) for source in layer.spec.sources]
            yield collisions.diagnostic(layer.spec, artifact, found, names)
    yield from collisions.between_sources((layer.spec, layer.tables["runs"]) for layer in resolution.layers.values())


def _replacements(resolution: Resolution) -> Iterator[Diagnostic]:
    """Rows of one layer that a later one replaces: it is meant to, and nothing does so silently."""
    for replaced in resolution.merged.replacements():
        spec, earlier = resolution.layers[replaced.later].spec, resolution.layers[replaced.earlier].spec
        n = len(replaced.keys)
        keys = [key_text(key) for key in replaced.keys[:_SHOWN]]
        if n > _SHOWN:
            keys.append(f"and {n - _SHOWN} more")
        yield Diagnostic(
            Code.SHADOWED,
            f"{spec.label} replaces {n} {replaced.artifact} of {earlier.label}",
            Severity.INFO,
            span=spec.span,
            notes=tuple(keys),
        )


def _csv_base(output_url: str | None, base: Base | None) -> str | None:
    if output_url is not None:
        return output_url if Location.parse(output_url).is_web else None
    return base.csv_base if base else None


def _with_facts(
    artifact: str, table: pd.DataFrame, resolution: Resolution, facts: Facts
) -> tuple[pd.DataFrame, list[Diagnostic]]:
    """The table with what the files say of their rows."""
    positions: list[int] = []
    said: list[FileFacts] = []
    broken: list[str] = []
    where: list[Span | None] = []
    for (number, position), rows in merging.by_source(table):
        known = facts.get(resolution.layers[number].spec.sources[position])
        if not known:
            continue
        places = zip(rows["root"].tolist(), rows["path"].tolist(), strict=True)
        for i, place in zip(rows.index.tolist(), places, strict=True):
            fact = known.get(place)
            if fact is not None:
                positions.append(i)
                said.append(fact)
                if fact.problem:
                    broken.append(f"{place[1]}: {fact.problem}")
                    where.append(resolution.layers[number].spec.span)
    if not said:
        return table, []
    sha256 = table["sha256"].copy()
    sha256.iloc[positions] = [fact.sha256 for fact in said]
    changed = {"sha256": sha256}
    if "voxel_size" in table:
        changed["voxel_size"] = table["voxel_size"].copy()
        changed["voxel_size"].iloc[positions] = [fact.voxel_size for fact in said]
    return table.assign(**changed), [_broken(artifact, broken, where[0])] if broken else []


def _broken(artifact: str, broken: Sequence[str], span: Span | None) -> Diagnostic:
    shown = tuple(sorted(broken)[:5])
    more = (f"and {len(broken) - len(shown)} more",) if len(broken) > len(shown) else ()
    files = "file" if len(broken) == 1 else "files"
    message = f"{len(broken)} {files} of {artifact} cannot be read"
    hint = f"repair them, or leave them out with `{artifact}: {{exclude: […]}}`"
    return Diagnostic(Code.FILE_CONTENT, message, hint=hint, span=span, notes=(*shown, *more))


def _with_splits(runs: pd.DataFrame, of_runs: Mapping[str, str]) -> pd.DataFrame:
    return runs.assign(split=runs["name"].map(of_runs).astype("str"))


def _objects(resolution: Resolution, artifacts: Mapping[str, pd.DataFrame]) -> tuple[Offered, list[Diagnostic]]:
    """The pickable objects, as the sources and the recipe have them."""
    recipe, document = resolution.checked.recipe, resolution.checked.document
    of_layers = [
        (layer.spec, source, objects.renamed(part.objects, layer.object_names))
        for layer in resolution.layers.values()
        for source, part in layer.sources
    ]
    united, origin, found = objects.union(of_layers, recipe.objects)
    used = {name for a, column in _NAMED for name in artifacts[a][column].unique()}
    united, more = objects.override(united, recipe.objects, used, document)
    found += [*more, *objects.undefined(united, artifacts)]
    return Offered(united, origin, _names(artifacts)), found


def _names(artifacts: Mapping[str, pd.DataFrame]) -> frozenset[str]:
    """The objects that rows are of."""
    return frozenset(name for a, column in _OF_OBJECTS for name in artifacts[a][column].unique())


def _labels(
    offered: Offered, artifacts: Mapping[str, pd.DataFrame], checked: CheckedRecipe, spec: OutputSpec
) -> Iterator[Diagnostic]:
    """What is to be said of the labels of a result."""
    labelling = objects.labelling(offered, checked.recipe.objects, spec.output)
    kinds = artifacts["segmentations"]["segmentation_type"]
    yield from labels.shared(labelling)
    span = checked.document.key_span(*spec.path)
    yield from labels.not_as_meant(labelling, int((kinds == "multilabel").sum()), span)


def _project(resolution: Resolution, dataset: Mapping[str, Any]) -> Mapping[str, object]:
    """What ``copick:config`` says of the project: as the base has it, else as the source that is exported."""
    if resolution.base is not None:
        kept: Mapping[str, object] = (resolution.base.inventory.manifest or {}).get("copick:config", {})
        return kept
    found = resolution.layers[1].stock.parts[0].config
    # The version of a project is none of the dataset's.
    fallback = {key: dataset.get(key) for key in ("name", "description")}
    return {key: found.get(key, fallback.get(key)) for key in PROJECT_KEYS}
