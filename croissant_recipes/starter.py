"""Commented starter recipes, from what a copick project or portal datasets hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from croissant_recipes import options, progress
from croissant_recipes.compiler.labels import Entry, Giver, Labelling, original_name
from croissant_recipes.diagnostics import Diagnostic, as_yaml
from croissant_recipes.language import matching
from croissant_recipes.language.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.language.source_kinds import COPICK, PORTAL, CopickSource, PortalSource, Source
from croissant_recipes.location import is_url
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.shown import printable
from croissant_recipes.sources.base import Inventory, Means
from croissant_recipes.sources.opener import open_source
from croissant_recipes.work import Workers

if TYPE_CHECKING:
    from croissant_recipes.sources.portal.overview import Contents
    from croissant_recipes.sources.portal.portal_objects import PortalObject

_LISTED = 40
_SCHEMA_LINE = "# yaml-language-server: $schema=recipe.schema.json"


def from_config(config: str, folder: Path) -> tuple[str, tuple[Diagnostic, ...]]:
    """A recipe over a copick project.

    Raises:
        DiagnosticError: The project cannot be read.
    """
    located = config if is_url(config) else os.path.relpath(config, folder)
    entry = Source(COPICK, CopickSource(config=located))
    with Workers(options.default_jobs()) as workers:
        source = open_source("lab", entry, Means(folder, workers))
        inventory = source.scan([_everything("lab")], progress.Silent())[0]
    name = (
        Path(config).stem if Path(config).stem not in ("filesystem", "config") else Path(config).resolve().parent.name
    )
    return _project_recipe(_slug(name), located, inventory, folder), inventory.diagnostics


def from_portal(spec: PortalSource) -> tuple[str, tuple[Diagnostic, ...]]:
    """A recipe over datasets and depositions of the portal.

    Raises:
        DiagnosticError: The portal cannot be reached, or has no such dataset or deposition.
    """
    from croissant_recipes.sources.portal.overview import contents

    return _portal_recipe(contents(spec, jobs=options.default_jobs()), spec), ()


def _everything(source: str) -> LayerSpec:
    return LayerSpec(0, "export", (source,), {a: TypeFilter(a, Take.ALL) for a in ARTIFACT_TYPES})


def _slug(name: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part) or "my-dataset"


def _quoted(text: str) -> str:
    """A value as YAML writes it, with escapes for what could control a terminal that the recipe is printed on."""
    return yaml.safe_dump(text, width=10**6, allow_unicode=text.isprintable(), default_style='"').strip()


def _head(name: str, about: str) -> list[str]:
    return [
        _SCHEMA_LINE,
        "#",
        f"# {printable(about)}",
        "# Fill in the licence and the date, look at what it would do with `croissant-recipe plan`, then build it.",
        "",
        "recipe: 1",
        f"name: {name}",
        "",
        "dataset:",
        f"  name: {_quoted(name)}",
        '  description: "Say in a sentence or two what this dataset holds and what it is for."',
        "  version: 0.1.0",
        "  # Only you know these two, and `croissant-recipe check` asks for them.",
        "  license: # an SPDX id, such as CC-BY-4.0, or a URL",
        "  date_published: # year-month-day, such as 2026-01-15; a build never reads the clock",
        "  # url: https://example.org/my-dataset",
        "  # creators: [{name: My Lab, url: https://example.org}]",
        "  # keywords: [cryoET]",
        "",
    ]


def _lines(title: str, names: Iterable[str], indent: str = "    ") -> list[str]:
    pool = list(names)
    if not pool:
        return []
    shown = [f"{indent}#   {printable(n)}" for n in pool[:_LISTED]]
    more = [f"{indent}#   … and {len(pool) - _LISTED} more"] if len(pool) > _LISTED else []
    return [f"{indent}# {title}:", *shown, *more]


def _objects(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Labels as the first build would give them, said before anything can move them."""
    found: dict[str, Entry] = {}
    for entry in entries:
        name = str(entry["name"])
        found.setdefault(name, Entry(name, original_name(entry), entry.get("label"), Giver.SOURCE))
    numbers = Labelling(tuple(found.values())).numbers()
    if not numbers:
        return []
    by_label = sorted(numbers, key=lambda name: (numbers[name], name))
    return [
        "# Labels are class numbers. Those that are written here stay, whatever else comes. Where a layer renames an",
        "# object, write the new name here; `croissant-recipe labels` shows them all.",
        "objects:",
        *(f"  {as_yaml(name)}: {{label: {numbers[name]}}}" for name in by_label),
    ]


def _project_recipe(name: str, config: str, inventory: Inventory, folder: Path) -> str:
    lines = _head(name, f"A starter recipe over the copick project {config}.")
    lines += [
        "output:",
        "  # Croissant/ is written into the project itself and holds paths relative to it. To write it elsewhere,",
        "  # change project_root and say with base_url which URL that root has when the Croissant is read.",
        f"  project_root: {_quoted(_root_of(inventory, folder))}",
        "  # base_url: https://example.org/my-dataset",
        "",
        "sources:",
        "  lab:",
        f"    {COPICK.name}: {{{COPICK.place}: {_quoted(config)}}}",
        "",
    ]
    lines += _objects(inventory.objects)
    lines += ["", "layers:", "  - export: lab"]
    runs = list(inventory.table("runs")["name"])
    lines += _lines(f"{len(runs)} runs", runs)
    lines += [f"    # runs: [{', '.join(_quoted(r) for r in runs[:2])}]"] if runs else []
    for artifact in ARTIFACT_TYPES[1:]:
        names = _distinct(artifact, inventory)
        lines += _lines(artifact.capitalize(), names)
        lines.append(f"    {artifact}: {'all' if names else 'none'}")
    lines += ["", "# splits:", "#   random:", "#     ratios: {train: 0.8, val: 0.1, test: 0.1}", "#     seed: 1", ""]
    lines += ["expect:", f"  runs: {_quoted(f'>= {len(runs)}')}", ""]
    return "\n".join(lines)


def _root_of(inventory: Inventory, folder: Path) -> str:
    """The project's root, relative to the recipe where both are on this disk."""
    root = next(r for r in inventory.roots.values() if r.primary)
    if root.base_url is None and root.location.is_local:
        return os.path.relpath(root.location.path, folder)
    return root.base_url or str(root.location)


def _distinct(artifact: str, inventory: Inventory) -> list[str]:
    return matching.names(artifact, inventory.table(artifact))


def _portal_recipe(found: Contents, spec: PortalSource) -> str:
    from croissant_recipes.sources.portal.portal_objects import pickable

    said = {key: list(dict.fromkeys(getattr(spec, key))) for key in ("datasets", "depositions")}
    named = {key: ", ".join(map(str, ids)) for key, ids in said.items() if ids}
    name = "portal-" + "-".join(map(str, said["datasets"] or ["depositions", *said["depositions"]]))
    about = " and ".join(f"{key} {ids}" for key, ids in named.items())
    lines = _head(name, f"A starter recipe over the CryoET Data Portal, {about}.")
    endpoint = [f"url: {_quoted(spec.url)}"] if spec.url else []
    keys = ", ".join([*(f"{key}: [{ids}]" for key, ids in named.items()), *endpoint])
    lines += [
        "output:",
        f"  project_root: build/{name} # Croissant/ is written below it",
        "",
        "sources:",
        "  portal:",
        f"    {PORTAL.name}: {{{keys}}}",
        "",
    ]
    lines += _lines("Datasets", [f"{d}: {title} (runs: {found.runs[d]:,})" for d, title in found.titles.items()], "")
    lines += ["", *_objects(pickable(found.objects)), "", "layers:", "  - export: portal"]
    lines += _lines("Tomograms", [f"{t.tomo_type}@{t.voxel_size} ({t.count:,})" for t in found.tomograms])
    lines += _portal_tomograms(found)
    lines += ["    others: exclude", ""]
    for artifact in ("picks", "segmentations"):
        there = [o for o in found.objects if o.count(artifact)]
        lines += _lines(artifact.capitalize(), [_made(o, artifact, found) for o in there], "  ")
        lines += _portal_layer(artifact, there, found)
    lines += _lines("Authors of picks, for `picks: {authors: [...]}`", _most(found.authors.get("picks", ())), "")
    lines += _lines("Method types, for `where: {method_type: ...}`", _most(found.method_types), "")
    lines += _lines("Depositions, for `where: {deposition_id: ...}`", _most(found.depositions), "")
    return "\n".join([*lines, ""])


def _portal_tomograms(found: Contents) -> list[str]:
    if not found.tomograms:
        return ["    tomograms: none"]
    most = max(found.tomograms, key=lambda t: (t.count, t.tomo_type))
    return [
        f"    tomograms: [{_quoted(f'{most.tomo_type}@{most.voxel_size}')}]",
        "    on_collision: first # of tomograms of one run, type and voxel size; without this they are an error",
    ]


def _portal_layer(artifact: str, there: Sequence[PortalObject], found: Contents) -> list[str]:
    """A layer of the first object, or where depositions are asked for, of the first that one of them has."""
    chosen = [(o, None) for o in there[:1]] if not found.in_depositions else _of_a_deposition(artifact, there, found)
    if not chosen:
        return []
    made, deposition = chosen[0]
    takes = [f"    {artifact}: [{_quoted(made.name)}]"]
    if deposition is not None:
        takes = [
            f"    {artifact}:",
            f"      select: [{_quoted(made.name)}]",
            f"      where: {{deposition_id: {deposition}}} # without this, those of other depositions too",
        ]
    return [
        "  - append: portal",
        *takes,
        '    # session_id: "{method_type}-{annotation_file_id}"',
        "    others: exclude",
        "",
    ]


def _of_a_deposition(
    artifact: str, there: Sequence[PortalObject], found: Contents
) -> list[tuple[PortalObject, int | None]]:
    return [
        (o, deposition)
        for deposition, shapes in found.in_depositions.items()
        for o in there
        if not o.shapes_of(artifact).isdisjoint(shapes.get(o.identifier, ()))
    ]


def _made(found: PortalObject, artifact: str, contents: Contents) -> str:
    """An object with how many artifacts there are of it, and how its annotations were made."""
    methods = (name for name, _ in contents.methods_of[found.identifier])
    return f"{found.name} ({', '.join([f'{found.count(artifact):,}', *methods])})"


def _most(counts: Sequence[tuple[str, int]]) -> list[str]:
    return [f"{name} ({count:,})" for name, count in counts]
