"""What the portal says of datasets and depositions: title, dates, authors, publications."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, wait
from datetime import UTC, datetime

from croissant_recipes.sources.base import Author, PublishedRecord
from croissant_recipes.sources.portal.fetching import Rows, all_rows
from croissant_recipes.sources.portal.queries import Row, Selection
from croissant_recipes.sources.portal.transport import Endpoint

_SAID: Selection = {"title": {}, "description": {}, "depositionDate": {}, "releaseDate": {}, "lastModifiedDate": {}}
_AUTHOR: Selection = {"authorListOrder": {}, "name": {}, "orcid": {}, "affiliationName": {}}

_KINDS = {
    "datasets": ("datasetPublications", "datasetAuthors", "datasetId"),
    "depositions": ("depositionPublications", "depositionAuthors", "depositionId"),
}
"""Where publications stand, the table of authors, and the id there of what they are the authors of."""


def published(
    endpoint: Endpoint, executor: Executor, datasets: Sequence[int], depositions: Sequence[int]
) -> list[PublishedRecord]:
    """See ``KnowsRecords``.

    Raises:
        PortalError: A query stays without an answer.
    """
    wanted = {kind: ids for kind, ids in (("datasets", datasets), ("depositions", depositions)) if ids}
    questions = [(kind, of) for kind in wanted for of in (_rows, _authors)]
    asked = [(kind, of, executor.submit(of, endpoint, kind, wanted[kind])) for kind, of in questions]
    try:
        answers = {(kind, of): future.result().rows for kind, of, future in asked}
    finally:
        # The executor may outlive this, and the endpoint's connections do not.
        wait([future for _, _, future in asked])
    return [record for kind in wanted for record in _records(kind, answers[kind, _rows], answers[kind, _authors])]


def _rows(endpoint: Endpoint, kind: str, ids: Sequence[int]) -> Rows:
    selection: Selection = {**_SAID, _KINDS[kind][0]: {}}
    return all_rows(endpoint, f"what {kind} say of themselves", kind, selection, {"id": {"_in": list(ids)}})


def _authors(endpoint: Endpoint, kind: str, ids: Sequence[int]) -> Rows:
    _, table, owner = _KINDS[kind]
    return all_rows(endpoint, f"authors of {kind}", table, {owner: {}, **_AUTHOR}, {owner: {"_in": list(ids)}})


def _records(kind: str, rows: Iterable[Row], authors: Sequence[Row]) -> list[PublishedRecord]:
    publications, _, owner = _KINDS[kind]
    listed: dict[int, list[Row]] = {}
    for author in sorted(authors, key=lambda a: (a["authorListOrder"], a["id"])):
        listed.setdefault(author[owner], []).append(author)
    return [
        PublishedRecord(
            kind,
            row["id"],
            title=_line(row["title"]),
            description="\n".join(map(_line, row["description"].splitlines())),
            deposited=_day(row["depositionDate"]),
            released=_day(row["releaseDate"]),
            modified=_day(row["lastModifiedDate"]),
            authors=tuple(
                Author(_line(a["name"]), _line(a["orcid"] or ""), _line(a["affiliationName"] or ""))
                for a in listed.get(row["id"], ())
            ),
            publications=_line(row[publications] or ""),
        )
        for row in rows
    ]


def _line(text: str) -> str:
    """A text without what is no character to read, such as the codes that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _day(moment: str) -> str:
    """The day of a moment, in UTC; nothing where the text is no moment."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return (found.astimezone(UTC) if found.tzinfo else found).date().isoformat()
