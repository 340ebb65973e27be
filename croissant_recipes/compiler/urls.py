"""Where a row's data is when the Croissant is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from croissant_recipes.sources.base import Root

_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Publication:
    """Where a Croissant is written and read.

    Attributes:
        project_root: Absolute path or URL that it is written below.
        base_url: URL that its relative row URLs are joined to, ``None`` for a relocatable Croissant.
    """

    project_root: str
    base_url: str | None

    @property
    def anchor(self) -> str:
        """What relative URLs are relative to."""
        return self.base_url if self.base_url is not None else self.project_root


def has_protocol(location: str) -> bool:
    return _PROTOCOL.match(location) is not None


def absolute(location: str) -> str:
    """A location as a URL that needs no base: local paths get ``file://``, which copick takes off again as it is."""
    return location if has_protocol(location) else f"file://{location}"


def shown(url: str) -> str:
    """A URL as messages show it: local paths without ``file://``."""
    return url.removeprefix("file://")


def places(
    table: pd.DataFrame, roots: Mapping[str, Root], *, operation: str, source_base: str | None, publication: Publication
) -> pd.Series:
    """The absolute place of every row of one layer: where its data lies when the Croissant is read.

    A root with a URL of its own has that; the primary root has the source's ``base_url`` or, in an export layer, the
    output's; any other root has its own location.
    """
    bases: dict[str, str] = {}
    for key, root in roots.items():
        base = root.base_url
        if base is None and root.primary:
            base = source_base or (publication.base_url if operation == "export" else None)
        bases[key] = base or root.location.uri
    absolute_rows = table["root"] == ""
    prefixes = table["root"].map({k: b.rstrip("/") + "/" for k, b in bases.items()} | {"": ""}).astype("str")
    paths = table["path"]
    return (prefixes + paths).where(~absolute_rows, paths).astype("str")


def relative(urls: pd.Series, anchor: str) -> pd.Series:
    """URLs relative to an anchor where they lie below it, otherwise as they are."""
    prefix = anchor.removeprefix("file://").rstrip("/") + "/"
    bare = urls if has_protocol(prefix) else urls.str.removeprefix("file://")
    inside = bare.str.startswith(prefix)
    return bare.str.slice(len(prefix)).where(inside, urls).astype("str")
