"""Where things lie, as plain text: absolute local paths and fsspec URLs. Nothing here touches a disk or a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SIGN = "://"
_LOCAL_PROTOCOLS = ("", "file", "local")
_WEB_PROTOCOLS = ("http", "https")
_CONTAINER_PROTOCOLS = ("abfs", "abfss", "adl", "az", "wasb", "wasbs")


def protocol(place: str) -> str:
    """``s3`` of ``s3://bucket/key``, the empty text of a plain path."""
    head, sign, _ = place.partition(_SIGN)
    return head if sign else ""


def is_local(place: str) -> bool:
    """Whether a place is on this machine's file system: a plain path, ``file://`` or ``local://``."""
    return protocol(place) in _LOCAL_PROTOCOLS


def locate(value: str, folder: Path) -> str:
    """The absolute local path (without protocol) or the URL that a value means, without a trailing slash.

    ``file://`` and ``local://`` paths are taken as they are written, as fsspec does; relative ones start at ``folder``.
    """
    head, sign, rest = value.rpartition(_SIGN) if is_local(value) else value.partition(_SIGN)
    if is_local(value):
        return os.path.abspath(os.path.join(folder, os.path.expanduser(rest)))
    return f"{head}{sign}{rest.rstrip('/')}"


def locate_beside(value: str, folder: str) -> str:
    """As ``locate``, for a folder that may itself be a URL."""
    if is_local(folder):
        return locate(value, Path(folder))
    relative = value.rpartition(_SIGN)[2]
    if is_local(value) and not os.path.isabs(os.path.expanduser(relative)):
        return join(folder, relative)
    return locate(value, Path())


def join(place: str, relative: str) -> str:
    """A place below another; ``.`` and empty parts are left out, ``..`` goes up."""
    parts: list[str] = []
    for part in relative.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == "..":
            place = parent(place)
        elif part not in ("", "."):
            parts.append(part)
    return "/".join([place.rstrip("/"), *parts])


def parent(place: str) -> str:
    """The folder of a place, without the query of a web address. The top is its own folder."""
    head, sign, rest = _without_query(place).rpartition(_SIGN)
    above, slash, _ = rest.rstrip("/").rpartition("/")
    return f"{head}{sign}{above if slash else rest}" or "/"


def sibling(place: str, name: str) -> str:
    """The place of that name in the same folder. The query of a web address, which may let one in, is kept."""
    return join(parent(place), name) + place[len(_without_query(place)) :]


def strip_credentials(url: str) -> str:
    """The URL without user name, password and query, any of which may be a secret."""
    return "::".join(_strip_one(part) for part in url.split("::")) if protocol(url) else url


def _without_query(place: str) -> str:
    return re.split(r"[?#]", place, maxsplit=1)[0] if protocol(place) in _WEB_PROTOCOLS else place


def _strip_one(url: str) -> str:
    scheme = protocol(url)
    if scheme in _LOCAL_PROTOCOLS:
        return url
    rest = re.split(r"[?#]", url.partition(_SIGN)[2], maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    user, at, server = host.rpartition("@")
    if at and (scheme not in _CONTAINER_PROTOCOLS or ":" in user):
        host = server
    return f"{scheme}{_SIGN}{host}{slash}{path}"
