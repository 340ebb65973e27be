"""What a Croissant was made from and by, in the words of W3C PROV, as its manifest says it.

Nothing of it depends on when or where it was made: no clock, no path, no user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from croissant_recipes.location import Location, is_url

DERIVED_FROM = "prov:wasDerivedFrom"
GENERATED_BY = "prov:wasGeneratedBy"
TERMS = {"prov": "http://www.w3.org/ns/prov#"}

_TOOL = "croissant-recipes"
_DOI = re.compile(r"\b10\.[0-9]{4,9}/[^\s,;\"<>]+")
_NOT_GIVEN = "0" * 64


@dataclass(frozen=True)
class Provenance:
    """What a Croissant was made from and by.

    Attributes:
        origins: Entities that it is derived from, as JSON-LD.
        recipe: Name of the recipe.
        digest: Hex digest of the recipe's normal form; ``None`` where it would let guesses at what is hidden be tried.
        version: Of croissant-recipes.
    """

    origins: tuple[Mapping[str, Any], ...]
    recipe: str
    digest: str | None
    version: str

    @property
    def activity(self) -> dict[str, Any]:
        """The making of it, as JSON-LD."""
        return _activity(self.recipe, self.digest, self.version)

    @property
    def outline(self) -> dict[str, Any]:
        """What decides the form of all that a manifest says of it: of two recipes, the same."""
        return {
            "origins": list(self.origins),
            "activity": _activity("recipe", self.digest and _NOT_GIVEN, self.version),
        }


def _activity(recipe: str, digest: str | None, version: str) -> dict[str, Any]:
    identifier = {"identifier": f"sha256:{digest}"} if digest else {}
    return {
        "@type": "prov:Activity",
        "prov:used": {"@type": ["prov:Entity", "prov:Plan"], "name": recipe, **identifier},
        "prov:wasAssociatedWith": {"@type": "prov:SoftwareAgent", "name": _TOOL, "version": version},
    }


def of_portal(kind: str, number: str, publications: str | None = None) -> dict[str, Any]:
    """A dataset or deposition of the CryoET Data Portal, with the DOIs of what was published of it.

    Args:
        kind: ``datasets`` or ``depositions``.
        number: Its id.
        publications: A text in which the DOIs stand, as the portal has it.
    """
    found: dict[str, Any] = {
        "@id": f"https://cryoetdataportal.czscience.com/{kind}/{number}",
        "@type": "prov:Entity",
        "identifier": f"CZCDP-{number}",
    }
    published = dois(publications)
    return found | ({"citation": list(published)} if published else {})


def of_croissant(manifest: Mapping[str, Any], place: str | None) -> dict[str, Any]:
    """An existing Croissant, by its place on the web or its page.

    Args:
        manifest: Its metadata.
        place: Where it was read; a place on a disk is nobody else's business.
    """
    page = manifest.get("url")
    at = place if place and is_url(place) and not place.startswith("file:") else page
    found: dict[str, Any] = {}
    if isinstance(at, str) and is_url(at):
        found["@id"] = Location.parse(at).public.url
    found["@type"] = "prov:Entity"
    for key in ("name", "version"):
        if isinstance(manifest.get(key), str):
            found[key] = manifest[key]
    said = [value for key in ("@id", "identifier", "sameAs", "url") for value in _texts(manifest.get(key))]
    if own := dois(" ".join(said)):
        found["identifier"] = own[0]
    return found


def dois(text: str | None) -> tuple[str, ...]:
    """The DOIs in a text, as URLs, each once."""
    found = (match.rstrip(".)]}") for match in _DOI.findall(text or ""))
    return tuple(dict.fromkeys(f"https://doi.org/{doi}" for doi in found))


def added(document: Mapping[str, Any], key: str, values: Iterable[Mapping[str, Any]]) -> list[Any]:
    """What a manifest says under a key already, then these values. One that is said already, by its ``@id`` where it
    has one, is not said twice, and stays where it is."""
    said = document.get(key)
    merged = list(said) if isinstance(said, list) else [] if said is None else [said]
    for value in values:
        again = next((i for i, known in enumerate(merged) if _same(known, value)), None)
        if again is None:
            merged.append(dict(value))
        else:
            merged[again] = dict(value)
    return merged


def _same(known: Any, value: Mapping[str, Any]) -> bool:
    if known == value or ("@id" in value and known == value["@id"]):
        return True
    return isinstance(known, Mapping) and "@id" in value and known.get("@id") == value["@id"]


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []
