"""Where the final rows lie, what ``copick:baseUrl`` is, and who can open them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from croissant_recipes.codes import Code
from croissant_recipes.compiler import merging, urls
from croissant_recipes.compiler.layers import LayerRows
from croissant_recipes.compiler.merging import Origin
from croissant_recipes.compiler.urls import Publication, place_of
from croissant_recipes.diagnostics import Diagnostic, Severity, Span, joined
from croissant_recipes.language.source_kinds import Source
from croissant_recipes.location import Location, as_url
from croissant_recipes.schema import ARTIFACTS
from croissant_recipes.tables import differs

PORTAL_BUCKET = "s3://cryoet-data-portal-public/"
"""``copick:baseUrl`` of a portal export, as copick writes it."""


@dataclass(frozen=True)
class Placement:
    """The absolute places of rows, before anything is said relative to a base URL.

    Attributes:
        layers: The layers by number.
        tables: The merged tables.
        places: By artifact type, the place of every row as a URL.
        home: Where the primary root of the first layer's first source lies when it is read, ``None`` where it has none.
            What is exported from the portal is at home in its bucket.
    """

    layers: Mapping[int, LayerRows]
    tables: Mapping[str, pd.DataFrame]
    places: Mapping[str, pd.Series]
    home: str | None

    @property
    def first(self) -> int:
        """The number of the layer whose rows may be relative: the base, or the one that exports."""
        return min(self.layers, default=0)

    def of_first(self) -> pd.Series:
        """The places of all rows of the first layer's first source that lie below one of its roots."""
        parts = []
        for name, places in self.places.items():
            table = self.tables[name]
            of_first = (table["layer"] == self.first) & (table["source"] == 0) & (table["root"] != "")
            parts.append(places if of_first.all() else places[of_first])
        return pd.concat(parts, ignore_index=True)


def place(
    layers: Mapping[int, LayerRows],
    merged: Mapping[str, pd.DataFrame],
    sources: Mapping[str, Source],
    output_url: str | None,
    project_root: str,
) -> Placement:
    """Say of every row where its data lies when the Croissant is read.

    Args:
        layers: By number.
        merged: The merged tables.
        sources: Of the recipe, by name.
        output_url: The URL that the output will have, where it is known.
        project_root: Where the Croissant is written.
    """
    output = Location.parse(project_root)
    roots = {
        (number, position): _roots(layer, position, sources.get(name), output_url, output)
        for number, layer in layers.items()
        for position, name in enumerate(layer.spec.sources)
    }
    places = {}
    for artifact, table in merged.items():
        if ARTIFACTS[artifact].places:
            parts = [urls.places(rows, roots[origin]) for origin, rows in merging.by_source(table)]
            places[artifact] = merging.over_layers(parts, table)
    home = None
    if layers:
        number, first = next(iter(layers.items()))
        there = roots[number, 0]
        primary = [there[key] for key, root in first.stock.parts[0].roots.items() if root.primary]
        of_portal = [place for place in there.values() if number and f"{place}/" == PORTAL_BUCKET]
        home = next(iter([*of_portal, *primary]), None)
    return Placement(layers, merged, places, home)


def _roots(
    layer: LayerRows, position: int, source: Source | None, output_url: str | None, output: Location
) -> dict[str, str]:
    # One URL stands for one place: that of the first source, and the others come to it as an append layer's do.
    exported = output_url if layer.spec.operation == "export" and not position else None
    given = source.base_url if source and layer.spec.number else None
    found = layer.stock.parts[position].roots
    if given and any(f"{root.base_url}/" == PORTAL_BUCKET for root in found.values()):
        # Nothing of anybody's own lies in the portal's bucket.
        given = None if f"{given.rstrip('/')}/".startswith(PORTAL_BUCKET) else given
    return {
        key: urls.place_of(root, given, exported if root.published or root.location.is_same_place(output) else None)
        for key, root in found.items()
    }


def publish(
    found: Placement, project_root: str, output_url: str | None, kept_url: str | None, span: Span
) -> tuple[Publication, list[Diagnostic]]:
    """Decide what relative rows are relative to.

    That is what the recipe says, or what the base has; for an export of the portal it is the portal's bucket, as copick
    has it. Otherwise rows are relative to the Croissant's own place, which can then be moved with its data; but where
    none of them lies there and all lie in one project, to that project, so that copick finds by name what it looks for.

    Args:
        found: The rows' places.
        project_root: Where the Croissant is written.
        output_url: The output's ``base_url``.
        kept_url: The ``copick:baseUrl`` of a base.
        span: Where the recipe speaks of the output.
    """
    if found.first and f"{found.home}/" == PORTAL_BUCKET:
        return Publication(project_root, PORTAL_BUCKET), []
    if output_url or kept_url:
        return Publication(project_root, output_url or kept_url), []
    places = found.of_first()
    inside = urls.is_below(places, project_root)
    if inside.all():
        return Publication(project_root, None), []
    at_home = found.home is not None and bool(urls.is_below(places, found.home).all())
    if at_home and not inside.any():
        assert found.home is not None
        message = f"the data stays where it is: rows are relative to {Location.parse(found.home)}"
        hint = "to publish it, give `output:` the `base_url:` that its data will have"
        return Publication(project_root, found.home), [
            Diagnostic(Code.OUTSIDE_ROOT, message, Severity.INFO, hint, span)
        ]
    outside = places[~inside]
    lie, their, them = ("lies", "its URL is", "it") if len(outside) == 1 else ("lie", "their URLs are", "them")
    message = (
        f"{len(outside)} of the exported artifacts {lie} outside output.project_root, such as "
        f"{Location.parse(min(outside))}: {their} absolute, and the Croissant cannot be moved with {them}"
    )
    hint = "add `base_url:` to `output:` with the URL that project_root has when it is read"
    return Publication(project_root, None), [Diagnostic(Code.OUTSIDE_ROOT, message, Severity.WARNING, hint, span)]


def with_urls(found: Placement, publication: Publication) -> dict[str, pd.DataFrame]:
    """The merged tables with the column ``url``.

    What was absolute in a base stays so. Rows of later layers are absolute, but for those that a Croissant has relative
    to the same place: they were adopted from what is built there.
    """
    tables = dict(found.tables)
    for artifact, places in found.places.items():
        table = tables[artifact]
        parts = [
            urls.urls(
                rows,
                places if rows is table else places[rows.index],
                _anchor(found, origin, publication),
                keep=not origin[0],
            )
            for origin, rows in merging.by_source(table)
        ]
        tables[artifact] = table.assign(url=merging.over_layers(parts, table))
    return tables


def _anchor(found: Placement, origin: Origin, publication: Publication) -> str | None:
    number, source = origin
    root = found.layers[number].stock.parts[source].roots.get("croissant")
    at_home = root is not None and place_of(root, None, None) == as_url(publication.anchor).rstrip("/")
    return publication.anchor if number == found.first or at_home else None


def only_with_overlay(artifacts: Mapping[str, pd.DataFrame]) -> list[Diagnostic]:
    """What copick's own reader does not find without an overlay: it then goes by names, except for picks."""
    hidden = []
    for artifact, described in ARTIFACTS.items():
        table = artifacts[artifact]
        if described.found_by_name and len(table):
            n = int(differs(table["url"], urls.expected_by_copick(artifact, table)).sum())
            hidden += [f"{n} {described.many if n > 1 else described.one}"] if n else []
    if not hidden:
        return []
    return [
        Diagnostic(
            Code.OVERLAY_NEEDED,
            f"copick opens {joined(hidden)} only with an overlay, "
            "as they do not lie where it looks for rows of their names",
            Severity.WARNING,
            hint="open it with croissant_recipes.from_croissant, or give others a config: "
            "--emit-config PATH --config-overlay ROOT",
        )
    ]
