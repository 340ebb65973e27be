"""Commented starter recipes, from what a copick project or portal datasets hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from croissant_recipes import matching, options, progress
from croissant_recipes.checked import LayerSpec, Take, TypeFilter
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.recipe import CopickSource, PortalSource, Source
from croissant_recipes.schema import ARTIFACT_TYPES
from croissant_recipes.sources.base import Inventory
from croissant_recipes.sources.opening import open_source

_LISTED = 40
_SCHEMA_LINE = "# yaml-language-server: $schema=recipe.schema.json"


def from_config(config: str, folder: Path) -> tuple[str, tuple[Diagnostic, ...]]:
    """A recipe over a copick project.

    Raises:
        DiagnosticError: The project cannot be read.
    """
    located = config if "://" in config else os.path.relpath(config, folder)
    source = open_source(
        "lab", Source(copick=CopickSource(config=located)), folder, jobs=options.default_jobs(), cache="use"
    )
    inventory = source.scan([_everything("lab")], progress.Silent())[0]
    name = Path(config).stem if Path(config).stem not in ("filesystem", "config") else Path(config).resolve().parent.name
    return _project_recipe(_slug(name), located, inventory), inventory.diagnostics


def from_portal(datasets: Sequence[int], url: str | None) -> tuple[str, tuple[Diagnostic, ...]]:
    """A recipe over portal datasets.

    Raises:
        DiagnosticError: The portal cannot be reached, or has no such dataset.
    """
    from croissant_recipes.sources.portal.source import PortalSource as Portal

    spec = PortalSource(datasets=tuple(datasets), url=url)
    listing = Portal("portal", spec, jobs=options.default_jobs(), cache="use").listing()
    return _portal_recipe(spec, listing), ()


def _everything(source: str) -> LayerSpec:
    return LayerSpec(0, "export", source, {a: TypeFilter(a, Take.ALL) for a in ARTIFACT_TYPES})


def _slug(name: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part) or "my-dataset"


def _quoted(text: str) -> str:
    """A value as YAML writes it."""
    return yaml.safe_dump(text, width=10**6, allow_unicode=True, default_style='"').strip()


def _head(name: str, about: str) -> list[str]:
    return [
        _SCHEMA_LINE,
        "#",
        f"# {about}",
        "# Look at what it would do with `croissant-recipe plan`, then `croissant-recipe build`.",
        "",
        "recipe: 1",
        f"name: {name}",
        "",
        "dataset:",
        f"  name: {_quoted(name)}",
        '  description: "Say in a sentence or two what this dataset holds and what it is for."',
        "  version: 0.1.0",
        "  license: CC-BY-4.0 # SPDX id or URL",
        "  date_published: 2026-01-01 # a build never reads the clock",
        "  # url: https://example.org/my-dataset",
        "  # creators: [{name: My Lab, url: https://example.org}]",
        "  # keywords: [cryoET]",
        "",
    ]


def _lines(title: str, names: Iterable[str], indent: str = "    ") -> list[str]:
    pool = list(names)
    if not pool:
        return []
    shown = [f"{indent}#   {n}" for n in pool[:_LISTED]]
    more = [f"{indent}#   … and {len(pool) - _LISTED} more"] if len(pool) > _LISTED else []
    return [f"{indent}# {title}:", *shown, *more]


def _project_recipe(name: str, config: str, inventory: Inventory) -> str:
    lines = _head(name, f"A starter recipe over the copick project {config}.")
    lines += [
        "output:",
        f"  project_root: build/{name} # Croissant/ is written below it",
        "  base_url: https://example.org/my-dataset # the URL that project_root has when the Croissant is read",
        "",
        "sources:",
        "  lab:",
        f"    copick: {{config: {_quoted(config)}}}",
        "",
    ]
    lines += _lines("Pickable objects", [str(o["name"]) for o in inventory.objects], "")
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


def _distinct(artifact: str, inventory: Inventory) -> list[str]:
    return matching.names(artifact, inventory.table(artifact))


def _portal_recipe(spec: PortalSource, listing: object) -> str:
    raise NotImplementedError
