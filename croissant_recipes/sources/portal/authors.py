"""Authors of the portal's records: who there is, and the author lists of single records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from croissant_recipes.sources.portal.conditions import Clause, at, both
from croissant_recipes.sources.portal.fetching import Row, all_rows, groups_query
from croissant_recipes.sources.portal.objects import PICKS_SHAPES, SEGMENTATION_SHAPES
from croissant_recipes.sources.portal.query import Query
from croissant_recipes.sources.portal.transport import Endpoint


def authors_query(artifact: str, datasets: Sequence[int]) -> Query:
    """The authors of an artifact type of the datasets, with how many records each is an author of."""
    of_datasets: Clause = {"run": {"datasetId": {"_in": list(datasets)}}}
    if artifact == "tomograms":
        return groups_query("authors of tomograms", "tomogramAuthors", {"name": {}}, at(("tomogram",), of_datasets))
    shapes = PICKS_SHAPES if artifact == "picks" else tuple(SEGMENTATION_SHAPES)
    of_shapes = {"annotationShapes": {"shapeType": {"_in": list(shapes)}}}
    where = at(("annotation",), both(of_datasets, of_shapes))
    return groups_query(f"authors of {artifact}", "annotationAuthors", {"name": {}}, where)


def author_lists(endpoint: Endpoint, artifact: str, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The author lists of annotations (``picks``, ``segmentations``) or ``tomograms``, by portal id.

    Raises:
        PortalError: A query stays without an answer.
    """
    table, owner = (
        ("tomogramAuthors", "tomogramId") if artifact == "tomograms" else ("annotationAuthors", "annotationId")
    )
    wanted = sorted({int(i) for i in ids})
    selection: Mapping[str, Mapping[str, object]] = {owner: {}, "name": {}, "authorListOrder": {}}
    found = all_rows(endpoint, f"authors of {artifact}", table, selection, {owner: {"_in": wanted}})
    lists = in_order(found.rows, owner)
    return {str(i): lists.get(i, ()) for i in wanted}


def in_order(rows: Iterable[Row], owner: str) -> dict[int, tuple[str, ...]]:
    """Names in the order of the author list, by the id of what they are the authors of."""
    listed: dict[int, list[tuple[int, int, str]]] = {}
    for row in rows:
        listed.setdefault(row[owner], []).append((row["authorListOrder"], row["id"], row["name"]))
    return {record: tuple(name for _, _, name in sorted(found)) for record, found in listed.items()}
