"""From checked recipe and inventories to a plan. Pure: nothing here reads or writes.

Two steps, because only rows that survive have their files read: ``resolve`` merges the layers and says which files are
needed, ``finish`` puts what they say into the final tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.codes import Code
from croissant_recipes.compiler import collisions, expectations, layers, merging, objects, records, splits, urls
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.merging import Merged
from croissant_recipes.compiler.urls import Publication
from croissant_recipes.croissant.content import Content
from croissant_recipes.diagnostics import Diagnostic, Severity, errors, in_order
from croissant_recipes.language.checked import CheckedRecipe, LayerSpec
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.sources.base import FileFacts, Inventory

_SHOWN = 3

PORTAL_BUCKET = "s3://cryoet-data-portal-public/"
"""``copick:baseUrl`` of a portal export, as copick writes it."""

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
    """The Croissant that a recipe starts from."""

    inventory: Inventory
    voxel_spacings: pd.DataFrame
    base_url: str | None
    csv_base: str | None


@dataclass(frozen=True)
class Resolution:
    """Layers merged, before files are read.

    Attributes:
        layers: What each layer contributes.
        merged: Their union; with a base, the base is the layer at position 0.
        files: What has to be read.
    """

    checked: CheckedRecipe
    base: Base | None
    layers: tuple[LayerRows, ...]
    merged: Merged
    files: Files
    diagnostics: tuple[Diagnostic, ...]

    @property
    def shift(self) -> int:
        """Position of the recipe's first layer among the merged ones."""
        return 1 if self.base else 0

    @property
    def collided(self) -> Authored:
        """Portal ids of records that collide and will be shown, by source and artifact type."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for layer in self.layers:
            for artifact, clashes in collisions.undecided(layer.collisions).items():
                ids = collisions.shown_ids(artifact, clashes)
                known = found.setdefault(layer.spec.source, {})
                known[artifact] = tuple(dict.fromkeys((*known.get(artifact, ()), *ids)))
        return found

    def label_at(self, position: int) -> str:
        """How messages name a merged layer."""
        if self.base and position == 0:
            return "the base"
        return self.layers[position - self.shift].spec.label

    def inventory_at(self, position: int) -> Inventory:
        if self.base and position == 0:
            return self.base.inventory
        return self.layers[position - self.shift].inventory


@dataclass(frozen=True)
class Plan:
    """What a build would write.

    Attributes:
        resolution: How the layers came together.
        publication: Where it is written and read.
        content: The Croissant.
        diagnostics: Everything found, check's findings included. With an error among them nothing is written.
    """

    resolution: Resolution
    publication: Publication
    content: Content
    diagnostics: tuple[Diagnostic, ...]

    @property
    def checked(self) -> CheckedRecipe:
        return self.resolution.checked


def resolve(checked: CheckedRecipe, inventories: Sequence[Inventory], base: Base | None) -> Resolution:
    """Apply every layer to its inventory and merge them in order."""
    applied = tuple(layers.apply(spec, inv) for spec, inv in zip(checked.layers, inventories, strict=True))
    parts = [layer.tables for layer in applied]
    if base is not None:
        parts.insert(0, base.inventory.tables)
    resolution = Resolution(
        checked,
        base,
        applied,
        merging.merge(parts),
        {},
        in_order(d for layer in applied for d in layer.diagnostics),
    )
    return _with_files(resolution)


def _with_files(resolution: Resolution) -> Resolution:
    needed: dict[str, list[tuple[str, str]]] = {}
    for artifact in _HASHED:
        for position, rows in merging.by_layer(resolution.merged.tables[artifact]):
            if resolution.base and position == 0:
                continue
            roots = resolution.inventory_at(position).roots
            read = [key for key, root in roots.items() if root.reads_files]
            wanted = rows[rows["root"].isin(read)]
            source = resolution.layers[position - resolution.shift].spec.source
            needed.setdefault(source, []).extend(zip(wanted["root"], wanted["path"], strict=True))
    files = {source: tuple(dict.fromkeys(paths)) for source, paths in needed.items()}
    return Resolution(
        resolution.checked, resolution.base, resolution.layers, resolution.merged, files, resolution.diagnostics
    )


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
    return _Finisher(
        resolution, facts, authors, project_root, base_url or resolution.checked.recipe.output.base_url
    ).plan()


def _collisions(resolution: Resolution, authors: Authors) -> Iterator[Diagnostic]:
    for layer in resolution.layers:
        for artifact, found in collisions.undecided(layer.collisions).items():
            names = authors.get(layer.spec.source, {}).get(artifact, {})
            yield collisions.diagnostic(layer.spec, artifact, found, names)


def _replacements(resolution: Resolution) -> Iterator[Diagnostic]:
    """Rows of one layer that a later one replaces: it is meant to, and nothing does so silently."""
    for replaced in resolution.merged.replacements:
        spec = resolution.layers[replaced.later - resolution.shift].spec
        n = len(replaced.keys)
        keys = [", ".join(map(str, key)) for key in replaced.keys[:_SHOWN]]
        if n > _SHOWN:
            keys.append(f"and {n - _SHOWN} more")
        yield Diagnostic(
            Code.SHADOWED,
            f"{spec.label} replaces {n} {replaced.artifact} of {resolution.label_at(replaced.earlier)}",
            Severity.INFO,
            span=spec.span,
            notes=tuple(keys),
        )


class _Finisher:
    def __init__(
        self, resolution: Resolution, facts: Facts, authors: Authors, project_root: str, base_url: str | None
    ) -> None:
        self.resolution = resolution
        self.checked = resolution.checked
        self.recipe = resolution.checked.recipe
        self.facts = facts
        self.output_url = base_url
        self.outside: dict[str, list[str]] = {}
        self.publication = Publication(project_root, self._row_base())
        self.found: list[Diagnostic] = [
            *resolution.diagnostics,
            *_collisions(resolution, authors),
            *_replacements(resolution),
        ]

    def _row_base(self) -> str | None:
        """``copick:baseUrl``: the portal's for a portal export, the output's, or the one the base has."""
        base = self.resolution.base
        if base is None and self._exports_portal():
            return PORTAL_BUCKET
        if self.output_url is not None or base is None:
            return self.output_url
        return base.base_url

    def _exports_portal(self) -> bool:
        roots = self.resolution.layers[0].inventory.roots.values()
        return any(root.base_url is not None and root.base_url.rstrip("/") + "/" == PORTAL_BUCKET for root in roots)

    def _csv_base(self) -> str | None:
        if self.output_url is not None:
            return self.output_url if self.output_url.startswith(("http://", "https://")) else None
        return self.resolution.base.csv_base if self.resolution.base else None

    def plan(self) -> Plan:
        artifacts = {a: self._with_urls(a, t) for a, t in self.resolution.merged.tables.items()}
        for artifact in _HASHED:
            artifacts[artifact] = self._with_facts(artifact, artifacts[artifact])
        artifacts["runs"] = self._with_splits(artifacts["runs"])
        final = records.from_artifacts(artifacts, self._base_spacings())
        config = self._config(artifacts)
        self._check_inside()
        if not any(errors(self.found)):
            # Counts that do not hold because of another error say nothing new.
            everything = {**artifacts, "voxel_spacings": final["voxel_spacings"]}
            self.found += expectations.check(self.recipe.expect, everything, self.checked.document)
        base = self.resolution.base
        content = Content(
            tables=final,
            config=config,
            dataset=None if base else self._dataset(),
            base=base.inventory.manifest if base else None,
            base_url=self.publication.base_url,
            csv_base=self._csv_base(),
            parquet=self.recipe.output.parquet,
        )
        return Plan(self.resolution, self.publication, content, in_order(self.found))

    # Rows

    def _with_urls(self, artifact: str, table: pd.DataFrame) -> pd.DataFrame:
        if artifact == "runs":
            return table
        parts = [self._urls_of(position, rows) for position, rows in merging.by_layer(table)]
        if not parts:
            return table.assign(url=pd.Series([], dtype="str"))
        return table.assign(url=pd.concat(parts).reindex(table.index).astype("str"))

    def _urls_of(self, position: int, rows: pd.DataFrame) -> pd.Series:
        inventory = self.resolution.inventory_at(position)
        if self.resolution.base and position == 0:
            found = urls.places(rows, inventory.roots, operation="base", source_base=None, publication=self.publication)
            return urls.relative(found, self.publication.anchor)
        spec = self.resolution.layers[position - self.resolution.shift].spec
        found = urls.places(
            rows,
            inventory.roots,
            operation=spec.operation,
            source_base=self.recipe.sources[spec.source].base_url,
            publication=self.publication,
        )
        if spec.operation == "append":
            return found
        relative = urls.relative(found, self.publication.anchor)
        if self.publication.base_url is None:
            self.outside.setdefault(spec.source, []).extend(relative[relative.map(urls.has_protocol).astype(bool)])
        return relative

    def _check_inside(self) -> None:
        """A relocatable Croissant can only say where a row lies relative to itself."""
        for source, outside in self.outside.items():
            if not outside:
                continue
            self.found.append(
                Diagnostic(
                    Code.OUTSIDE_ROOT,
                    f"source {source!r}: {len(outside)} of the artifacts to export lie outside output.project_root, "
                    f"such as {urls.shown(min(outside))}",
                    span=self.checked.document.key_span("output"),
                    hint="add `base_url:` to `output:` with the URL that project_root has when it is read, "
                    "or build into the project's own folder",
                )
            )

    def _with_facts(self, artifact: str, table: pd.DataFrame) -> pd.DataFrame:
        sha256, sizes, broken = list(table["sha256"]), None, []
        if artifact == "picks":
            sizes = list(table["voxel_size"])
        places = zip(table["layer"], table["root"], table["path"], strict=True)
        for i, (layer, root, path) in enumerate(places):
            position = int(layer) - self.resolution.shift
            if position < 0:
                continue
            fact = self.facts.get(self.resolution.layers[position].spec.source, {}).get((root, path))
            if fact is None:
                continue
            sha256[i] = fact.sha256
            if sizes is not None:
                sizes[i] = fact.voxel_size
            if fact.problem:
                broken.append(f"{path}: {fact.problem}")
        if broken:
            self._report_broken(artifact, broken)
        changed: dict[str, pd.Series] = {"sha256": pd.Series(sha256, index=table.index, dtype="str")}
        if sizes is not None:
            changed["voxel_size"] = pd.Series(sizes, index=table.index, dtype="float64")
        return table.assign(**changed)

    def _report_broken(self, artifact: str, broken: Sequence[str]) -> None:
        shown = tuple(sorted(broken)[:5])
        more = (f"and {len(broken) - len(shown)} more",) if len(broken) > len(shown) else ()
        message = f"{len(broken)} {artifact} files cannot be read"
        hint = f"repair them, or leave them out with `{artifact}: {{exclude: […]}}`"
        self.found.append(Diagnostic(Code.FILE_CONTENT, message, hint=hint, notes=(*shown, *more)))

    def _with_splits(self, runs: pd.DataFrame) -> pd.DataFrame:
        assigned, problems = splits.assign(
            self.checked, runs, [layer.tables["runs"] for layer in self.resolution.layers]
        )
        self.found += problems
        return runs.assign(split=runs["name"].map(assigned).astype("str"))

    def _base_spacings(self) -> pd.DataFrame:
        base = self.resolution.base
        return base.voxel_spacings if base else tables.records("voxel_spacings")

    # The rest

    def _config(self, artifacts: Mapping[str, pd.DataFrame]) -> dict[str, object]:
        base = self.resolution.base
        merged_from: list[tuple[LayerSpec | None, list[objects.PickableObject]]] = []
        if base is not None:
            merged_from.append((None, objects.renamed(base.inventory.objects, {})))
        merged_from += [
            (layer.spec, objects.renamed(layer.inventory.objects, {n.old: n.new for n in layer.spec.rename_objects}))
            for layer in self.resolution.layers
        ]
        united, found = objects.union(merged_from, self.recipe.objects)
        self.found += found
        used = {name for a, column in _NAMED for name in artifacts[a][column].unique()}
        united, found = objects.override(united, self.recipe.objects, used, self.checked.document)
        self.found += found
        self.found += objects.undefined(united, artifacts)
        complete, found = objects.complete(united)
        self.found += found
        if base is not None:
            kept = base.inventory.manifest or {}
            return {**kept.get("copick:config", {}), "pickable_objects": complete}
        assert self.recipe.dataset is not None
        config = self.resolution.layers[0].inventory.config
        return {
            "name": self.recipe.dataset.name,
            "description": self.recipe.dataset.description,
            "version": config.get("version"),
            "user_id": config.get("user_id"),
            "session_id": config.get("session_id"),
            "pickable_objects": complete,
        }

    def _dataset(self) -> dict[str, object]:
        assert self.recipe.dataset is not None
        return self.recipe.dataset.model_dump(exclude_none=True)
