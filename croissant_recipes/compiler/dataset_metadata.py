"""What a recipe leaves open of its dataset, filled from what the portal says of the datasets and depositions used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from croissant_recipes.codes import Code
from croissant_recipes.croissant.provenance import dois
from croissant_recipes.diagnostics import Diagnostic, Severity, joined, listing
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.language.recipe import REQUIRED_OF_DATASET
from croissant_recipes.sources.base import PublishedRecord

_ORCID = re.compile(r"(?:^|/)([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])\Z")
_LICENSE = "CC0-1.0"
_WANTED = ("url", "creators")


@dataclass(frozen=True)
class Filled:
    """One value that the recipe leaves open.

    Attributes:
        key: As the recipe would have it below ``dataset``.
        value: As the recipe would have it.
        origin: Where it comes from, in words.
    """

    key: str
    value: Any
    origin: str


@dataclass(frozen=True)
class Used:
    """What the portal says of what rows are from.

    Attributes:
        records: Of datasets and depositions, each by id.
        others: Names of sources that have rows which are not the portal's.
        depositions: The depositions that sources name, where none of them names a dataset.
        until: Whether a source is as of a day.
    """

    records: tuple[PublishedRecord, ...] = ()
    others: tuple[str, ...] = ()
    depositions: frozenset[int] = field(default_factory=frozenset)
    until: bool = False

    @property
    def the_one(self) -> PublishedRecord | None:
        """The record that a result is of: the only deposition that is asked for, or else the only dataset."""
        asked = [r for r in self.records if r.kind == "depositions" and r.number in self.depositions]
        datasets = [r for r in self.records if r.kind == "datasets"]
        for candidates in (asked if len(self.depositions) == 1 else [], datasets):
            if len(candidates) == 1:
                return candidates[0]
        return None


NOTHING_USED = Used()


def whole(checked: CheckedRecipe, used: Used) -> tuple[dict[str, Any] | None, tuple[Filled, ...], list[Diagnostic]]:
    """The dataset block, what of it was filled, and what is left open; nothing where a base has the metadata."""
    if checked.recipe.dataset is None:
        return None, (), []
    dataset = checked.recipe.dataset.model_dump(exclude_none=True, exclude={"from_"})
    if checked.recipe.dataset.from_ is None:
        return dataset, (), []
    filled, found = _fill(checked, dataset, used)
    return {**dataset, **{each.key: each.value for each in filled}}, filled, found


def _fill(
    checked: CheckedRecipe, dataset: Mapping[str, Any], used: Used
) -> tuple[tuple[Filled, ...], list[Diagnostic]]:
    document = checked.document
    is_open = [key for key in _KEYS if not dataset.get(key)]
    filled = tuple(found for key in is_open if (found := _KEYS[key](key, used)) is not None and found.value)
    known = {f.key for f in filled} | {key for key, value in dataset.items() if value}
    span = document.value_span("dataset", "from")
    missing = [
        Diagnostic(
            Code.DATASET_FROM,
            f"dataset.{key} is open, and the portal does not fill it: {_why(key, used)}",
            span=span,
            hint=f"add `{key}:` to `dataset`",
        )
        for key in REQUIRED_OF_DATASET
        if key not in known
    ]
    wanted = [
        Diagnostic(
            Code.DATASET,
            f"the Croissant specification asks for dataset.{key}, and the portal does not fill it: {_why(key, used)}",
            Severity.WARNING,
            f"add `{key}:` to `dataset`",
            span,
        )
        for key in _WANTED
        if key not in known
    ]
    return filled, [*missing, *wanted]


def _why(key: str, used: Used) -> str:
    if not used.records:
        return "no row is of the portal"
    if key == "license" and used.others:
        return f"rows of {listing(used.others)} are not its own"
    if key in ("name", "description", "url"):
        return f"the rows are of {_named(used.records)}, and of none of these alone"
    return f"{_named(used.records)} say nothing of it"


def _named(records: Iterable[PublishedRecord]) -> str:
    return joined([str(record) for record in records])


def _of_the_one(key: str, used: Used) -> Filled | None:
    one = used.the_one
    if one is None:
        return None
    page = f"https://cryoetdataportal.czscience.com/{one.kind}/{one.number}"
    value = {"name": one.title, "description": one.description, "url": page}[key]
    return Filled(key, value.strip(), str(one))


def _license(key: str, used: Used) -> Filled | None:
    if used.others or not used.records:
        return None
    return Filled(key, _LICENSE, "all data of the portal is under it")


def _date(attribute: str, last: bool, key: str, used: Used) -> Filled | None:
    days = [(getattr(record, attribute), record) for record in used.records if getattr(record, attribute)]
    if not days:
        return None
    day = (max if last else min)(day for day, _ in days)
    return Filled(key, day, next(str(record) for found, record in days if found == day))


def _published(key: str, used: Used) -> Filled | None:
    return _date("released", True, key, used)


def _created(key: str, used: Used) -> Filled | None:
    return _date("deposited", False, key, used)


def _modified(key: str, used: Used) -> Filled | None:
    # When a record was edited is no fact of an earlier day.
    return None if used.until else _date("modified", True, key, used)


def _creators(key: str, used: Used) -> Filled | None:
    """Every author once, by ORCID or else by name, as the first of the records has them."""
    orcids = {a.name.strip(): _orcid(a.orcid) for r in used.records for a in r.authors if _orcid(a.orcid)}
    found: dict[str, dict[str, Any]] = {}
    of: list[PublishedRecord] = []
    for record in used.records:
        for author in record.authors:
            name = author.name.strip()
            orcid = _orcid(author.orcid) or orcids.get(name, "")
            creator = {"name": name, "orcid": orcid, "affiliation": author.affiliation.strip(), "is_person": True}
            if name and (orcid or name) not in found:
                found[orcid or name] = {k: v for k, v in creator.items() if v}
                of += [record] * (record not in of)
    return Filled(key, tuple(found.values()), _named(of))


def _orcid(text: str) -> str:
    match = _ORCID.search(text.strip())
    return f"https://orcid.org/{match[1]}" if match else ""


def _publications(key: str, used: Used) -> Filled | None:
    found: dict[str, PublishedRecord] = {}
    for record in used.records:
        for doi in dois(record.publications):
            found.setdefault(doi, record)
    return Filled(key, tuple(found), _named(dict.fromkeys(found.values())))


_KEYS: Mapping[str, Any] = {
    "name": _of_the_one,
    "description": _of_the_one,
    "license": _license,
    "date_published": _published,
    "date_created": _created,
    "date_modified": _modified,
    "url": _of_the_one,
    "creators": _creators,
    "publications": _publications,
}
