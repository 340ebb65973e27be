"""Keeping credentials out of everything that is said: they stand in ``fs_args`` and may stand in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from croissant_recipes.location import without_credentials

_LOOSE_QUERY = re.compile(r"(?<=\S)\?\S+=\S*")
_SHORTEST_SECRET = 4


def without_secrets(text: str, fs_args: Mapping[str, object]) -> str:
    """A text of a client library without what ``fs_args`` hold, and without user names, passwords and queries of the
    URLs in it, of which it may quote a part."""
    for secret in sorted(_secrets(fs_args), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _LOOSE_QUERY.sub("", without_credentials(re.sub(r"(?<=//)[^/@\s]+@", "", text)))


def _secrets(value: object) -> Iterator[str]:
    """Every text that may be one: all but the endpoint, which a message about a connection needs."""
    if isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key != "endpoint_url":
                yield from _secrets(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item)
