"""What there is to say of a recipe that was planned or built, as one value.

Text and JSON are formatters of it (``render``): they decide nothing. It holds no clock, no credential and nothing that
differs between two runs over the same sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from croissant_recipes import planning
from croissant_recipes.building import Prepared
from croissant_recipes.comparing import Against
from croissant_recipes.compiler import shares
from croissant_recipes.compiler.collisions import Collision
from croissant_recipes.compiler.dataset_metadata import Filled
from croissant_recipes.compiler.labels import Move
from croissant_recipes.compiler.layers import LayerRows, RenameReport, SelectorReport
from croissant_recipes.compiler.merging import Replacement
from croissant_recipes.compiler.planner import Plan, Resolution
from croissant_recipes.compiler.shares import ObjectShares
from croissant_recipes.compiler.withholding import Hidden
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.diagnostics import Diagnostic, errors
from croissant_recipes.diffing import Compared
from croissant_recipes.location import without_credentials
from croissant_recipes.review.reviewing import Review
from croissant_recipes.sources.base import Request
from croissant_recipes.stores import Output


class Verdict(StrEnum):
    """What it came to."""

    STOPPED = "stopped"
    NEW = "new"
    CHANGES = "changes"
    UP_TO_DATE = "up to date"


@dataclass(frozen=True)
class LayerReport:
    """What one layer did.

    Attributes:
        number: As messages name it, from 1.
        label: ``layer 2 (append lab)``.
        operation, sources: As the recipe has them.
        having, lacking: What runs have to have, and what not.
        selectors, renames, run_names, collisions, held_runs: See ``LayerRows``.
        adds: How many rows it brought that were not there before, by artifact type.
        replaces: The rows of earlier layers that it replaced.
        shadowed: How many of its rows later layers replaced, by artifact type.
        requests: What was asked of a server for it.
    """

    number: int
    label: str
    operation: str
    sources: tuple[str, ...]
    selectors: tuple[SelectorReport, ...]
    renames: tuple[RenameReport, ...]
    run_names: Mapping[str, str]
    collisions: tuple[Collision, ...]
    adds: Mapping[str, int]
    replaces: tuple[Replacement, ...]
    shadowed: Mapping[str, int]
    requests: tuple[Request, ...]
    having: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    held_runs: int | None = None


@dataclass(frozen=True)
class Report:
    """What there is to say of one result of a recipe.

    Attributes:
        path: The recipe file, as given.
        verdict: What it came to.
        findings: Everything found, in file order.
        output: The place of the Croissant, as it can be shown.
        metadata_url: Where its ``metadata.json`` lies.
        written: Whether any file was written.
        output_name: What ``outputs`` calls the result, ``None`` where the recipe has one ``output``.
        name: The recipe's name; with what follows, ``None`` or empty where there is no plan.
        speaks: Whether it tells what all results of the recipe share: the base, the layers, and what each hides.
        filled: What of the dataset's metadata the sources fill.
        hides: What each result does not show, by its name.
        filled: What the portal says of the dataset that the recipe leaves open.
        base: The Croissant that it starts from, as the recipe names it.
        base_rows: How many rows that holds.
        base_url: ``copick:baseUrl``.
        layers: What each layer did, in order.
        labels: How messages name every layer, the base too, by number.
        rows: How many rows each record set has.
        runs_of_splits: The runs of each split, sorted.
        runs: How many runs there are.
        objects: The pickable objects.
        against: The git revision that it is compared with, ``None`` where that is what is there.
        between: What is compared, as somebody named it, where two versions were named; ``None`` for a plan.
        changes: How it differs from what it is compared with, ``None`` where that could not be said.
        review: What that means, likewise.
        files: The files that a build writes or removes. Some may be, though no row and no metadata changes.
        label_moves: Labels of objects that are there and would be others.
        shares: How the rows of each object are shared out among the splits.
        split_moves: Drawn runs that are in another split there, with the split there and the new one.
    """

    path: str
    verdict: Verdict
    findings: tuple[Diagnostic, ...]
    output: str | None
    metadata_url: str | None
    written: bool
    output_name: str | None = None
    name: str | None = None
    speaks: bool = True
    hides: Mapping[str, Hidden] = field(default_factory=dict)
    filled: tuple[Filled, ...] = ()
    base: str | None = None
    base_rows: int = 0
    base_url: str | None = None
    layers: tuple[LayerReport, ...] = ()
    labels: Mapping[int, str] | None = None
    rows: Mapping[str, int] | None = None
    runs_of_splits: Mapping[str, tuple[str, ...]] | None = None
    runs: int = 0
    objects: tuple[Mapping[str, Any], ...] = ()
    against: Against | None = None
    between: tuple[str, str] | None = None
    changes: Changes | None = None
    review: Review | None = None
    files: tuple[str, ...] = ()
    label_moves: tuple[Move, ...] = ()
    shares: tuple[ObjectShares, ...] = ()
    split_moves: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def oldest_answer(self) -> float | None:
        """How old the oldest answer is that came from a cache, in seconds; ``None`` where all were asked for."""
        ages = (r.age_seconds for layer in self.layers for r in layer.requests if r.cached)
        return max((age for age in ages if age is not None), default=None)

    @property
    def ok(self) -> bool:
        return not any(errors(self.findings))

    @property
    def has_plan(self) -> bool:
        return self.name is not None


def make(
    path: str,
    plan: Plan | None,
    prepared: Prepared | None,
    output: Output | None,
    findings: tuple[Diagnostic, ...],
    *,
    written: bool,
    output_name: str | None = None,
    against: Against | None = None,
) -> Report:
    """The report of a result that was planned (``written`` is false) or built."""
    place = output.place if output else None
    url = str(output.metadata) if output else None
    against = against.to_show() if against else None
    reviewed = against.review if against else prepared.review.to_show() if prepared else None
    bare = Report(path, _verdict(reviewed, findings), findings, place, url, written, output_name)
    if plan is None:
        return bare
    resolution, content = plan.resolution, (prepared.content if prepared else plan.content)
    runs = plan.content.tables["runs"]
    speaks = plan.target.spec is planning.speaks_for_all(plan.checked)
    return Report(
        path,
        bare.verdict,
        findings,
        place,
        url,
        written,
        output_name,
        name=plan.checked.recipe.name,
        speaks=speaks,
        hides=plan.hides,
        filled=plan.filled,
        base=plan.checked.recipe.base and without_credentials(plan.checked.recipe.base),
        base_rows=_held(resolution),
        base_url=plan.publication.base_url,
        # A result that hides something has an entry that can be shown to those who get it.
        layers=_layers(resolution) if speaks else (),
        labels={number: layer.spec.label for number, layer in resolution.layers.items()} if speaks else {},
        rows={name: len(table) for name, table in content.tables.items()},
        runs_of_splits={s: tuple(sorted(runs["name"][runs["split"] == s])) for s in plan.content.splits},
        runs=len(runs),
        objects=tuple(plan.content.config["pickable_objects"]),
        against=against,
        changes=reviewed.changes if reviewed else None,
        review=reviewed,
        # What is compared with a revision is not about to be written.
        files=prepared.touched if prepared and against is None else (),
        label_moves=prepared.labels.moves if prepared and prepared.labels else (),
        shares=tuple(shares.of(plan.content.tables, plan.content.splits)),
        split_moves=prepared.moves if prepared else {},
    )


def of_compared(compared: Compared) -> Report:
    """The report of two versions that somebody named."""
    found, reviewed = compared.diagnostics, compared.review.to_show() if compared.review else None
    return Report(
        compared.path,
        _verdict(reviewed, found),
        found,
        None,
        None,
        written=False,
        output_name=compared.output_name,
        name=compared.name if reviewed else None,
        between=(compared.before, compared.after),
        changes=reviewed.changes if reviewed else None,
        review=reviewed,
    )


def _verdict(review: Review | None, findings: tuple[Diagnostic, ...]) -> Verdict:
    if review is None or any(errors(findings)):
        return Verdict.STOPPED
    if not review.changes.exists:
        return Verdict.NEW
    return Verdict.CHANGES if review.changes else Verdict.UP_TO_DATE


def _held(resolution: Resolution) -> int:
    return sum(len(t) for t in resolution.base.inventory.tables.values()) if resolution.base else 0


def _layers(resolution: Resolution) -> tuple[LayerReport, ...]:
    replacements = tuple(resolution.merged.replacements())
    return tuple(_layer(layer, resolution, replacements) for layer in resolution.of_recipe)


def _layer(layer: LayerRows, resolution: Resolution, replacements: tuple[Replacement, ...]) -> LayerReport:
    number = layer.spec.number
    return LayerReport(
        number,
        layer.spec.label,
        layer.spec.operation,
        layer.spec.sources,
        layer.selectors,
        layer.renames,
        dict(layer.run_names),
        layer.collisions,
        resolution.merged.added[number],
        tuple(r for r in replacements if r.later == number),
        {r.artifact: len(r.keys) for r in replacements if r.earlier == number},
        tuple(request for part in layer.stock.parts for request in part.requests),
        tuple(item.text for item in layer.spec.filters["runs"].having),
        tuple(item.text for item in layer.spec.filters["runs"].lacking),
        layer.held_runs,
    )
