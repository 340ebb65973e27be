"""From checked recipe and inventories to a plan. Pure: nothing here reads or writes.

Two steps, because only rows that survive have their files read: ``resolve`` merges the layers and says which files are
needed, ``finish`` puts what they say into the final tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import collisions, expectations, layers, merging, objects, placing, records, splits
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.merging import Merged
from croissant_recipes.compiler.urls import Publication
from croissant_recipes.croissant.content import Content
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, errors, in_order, key_text
from croissant_recipes.language.checked import CheckedRecipe, LayerSpec, Take, TypeFilter
from croissant_recipes.location import Location
from croissant_recipes.schema import ARTIFACTS, PROJECT_KEYS
from croissant_recipes.sources.base import FileFacts, Inventory

_SHOWN = 3

_BASE_LAYER = LayerSpec(-1, "base", "base", {artifact: TypeFilter(artifact, Take.ALL) for artifact in ARTIFACTS})
"""Layer 0: all of the Croissant that a recipe starts from."""

_HASHED = tuple(name for name, described in ARTIFACTS.items() if described.hashed)
_NAMED = tuple((n, d.object_column) for n, d in ARTIFACTS.items() if d.object_column and d.of_run)

Files = Mapping[str, Sequence[tuple[str, str]]]
"""Files to read, as (root, path), by source."""

Authored = Mapping[str, Mapping[str, Sequence[str]]]
"""Portal ids of records by source and artifact type."""

Authors = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
"""Names of authors by source, artifact type and portal id."""

Facts = Mapping[str, Mapping[tuple[str, str], FileFacts]]
"""What the files say, by source."""


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
    """

    checked: CheckedRecipe
    base: Base | None
    layers: Mapping[int, LayerRows]
    merged: Merged
    files: Files
    diagnostics: tuple[Diagnostic, ...]

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
                known = found.setdefault(layer.spec.source, {})
                known[artifact] = tuple(dict.fromkeys((*known.get(artifact, ()), *ids)))
        return found


@dataclass(frozen=True)
class Plan:
    """What a build would write.

    Attributes:
        resolution: How the layers came together.
        publication: Where it is written and read.
        artifacts: The final artifact tables, each row with its lineage.
        rows: The same as the rows of every record set.
        content: The Croissant.
        diagnostics: Everything found, check's findings included. With an error among them nothing is written.
        identities: What each source resolved to (``Source.identity``), by its name.
    """

    resolution: Resolution
    publication: Publication
    artifacts: Mapping[str, pd.DataFrame]
    rows: Mapping[str, pd.DataFrame]
    content: Content
    diagnostics: tuple[Diagnostic, ...]
    identities: Mapping[str, str] = field(default_factory=dict)

    @property
    def checked(self) -> CheckedRecipe:
        return self.resolution.checked


def resolve(checked: CheckedRecipe, inventories: Sequence[Inventory], base: Base | None) -> Resolution:
    """Apply every layer to its inventory and merge them in order."""
    applied = [] if base is None else [layers.apply(_BASE_LAYER, base.inventory)]
    applied += [layers.apply(spec, found) for spec, found in zip(checked.layers, inventories, strict=True)]
    by_number = {layer.spec.number: layer for layer in applied}
    merged = merging.merge(applied)
    found = in_order(d for layer in applied for d in layer.diagnostics)
    return Resolution(checked, base, by_number, merged, _files(merged, by_number), found)


def _files(merged: Merged, by_number: Mapping[int, LayerRows]) -> Files:
    """The files of surviving rows that have to be read."""
    needed: dict[str, dict[tuple[str, str], None]] = {}
    for artifact in _HASHED:
        for number, rows in merging.by_layer(merged.tables[artifact]):
            layer = by_number[number]
            read = [key for key, root in layer.inventory.roots.items() if root.reads_files]
            wanted = rows[rows["root"].isin(read)]
            of_source = needed.setdefault(layer.spec.source, {})
            of_source.update(dict.fromkeys(zip(wanted["root"], wanted["path"], strict=True)))
    return {source: tuple(files) for source, files in needed.items() if files}


def finish(
    resolution: Resolution, facts: Facts, authors: Authors, project_root: str, base_url: str | None = None
) -> Plan:
    """Fill in what the files say, and everything that follows from the final rows.

    Args:
        resolution: From ``resolve``.
        facts: What the files in ``resolution.files`` say.
        authors: Of the records in ``resolution.collided``, as far as sources know.
        project_root: Absolute path or URL that the Croissant is written below.
        base_url: Instead of the recipe's ``output.base_url``.
    """
    recipe = resolution.checked.recipe
    output_url = base_url or recipe.output.base_url
    found = [*resolution.diagnostics, *_collisions(resolution, authors), *_replacements(resolution)]

    base = resolution.base
    placement = placing.place(resolution.layers, resolution.merged.tables, recipe.sources, output_url, project_root)
    span = resolution.checked.document.key_span("output")
    publication, remarks = placing.publish(placement, project_root, output_url, base.base_url if base else None, span)
    artifacts = placing.with_urls(placement, publication)
    found += [*remarks, *placing.only_with_overlay(artifacts)]
    for artifact in _HASHED:
        artifacts[artifact], problems = _with_facts(artifact, artifacts[artifact], resolution, facts)
        found += problems
    artifacts["runs"], problems = _with_splits(artifacts["runs"], resolution)
    found += problems
    spacings = base.voxel_spacings if base else tables.records("voxel_spacings")
    rows = records.from_artifacts(artifacts, spacings)
    final = records.without_lineage(rows)
    config, problems = _config(resolution, artifacts)
    found += problems
    if not any(errors(found)):
        # Counts that do not hold because of another error say nothing new.
        found += expectations.check(recipe.expect, final, resolution.checked.document)
    content = Content(
        tables=final,
        config=config,
        dataset=recipe.dataset.model_dump(exclude_none=True) if recipe.dataset else None,
        base=base.inventory.manifest if base else None,
        base_url=publication.base_url,
        csv_base=_csv_base(output_url, base),
        parquet=recipe.output.parquet,
    )
    return Plan(resolution, publication, artifacts, rows, content, in_order(found))


def _collisions(resolution: Resolution, authors: Authors) -> Iterator[Diagnostic]:
    for layer in resolution.layers.values():
        for artifact, found in collisions.undecided(layer.collisions).items():
            names = authors.get(layer.spec.source, {}).get(artifact, {})
            yield collisions.diagnostic(layer.spec, artifact, found, names)
    yield from collisions.between_layers((layer.spec, layer.tables["runs"]) for layer in resolution.layers.values())


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
    for number, rows in merging.by_layer(table):
        known = facts.get(resolution.layers[number].spec.source)
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


def _with_splits(runs: pd.DataFrame, resolution: Resolution) -> tuple[pd.DataFrame, list[Diagnostic]]:
    assigned, problems = splits.assign(resolution.checked, runs, resolution.of_recipe)
    return runs.assign(split=runs["name"].map(assigned).astype("str")), problems


def _config(
    resolution: Resolution, artifacts: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, object], list[Diagnostic]]:
    """``copick:config``: what the project says of itself, and its pickable objects."""
    recipe, document = resolution.checked.recipe, resolution.checked.document
    offered = [
        (layer.spec, objects.renamed(layer.inventory.objects, layer.object_names))
        for layer in resolution.layers.values()
    ]
    united, found = objects.union(offered, recipe.objects)
    used = {name for a, column in _NAMED for name in artifacts[a][column].unique()}
    united, more = objects.override(united, recipe.objects, used, document)
    found += [*more, *objects.undefined(united, artifacts)]
    complete, more = objects.complete(united)
    found += more
    said = {**_project(resolution), **recipe.project.model_dump(exclude_none=True)}
    return {**said, "pickable_objects": complete}, found


def _project(resolution: Resolution) -> Mapping[str, object]:
    """What ``copick:config`` says of the project: as the base has it, else as the source that is exported."""
    if resolution.base is not None:
        kept: Mapping[str, object] = (resolution.base.inventory.manifest or {}).get("copick:config", {})
        return kept
    recipe = resolution.checked.recipe
    assert recipe.dataset is not None
    found = resolution.layers[1].inventory.config
    dataset = {"name": recipe.dataset.name, "description": recipe.dataset.description}
    return {key: found.get(key, dataset.get(key)) for key in PROJECT_KEYS}
