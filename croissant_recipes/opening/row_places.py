"""Where the data of rows lies, and how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fsspec

from croissant_recipes.access import arguments_for
from croissant_recipes.location import Location, is_url, percent_encoded


class RowPlaces:
    """The places of a Croissant's rows.

    Args:
        base_url: What relative URLs of rows are relative to: a URL or a local path.
        static_fs_args: fsspec keyword arguments for the data. They are for what the base URL names, a web address'
            for its own host, and nothing else sees them. Where the base is a local folder, which needs none, they are
            for object stores.
    """

    def __init__(self, base_url: str, static_fs_args: Mapping[str, Any]) -> None:
        self._base_url = base_url
        self._base = Location.parse(base_url)
        self._given = dict(static_fs_args)

    def absolute(self, url: str) -> str:
        """The URL of a row with the base in front, unless it is one by itself. A relative one is a path: below a web
        address its names are percent-encoded."""
        if is_url(url):
            return url
        relative = percent_encoded(url) if self._base.is_web else url
        return f"{self._base_url.rstrip('/')}/{relative.lstrip('/')}"

    def open(self, url: str, **arguments: Any) -> tuple[Any, str]:
        """The filesystem of an absolute URL or path, and the path in it.

        Args:
            url: Absolute, as ``absolute`` makes it.
            arguments: Further arguments of the filesystem, over those given for the data.
        """
        location = Location.parse(url)
        merged = {**self.arguments(location), **arguments}
        if location.is_local:
            return fsspec.filesystem("file", **merged), location.path
        fs, path = fsspec.url_to_fs(url, **merged)
        return fs, path

    def arguments(self, location: Location) -> dict[str, Any]:
        """The filesystem arguments for a place. What is in the portal's public bucket is read without credentials,
        unless the arguments say who is asking."""
        meant = not location.is_web if self._base.is_local else self._base.same_service(location)
        given = self._given if meant else {}
        return arguments_for(location, given)
