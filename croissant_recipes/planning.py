"""Recipes to plans: opens sources, scans each once however many recipes use it, and reads the files that are needed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from croissant_recipes import stores
from croissant_recipes.codes import Code
from croissant_recipes.compiler import expectations, origins, planner
from croissant_recipes.compiler.dataset_metadata import NOTHING_USED, Used
from croissant_recipes.compiler.planner import Base, Plan, Resolution, Target
from croissant_recipes.croissant import masked_names, other_readers
from croissant_recipes.croissant.content import Content
from croissant_recipes.croissant.manifest import read_elsewhere
from croissant_recipes.croissant.masked_names import NAMES_FILE, NO_NAMES, MaskedNames
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, errors, in_order, joined, listing
from croissant_recipes.language.checked import CheckedRecipe, LayerSpec, OutputSpec
from croissant_recipes.language.source_kinds import CroissantSource as CroissantSpec
from croissant_recipes.location import Location, without_credentials
from croissant_recipes.options import Options
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.base import (
    ArrayFacts,
    FileFacts,
    Inventory,
    KnowsAuthors,
    KnowsRecords,
    Means,
    Progress,
    PublishedRecord,
    ReadsData,
    Source,
)
from croissant_recipes.sources.identity import digest
from croissant_recipes.sources.opener import SourceKey, open_source, source_key
from croissant_recipes.sources.wanted import taken
from croissant_recipes.stores import Output
from croissant_recipes.work import Workers


@dataclass(frozen=True)
class Outcome:
    """What planning one result of a recipe came to: a plan, or only diagnostics.

    Attributes:
        checked: The recipe.
        spec: The result.
        output: Where it is built.
        plan: The plan, ``None`` where there is none.
        diagnostics: Everything found. What all results of a recipe share is told of one of them, but errors of each.
    """

    checked: CheckedRecipe
    spec: OutputSpec
    output: Output
    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]


def speaks_for_all(checked: CheckedRecipe) -> OutputSpec:
    """The result of which is told what all results of a recipe share: the first that hides nothing, if there is one."""
    return next(iter(checked.whole_outputs), checked.outputs[0])


def output_of(checked: CheckedRecipe, spec: OutputSpec, options: Options) -> Output:
    """Where a result is built. Several of them go into folders of their names below a root that is given."""
    if options.output is not None:
        root = Location.parse(options.output)
        return Output(root if spec.name is None else root / spec.name, spec.output.fs_args)
    return Output(Location.parse(spec.output.project_root, checked.folder), spec.output.fs_args)


def _base_url_of(spec: OutputSpec, options: Options) -> str | None:
    if options.base_url is None or spec.name is None:
        return options.base_url
    return f"{options.base_url}/{spec.name}"


def make_plans(
    recipes: Sequence[tuple[CheckedRecipe, Sequence[Diagnostic]]],
    options: Options,
    workers: Workers,
    progress: Progress,
) -> list[Outcome]:
    """Plan recipes together: one outcome for each result of each recipe, in their order. ``recipes`` come with what
    ``check`` found of them."""
    session = _Session(options, workers, progress)
    return session.run(recipes)


class _Session:
    def __init__(self, options: Options, workers: Workers, progress: Progress) -> None:
        self.options = options
        self.workers = workers
        self.progress = progress
        self.sources: dict[SourceKey, Source] = {}
        self.inventories: dict[tuple[Path, str, int, str], Inventory] = {}
        self.failed: dict[SourceKey, tuple[Diagnostic, ...]] = {}
        self.facts: dict[SourceKey, dict[tuple[str, str], FileFacts]] = {}
        self.points: dict[SourceKey, dict[tuple[str, str], FileFacts]] = {}

    def run(self, recipes: Sequence[tuple[CheckedRecipe, Sequence[Diagnostic]]]) -> list[Outcome]:
        self._scan([checked for checked, _ in recipes])
        resolved: list[tuple[CheckedRecipe, Sequence[Diagnostic], Resolution | None]] = []
        for checked, found in recipes:
            try:
                resolved.append((checked, found, self._resolve(checked)))
            except DiagnosticError as error:
                resolved.append((checked, [*found, *error.diagnostics], None))
        resolutions = [r for _, _, r in resolved if r is not None]
        points = self._read_points(resolutions)
        facts, arrays = self._read_files(resolutions), self._read_arrays(resolutions)
        return [
            outcome
            for checked, found, resolution in resolved
            for outcome in self._finish(checked, found, resolution, facts, points, arrays)
        ]

    def _scan(self, recipes: Sequence[CheckedRecipe]) -> None:
        wanted: dict[SourceKey, list[tuple[CheckedRecipe, LayerSpec, str]]] = {}
        for checked in recipes:
            for spec in checked.layers:
                for name in spec.sources:
                    wanted.setdefault(_key(checked, name), []).append((checked, spec, name))
        for key, users in wanted.items():
            checked, _, name = users[0]
            try:
                means = Means(checked.folder, self.workers, self.options.cache, checked.files)
                source = open_source(name, checked.recipe.sources[name], means)
                scanned = source.scan([layer for _, layer, _ in users], self.progress)
            except DiagnosticError as error:
                self.failed[key] = error.diagnostics
                continue
            self.sources[key] = source
            for (owner, layer, name), inventory in zip(users, scanned, strict=True):
                self.inventories[owner.path, owner.files.revision, layer.index, name] = self._with_sizes(
                    owner, key, layer, inventory
                )

    def _with_sizes(self, owner: CheckedRecipe, key: SourceKey, layer: LayerSpec, inventory: Inventory) -> Inventory:
        """With the voxel sizes of picks where a template names them, which only the files say."""
        if "voxel_size" not in layer.template_fields:
            return inventory
        picks, read = inventory.table("picks"), [key for key, root in inventory.roots.items() if root.reads_files]
        rows = taken(layer, inventory.tables)["picks"]
        rows = rows[rows["root"].isin(read)]
        places = list(zip(rows["root"], rows["path"], strict=True))
        if owner.recipe.expect.points is not None:
            # Their points are needed too, and no file is read twice.
            said = self._points(key, places)
            self.facts.setdefault(key, {}).update({place: said[place] for place in places if place in said})
        facts = self._facts(key, places)
        sizes = picks["voxel_size"].copy()
        sizes[rows.index] = [facts[place].voxel_size for place in places]
        return replace(inventory, tables={**inventory.tables, "picks": picks.assign(voxel_size=sizes)})

    def _facts(self, key: SourceKey, files: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], FileFacts]:
        """What files of a source say, each of which is read once."""
        known = self.facts.setdefault(key, {})
        missing = [file for file in dict.fromkeys(files) if file not in known]
        if missing:
            known |= self.sources[key].read_files(missing, sha256=self.options.file_sha256, progress=self.progress)
        return known

    def _points(self, key: SourceKey, files: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], FileFacts]:
        """The same of picks, with their points, if the source can read these."""
        known, source = self.points.setdefault(key, {}), self.sources[key]
        missing = [file for file in dict.fromkeys(files) if file not in known]
        if missing and isinstance(source, ReadsData):
            known |= source.read_points(missing, sha256=self.options.file_sha256, progress=self.progress)
        return known

    def _resolve(self, checked: CheckedRecipe) -> Resolution:
        failures = [
            _placed(d, checked, name)
            for name in checked.recipe.sources
            for d in self.failed.get(_key(checked, name), ())
        ]
        base = None
        try:
            base = self._base(checked)
        except DiagnosticError as error:
            failures += [replace(d, span=d.span or checked.document.value_span("base")) for d in error.diagnostics]
        if failures:
            raise DiagnosticError(*failures)
        of = checked.path, checked.files.revision
        held = [[self.inventories[*of, s.index, name] for name in s.sources] for s in checked.layers]
        return planner.resolve(checked, held, base)

    def _base(self, checked: CheckedRecipe) -> Base | None:
        if checked.recipe.base is None:
            return None
        from croissant_recipes.sources.croissant_source import CroissantSource

        place = Location.parse(checked.recipe.base, checked.folder)
        outputs = [s.output for s in checked.outputs]
        same_service = (
            o.fs_args for o in outputs if place.same_service(Location.parse(o.project_root, checked.folder))
        )
        spec = CroissantSpec(url=checked.recipe.base, fs_args=next(same_service, {}))
        source = CroissantSource("base", spec, Means(checked.folder, self.workers))
        existing = source.read(self.progress)
        self.sources[_key(checked, planner.BASE)] = source
        inventory = source.inventory(existing)
        base_url = without_credentials(existing.manifest.get("copick:baseUrl") or "") or None
        spacings = existing.tables["voxel_spacings"]
        return Base(inventory, spacings, base_url, _csv_base(existing.manifest), source.identity((), ()))

    def _read_points(self, resolutions: Sequence[Resolution]) -> dict[SourceKey, Mapping[tuple[str, str], FileFacts]]:
        """What the points are that are expected to be something. What the same files say besides is known then, too."""
        needed = self._needed(resolutions, lambda r: r.points)
        found = {key: self._points(key, files) for key, files in needed.items()}
        for key, files in self._needed(resolutions, lambda r: r.files).items():
            said = found.get(key, {})
            self.facts.setdefault(key, {}).update({file: said[file] for file in files if file in said})
        return found

    def _read_arrays(self, resolutions: Sequence[Resolution]) -> dict[SourceKey, Mapping[tuple[str, str], ArrayFacts]]:
        found: dict[SourceKey, Mapping[tuple[str, str], ArrayFacts]] = {}
        for key, stores_of in self._needed(resolutions, lambda r: r.arrays).items():
            source = self.sources[key]
            if isinstance(source, ReadsData):
                found[key] = source.read_arrays(stores_of, progress=self.progress)
        return found

    @staticmethod
    def _needed(
        resolutions: Sequence[Resolution], files_of: Callable[[Resolution], planner.Files]
    ) -> dict[SourceKey, list[tuple[str, str]]]:
        """What recipes need of each source, each file once."""
        needed: dict[SourceKey, dict[tuple[str, str], None]] = {}
        for resolution in resolutions:
            for name, files in files_of(resolution).items():
                needed.setdefault(_key(resolution.checked, name), {}).update(dict.fromkeys(files))
        return {key: list(files) for key, files in needed.items() if files}

    def _read_files(self, resolutions: Sequence[Resolution]) -> dict[SourceKey, Mapping[tuple[str, str], FileFacts]]:
        return {key: self._facts(key, files) for key, files in self._needed(resolutions, lambda r: r.files).items()}

    def _finish(
        self,
        checked: CheckedRecipe,
        found: Sequence[Diagnostic],
        resolution: Resolution | None,
        facts: Mapping[SourceKey, Mapping[tuple[str, str], FileFacts]],
        points: Mapping[SourceKey, Mapping[tuple[str, str], FileFacts]],
        arrays: Mapping[SourceKey, Mapping[tuple[str, str], ArrayFacts]],
    ) -> list[Outcome]:
        outputs = [(spec, output_of(checked, spec, self.options)) for spec in checked.outputs]
        if resolution is None:
            return [self._outcome(checked, spec, output, None, found) for spec, output in outputs]
        authors, unanswered = self._authors(checked, resolution)
        shared = [*found, *unanswered]
        by_name = {name: facts.get(_key(checked, name), {}) for name in checked.recipe.sources}
        try:
            used = self._used(checked, resolution)
            settled = planner.settle(resolution, by_name, authors, used)
            known, read = _known_names(checked, outputs)
            plans: dict[str | None, Plan] = {}
            # What hides comes first: the names that it gives are kept by what does not.
            for spec, output in sorted(outputs, key=lambda each: not each[0].hides):
                manifest, notes = _manifest_of(resolution, checked, output)
                target = Target(
                    spec,
                    str(output.project_root),
                    _base_url_of(spec, self.options),
                    manifest,
                    starts_from_itself(checked, output),
                    known,
                    read.get(spec.name),
                )
                plan = planner.finish(settled, target)
                known = known.with_others(plan.hidden.given)
                plans[spec.name] = replace(plan, diagnostics=in_order([*plan.diagnostics, *notes]))
        except DiagnosticError as error:
            return [self._outcome(checked, s, o, None, [*shared, *error.diagnostics]) for s, o in outputs]
        identities = self._identities(checked, resolution)
        if used.records:
            # What fills the dataset block is part of what was resolved, where a recipe asks for it.
            said = [asdict(record) for record in used.records]
            identities = {name: digest(found, said) for name, found in identities.items()}
        first = speaks_for_all(checked).name
        hides = {name: plan.hidden for name, plan in plans.items() if name and plan.target.spec.hides}
        plans[first] = replace(plans[first], hides=hides)
        whole = next((plan for plan in plans.values() if not plan.target.spec.hides), None)
        keys = {name: _key(checked, name) for name in (*checked.recipe.sources, planner.BASE)}
        data = planner.Data(
            {name: points[key] for name, key in keys.items() if key in points},
            {name: arrays[key] for name, key in keys.items() if key in arrays},
        )
        shared += [*settled.diagnostics, *planner.expected(settled, whole, data)]
        if self.options.strict:
            shared = expectations.strictly(shared)
        return [
            self._outcome(checked, spec, output, replace(plans[spec.name], identities=identities), shared)
            for spec, output in outputs
        ]

    def _outcome(
        self,
        checked: CheckedRecipe,
        spec: OutputSpec,
        output: Output,
        plan: Plan | None,
        shared: Sequence[Diagnostic],
    ) -> Outcome:
        told = shared if spec is speaks_for_all(checked) else errors(shared)
        return Outcome(checked, spec, output, plan, in_order([*told, *(plan.diagnostics if plan else ())]))

    def _identities(self, checked: CheckedRecipe, resolution: Resolution) -> dict[str, str]:
        layers: dict[str, list[LayerSpec]] = {}
        for spec in checked.layers:
            for name in spec.sources:
                layers.setdefault(name, []).append(spec)
        return {
            name: self.sources[_key(checked, name)].identity(taken, list(resolution.files.get(name, ())))
            for name, taken in layers.items()
        }

    def _used(self, checked: CheckedRecipe, resolution: Resolution) -> Used:
        """What the portal says of what rows are from, where the recipe leaves its dataset open.

        Raises:
            DiagnosticError: A source does not say it.
        """
        if checked.recipe.dataset is None or checked.recipe.dataset.from_ is None:
            return NOTHING_USED
        said: dict[tuple[str, int], PublishedRecord] = {}
        others, specs = [], []
        for name, records in origins.by_source(resolution.layers, resolution.merged.tables).items():
            source = self.sources[_key(checked, name)]
            if not records.all:
                others.append(name)
            if isinstance(source, KnowsRecords) and records.datasets:
                specs.append(checked.recipe.sources[name].spec)
                try:
                    answers = source.records(list(records.datasets), list(records.depositions))
                except DiagnosticError as error:
                    raise DiagnosticError(*(_placed(d, checked, name) for d in error.diagnostics)) from None
                said |= {(record.kind, record.number): record for record in answers}
        named = [number for spec in specs for number in getattr(spec, "depositions", ())]
        whole = any(getattr(spec, "datasets", True) for spec in specs)
        return Used(
            tuple(record for _, record in sorted(said.items())),
            tuple(others),
            frozenset() if whole else frozenset(named),
            any(getattr(spec, "until", None) for spec in specs),
        )

    def _authors(self, checked: CheckedRecipe, resolution: Resolution) -> tuple[planner.Authors, list[Diagnostic]]:
        """Authors of records that collide, from sources that know them, and what kept a source from saying them."""
        names: dict[str, dict[str, Mapping[str, Sequence[str]]]] = {}
        found: list[Diagnostic] = []
        for name, collided in resolution.collided.items():
            source = self.sources[_key(checked, name)]
            for artifact, ids in collided.items():
                if not ids or not isinstance(source, KnowsAuthors):
                    continue
                try:
                    names.setdefault(name, {})[artifact] = source.authors(artifact, ids)
                except DiagnosticError as error:
                    found += [_placed(d, checked, name) for d in error.diagnostics]
        return names, found


def starts_from_itself(checked: CheckedRecipe, output: Output) -> bool:
    """Whether the recipe's base is the very Croissant it writes: then what is there is input, and nothing is lost."""
    base = checked.recipe.base
    return base is not None and Location.parse(base, checked.folder).is_same_place(output.metadata)


def _known_names(
    checked: CheckedRecipe, outputs: Sequence[tuple[OutputSpec, Output]]
) -> tuple[MaskedNames, Mapping[str | None, bytes]]:
    """The names that masked runs have already, and the tables that say so, by the results that they lie beside.

    Raises:
        DiagnosticError: A table cannot be read, or two of them differ.
    """
    names, read = NO_NAMES, dict[str | None, bytes]()
    if not any(spec.masks for spec in checked.outputs):
        return names, read
    for spec, output in outputs:
        if spec.hides or (data := stores.peek(output).get(NAMES_FILE)) is None:
            continue
        try:
            names = names.with_others(masked_names.parse(data).entries)
        except (ValueError, csv.Error) as error:
            message = f"{output.place}/{NAMES_FILE}, the table of names of masked runs, cannot be used: {error}"
            hint = "repair it or restore it from a copy: it alone knows which run is which in what was published"
            raise DiagnosticError(Diagnostic(Code.MASKED_NAMES, message, hint=hint)) from None
        read[spec.name] = data
    return names, read


def _manifest_of(
    resolution: Resolution, checked: CheckedRecipe, output: Output
) -> tuple[Mapping[str, Any] | None, list[Diagnostic]]:
    """The manifest of the base as it has to be in another folder, where its files that are not copick's do not lie."""
    manifest = resolution.base.inventory.manifest if resolution.base else None
    if manifest is None or checked.recipe.base is None or starts_from_itself(checked, output):
        return manifest, []
    place = Location.parse(checked.recipe.base, checked.folder)
    manifest, moved = read_elsewhere(manifest, place.parent)
    if not moved:
        return manifest, []
    files = "a file that stays where it is" if len(moved) == 1 else "files that stay where they are"
    message = f"the base lists {files}, below {place.parent}: {listing(moved)}"
    hint = "copy them beside the new Croissant before you publish it, and correct their contentUrl"
    return manifest, [Diagnostic(Code.OUTSIDE_ROOT, message, Severity.INFO, hint)]


def _placed(found: Diagnostic, checked: CheckedRecipe, name: str) -> Diagnostic:
    """What a source has to say, at the place in the recipe that it is about, or where the recipe names the source."""
    document = checked.document
    if found.key:
        return replace(
            found, span=document.value_span("sources", name, checked.recipe.sources[name].kind.name, *found.key)
        )
    return replace(found, span=found.span or document.key_span("sources", name))


def _key(checked: CheckedRecipe, name: str) -> SourceKey:
    if name == planner.BASE:
        return planner.BASE, str(checked.path), checked.files.revision, ""
    return source_key(checked.recipe.sources[name], checked.folder, checked.files)


def _csv_base(manifest: Mapping[str, object]) -> str | None:
    """The http(s) URL above ``Croissant/`` that an existing manifest names its CSVs below."""
    entries = manifest.get("distribution")
    ending = f"/Croissant/{RECORD_SETS['runs'].csv_name}"
    for entry in entries if isinstance(entries, list) else []:
        url = str(entry.get("contentUrl", "")) if isinstance(entry, dict) else ""
        if Location.parse(url).is_web and url.endswith(ending):
            return without_credentials(url[: -len(ending)])
    return None


def reader_diagnostics(content: Content, files: Mapping[str, bytes], *, strict: bool) -> list[Diagnostic]:
    """What copick's and mlcroissant's own readers would change, found in the bytes themselves."""
    severity = Severity.ERROR if strict else Severity.WARNING
    found = []
    for name, schema in RECORD_SETS.items():
        backed = content.parquet and schema.parquet_name in files
        data = files[schema.parquet_name] if backed else files[schema.csv_name]
        for change in other_readers.changed_values(name, data, content.tables[name], parquet=backed):
            more = change.rows - 1
            others = f" (and {more} more row{'s' * (more > 1)})" if more else ""
            message = (
                f"{schema.csv_name} row {change.row}, column {change.column}: {change.readers} read "
                f"{change.written!r} as {change.read}{others}"
            )
            hint = f"{change.consequence}; `output: {{parquet: true}}` lets them read it exactly"
            found.append(Diagnostic(Code.READERS_CHANGE, message, severity, hint))
    runs, counts = _without_size(content)
    if runs:
        message = f"no voxel size is known of {joined(counts)}: copick fails where it lists those of {listing(runs)}"
        hint = "give the rows of the source their voxel size, or leave these runs out"
        found.append(Diagnostic(Code.READERS_CHANGE, message, severity, hint))
    return found


def _without_size(content: Content) -> tuple[list[str], list[str]]:
    """Runs that have rows without the voxel size that is part of their key, and how many rows these are."""
    runs: set[str] = set()
    counts = []
    for name, schema in RECORD_SETS.items():
        if "voxel_size" in schema.key:
            table = content.tables[name]
            missing = np.isnan(table["voxel_size"].to_numpy())
            if missing.any():
                unknown = table["run"][missing].tolist()
                runs |= set(unknown)
                counts.append(f"{len(unknown)} row{'s' * (len(unknown) > 1)} of {schema.csv_name}")
    return sorted(runs), counts
