"""The part of the portal that a source is: datasets, found by the server where depositions select them, and until when
what is in them may have been released."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.language.source_kinds import PortalSource as PortalSpec
from croissant_recipes.sources.base import Request
from croissant_recipes.sources.portal.conditions import at, both
from croissant_recipes.sources.portal.queries import (
    Clause,
    Query,
    Selection,
    groups_query,
    numbers,
    rows_query,
)
from croissant_recipes.sources.portal.transport import Endpoint


@dataclass(frozen=True)
class Holdings:
    """What a source holds.

    Attributes:
        datasets: Ids, sorted.
        until: The last day on which its annotations and tomograms may have been released, as ``2026-06-30``; ``None``
            where any day will do.
    """

    datasets: tuple[int, ...]
    until: str | None = None

    @property
    def runs(self) -> Clause:
        return {"datasetId": {"_in": list(self.datasets)}}

    @property
    def annotations(self) -> Clause:
        return both({"run": self.runs}, released(self.until))

    @property
    def tomograms(self) -> Clause:
        return both(at(("tomogramVoxelSpacing", "run"), self.runs), released(self.until))

    @property
    def released(self) -> Clause:
        """The part of the conditions on annotations and tomograms that is not about their run."""
        return released(self.until)


def released(until: str | None) -> Clause:
    """A condition on annotations or tomograms. The server compares moments, and the day itself counts."""
    return {} if until is None else {"releaseDate": {"_lte": f"{until}T23:59:59.999999+00:00"}}


def asked_for(spec: PortalSpec) -> str:
    """What a source is said to hold, as messages name it."""
    parts = (("dataset", spec.datasets), ("deposition", spec.depositions))
    return " and ".join(numbers(what, sorted(set(ids))) for what, ids in parts if ids)


def find(
    endpoint: Endpoint, executor: Executor, spec: PortalSpec, subject: str
) -> tuple[Holdings, tuple[Request, ...]]:
    """What a source holds, and what was asked to know it: nothing where it names its datasets.

    Args:
        subject: What it is asked for, as messages name it.

    Raises:
        DiagnosticError: A deposition does not exist, or nothing is in it.
        PortalError: A query stays without an answer.
    """
    named = set(spec.datasets)
    if not spec.depositions:
        return Holdings(tuple(sorted(named)), spec.until), ()
    wanted = tuple(sorted(set(spec.depositions)))
    queries = (_depositions_query(wanted), *_datasets_queries(wanted, spec.until))
    futures = [executor.submit(endpoint.ask, query) for query in queries]
    try:
        there, of_annotations, of_tomograms = answers = [future.result() for future in futures]
    finally:
        # The executor may outlive this, and the endpoint's connections do not.
        wait(futures)
    known = {row["id"] for row in there.data["rows"]}
    found: dict[int, set[int]] = {deposition: set() for deposition in wanted}
    for group in (*of_annotations.groups, *of_tomograms.groups):
        by = group["groupBy"]
        spacing = by.get("tomogramVoxelSpacing", by)
        if by["deposition"] is not None and spacing is not None and spacing["run"] is not None:
            # A server that answers with other depositions than it was asked for has said nothing of these.
            found.get(by["deposition"]["id"], set()).add(spacing["run"]["dataset"]["id"])
    problems = [
        _no_deposition(subject, spec, i, endpoint.url) if deposition not in known else _empty(subject, spec, i)
        for i, deposition in enumerate(spec.depositions)
        if not found[deposition]
    ]
    if problems:
        raise DiagnosticError(*problems)
    datasets = named.union(*found.values())
    return Holdings(tuple(sorted(datasets)), spec.until), tuple(answer.request for answer in answers)


def _depositions_query(depositions: Sequence[int]) -> Query:
    where = {"id": {"_in": list(depositions)}}
    return rows_query("depositions", "depositions", {"id": {}, "title": {}}, where, len(depositions) + 1)


def _datasets_queries(depositions: Sequence[int], until: str | None) -> tuple[Query, Query]:
    where = both({"depositionId": {"_in": list(depositions)}}, released(until))
    of_run: Selection = {"run": {"dataset": {"id": {}}}}
    deposition: Selection = {"deposition": {"id": {}}}
    return (
        groups_query("datasets of annotations", "annotations", {**deposition, **of_run}, where),
        groups_query("datasets of tomograms", "tomograms", {**deposition, "tomogramVoxelSpacing": of_run}, where),
    )


def _no_deposition(subject: str, spec: PortalSpec, index: int, url: str) -> Diagnostic:
    return Diagnostic(
        Code.DEPOSITION_UNKNOWN,
        f"{subject}: the portal at {url} has no deposition {spec.depositions[index]}",
        hint="https://cryoetdataportal.czscience.com/depositions lists the depositions with their ids",
        key=("depositions", index),
    )


def _empty(subject: str, spec: PortalSpec, index: int) -> Diagnostic:
    deposition = spec.depositions[index]
    by_then = f" that was released by {spec.until}" if spec.until else ""
    return Diagnostic(
        Code.DEPOSITION_EMPTY,
        f"{subject}: deposition {deposition} has no annotation and no tomogram{by_then}",
        hint=f"give a later `until`, or remove {deposition}" if spec.until else f"remove {deposition}",
        key=("depositions", index),
    )
