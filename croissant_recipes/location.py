"""A local path or a URL as one value. Nothing here opens anything."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

_NAME = r"[A-Za-z][A-Za-z0-9+.-]*"
URL = rf"(?:{_NAME}::)*{_NAME}://"
"""How a text begins that is a URL and no path, as a regular expression without groups."""

ADDRESS = rf"{_NAME}://\S+"
"""A whole URL of one link, as a regular expression without groups."""

LOCAL_URL = "(?:file|local)://"
"""How a URL begins that is a path on this machine."""

WEB_URL = "https?://"
"""How a web address begins."""

UNFIT_FOR_THE_WEB = "[#?% ]"
"""What a name cannot have in a web address as it is: there it begins something else, or ends the address."""

_LOCAL = frozenset({"file", "local"})
_WEB = frozenset({"http", "https"})
_CACHES = frozenset({"blockcache", "filecache", "simplecache"})
"""Protocols that have no path of their own: fsspec gives them that of what they keep."""
_USER = re.compile(rf"({_NAME})(://)([^\s/?#]*|[^\s/:@]*:(?![0-9]+/)[^\s@]*)@")
"""Before the last ``@`` ahead of the path; or, after a ``:`` that begins no port, ahead of any ``@``, as people write
passwords that hold a ``/``."""
_QUERY = re.compile(rf"({_NAME}://[^\s?]*)\?\S*?(?=['\"`,;:.)\]}}>]*(?:\s|$))")
_OPTIONS = r"\?(?=[^/?=]+=[^/]*$)"
"""Where options begin that a URL ends in, such as ``?versionId=7``. Names in object stores may hold any other ``?``."""
_NAMES_CONTAINER = frozenset({"abfs", "abfss", "adl", "az", "wasb", "wasbs"})
"""Protocols in which what stands before ``@`` is no user but a container."""


_ROUNDABOUT = re.compile(r"^local:|[^:/]//|^file:////|(?:^|/)\.{1,2}(?:/|$)")


USER_INFO = "://[^/]*@"
"""What a URL holds, as a regular expression, in which a user name or a password may stand."""


def is_url(text: str) -> bool:
    """Whether a text is a URL (``file://`` too) and no plain path."""
    return re.match(URL, text) is not None


def as_url(place: str) -> str:
    """A path on this machine or a URL as a URL: paths get ``file://``, which copick takes off again as it is."""
    return place if is_url(place) else f"file://{place}"


def percent_encoded(path: str) -> str:
    """A path as a web address has it, so that whoever decodes it gets the same names."""
    return quote(path, safe="/!$&'()*+,;=:@~")


def percent_encoded_address(address: str) -> str:
    """A web address whose path is names as they are, with these encoded."""
    host = re.match(f"{WEB_URL}[^/]*", address)
    at = host.end() if host else 0
    return address[:at] + percent_encoded(address[at:])


def is_of(text: str, protocol: str) -> bool:
    """Whether a text is a URL of a protocol, such as ``s3``; cheap, as it is asked of every row."""
    return text.startswith(f"{protocol}://")


def is_roundabout(place: str) -> bool:
    """Whether a path or URL holds what can be left out or written in another way, where it is on this machine."""
    return _ROUNDABOUT.search(place) is not None


def one_spelling(place: str) -> str:
    """A path or URL as all are written that are the same; without a look at the disk, so that links stay."""
    url = as_url(place)
    return Location.parse(url).uri if is_roundabout(url) else url


def without_credentials(text: str) -> str:
    """A text without the user names, passwords and queries of the URLs in it."""
    return _QUERY.sub(r"\1", _USER.sub(_host_only, text)) if "://" in text else text


def _host_only(match: re.Match[str]) -> str:
    protocol, sign, user = match.groups()
    if protocol in _NAMES_CONTAINER and ":" not in user:
        return match.group()
    return f"{protocol}{sign}"


@dataclass(frozen=True, repr=False)
class Location:
    """Where a file or folder lies: a path on this machine, or a URL that fsspec opens. Made by ``parse``.

    ``str()`` of it can be shown to anyone; ``url`` has the credentials that opening it may need. What is derived from a
    location (``/``, ``parent``, ``sibling``) keeps its credentials.

    Attributes:
        path: On this machine, the absolute path. Of a URL, what follows the host: empty, or with a slash in front.
        protocol: ``s3`` of ``s3://bucket/key``, empty for a path on this machine. fsspec's ``file://`` and ``local://``
            are paths on this machine.
        host: ``bucket`` of ``s3://bucket/key``. Some URLs have none (``memory:///x``).
        caches: Protocols in front that only keep what they have read: ``simplecache`` of ``simplecache::s3://…``.
        archive: Where the archive lies that ``path`` is in: ``s3://b/x.zip`` of ``zip://folder::s3://b/x.zip``.
    """

    path: str
    protocol: str = ""
    host: str = ""
    caches: tuple[str, ...] = ()
    archive: Location | None = None
    _user: str = field(default="", kw_only=True)
    _query: str = field(default="", kw_only=True)

    @classmethod
    def parse(cls, text: str | os.PathLike[str], start: Location | Path | None = None) -> Location:
        """The location that a text means.

        Args:
            text: A path or a URL. As for fsspec, ``file://`` and ``local://`` paths are taken as they are written, with
                no ``%20`` decoded, and may be relative. A slash at the end says nothing.
            start: The folder that relative paths start at; without it, the working directory.
        """
        given = os.fspath(text)
        if not is_url(given):
            return cls._on_disk(given, start)
        caches, rest = _without_caches(given)
        first, archive = _chain(rest)
        protocol, _, place = first.partition("://")
        if archive:
            return cls(_rooted(place), protocol, caches=caches, archive=cls.parse(archive, start))
        if protocol in _LOCAL and not caches:
            return cls._on_disk(place, start)
        bare = re.split("[?#]" if protocol in _WEB else _OPTIONS, place, maxsplit=1)[0]
        authority, slash, path = bare.partition("/")
        user, at, host = authority.rpartition("@")
        if at and protocol in _NAMES_CONTAINER and ":" not in user:
            user, at, host = "", "", authority
        return cls(
            f"{slash}{path}".rstrip("/"), protocol, host, caches, _user=user + at, _query=place.removeprefix(bare)
        )

    @classmethod
    def _on_disk(cls, text: str, start: Location | Path | None) -> Location:
        path = os.path.expanduser(text)
        if isinstance(start, Location) and not start.is_local and not os.path.isabs(path):
            return start / path
        folder = start.path if isinstance(start, Location) else start
        # POSIX lets a system take two slashes in front for something else, and none does.
        return cls(re.sub("^//", "/", os.path.abspath(os.path.join(folder or "", path))))

    # What it is

    @property
    def is_local(self) -> bool:
        """Whether it is a path on this machine."""
        return not self.protocol

    @property
    def is_web(self) -> bool:
        """Whether any HTTP client opens it."""
        return self.protocol in _WEB and not self.caches

    @property
    def name(self) -> str:
        """The last part of the path, empty at the top."""
        return self.path.rpartition("/")[2]

    # What others make of it

    @property
    def url(self) -> str:
        """What fsspec opens: the path, or the URL with its credentials."""
        if self.is_local:
            return self.path
        return "::".join([*self.caches, self.link, *([self.archive.url] if self.archive else [])])

    @property
    def link(self) -> str:
        """Of a chained URL, the link that names the file; the whole ``url`` of others."""
        path = self.path.removeprefix("/") if self.archive else self.path
        return path if self.is_local else f"{self.protocol}://{self._user}{self.host}{path}{self._query}"

    @property
    def public(self) -> Location:
        """The same place without user name, password and query, any of which may be a secret."""
        if self.is_local:
            return self
        # What looks like options in the middle of a path most likely is part of a name, and may be a secret.
        path = self.path if self.protocol in _WEB else re.split(r"\?(?=\S+=)", self.path, maxsplit=1)[0].rstrip("/")
        archive = self.archive.public if self.archive else None
        return replace(self, path=path, archive=archive, _user="", _query="")

    @property
    def has_user(self) -> bool:
        """Whether its URL holds a user name or password."""
        return bool(self._user) or (self.archive is not None and self.archive.has_user)

    @property
    def uri(self) -> str:
        """What a Croissant says: a URL without credentials, ``file://`` in front of a path on this machine."""
        return as_url(str(self))

    def __str__(self) -> str:
        return self.public.url

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"

    # Its neighbours

    def __truediv__(self, relative: str) -> Location:
        """A place below: ``.`` is left out, and ``..`` goes up, at most to the top. Two slashes are one on this
        machine, but not in a store, where they make another name."""
        path = self.path.rstrip("/")
        for part in relative.strip("/").split("/") if relative.strip("/") else ():
            if part == "..":
                path = path.rpartition("/")[0]
            elif part != "." and (part or not self.is_local):
                path = f"{path}/{part}"
        return replace(self, path=path or self._top)

    @property
    def parent(self) -> Location:
        """The folder that it is in. The top is its own."""
        return replace(self, path=self.path.rpartition("/")[0] or self._top)

    def sibling(self, name: str) -> Location:
        """The place of that name in the same folder."""
        return self.parent / name

    @property
    def _top(self) -> str:
        return "/" if self.is_local else ""

    # Beside others

    def relative_to(self, folder: Location) -> str | None:
        """The way from a folder to here, empty if it is the folder itself, ``None`` if it is not in it. Credentials do
        not matter."""
        if replace(self, path="").public != replace(folder, path="").public:
            return None
        above = folder.path.rstrip("/") + "/"
        return "" if self.path == folder.path else self.path[len(above) :] if self.path.startswith(above) else None

    def is_same_place(self, other: Location) -> bool:
        """Whether both are one file or folder, by whatever name or credentials."""
        return self.real == other.real

    @property
    def real(self) -> Location:
        """Without credentials, and with symbolic links on this machine followed: equal for all names of one place."""
        return replace(self, path=os.path.realpath(self.path)) if self.is_local else self.public

    def same_service(self, other: Location) -> bool:
        """Whether what opens the one (arguments of its filesystem, credentials) is meant for the other too. A web
        address asks its own host alone."""
        if self.archive and other.archive and not self.archive.same_service(other.archive):
            return False
        ways = [(p.caches, p.protocol, p.host if p.protocol in _WEB else "", not p.archive) for p in (self, other)]
        return ways[0] == ways[1]


def _without_caches(text: str) -> tuple[tuple[str, ...], str]:
    caches: list[str] = []
    while text.partition("::")[0] in _CACHES:
        head, _, text = text.partition("::")
        caches.append(head)
    return tuple(caches), text


def _chain(text: str) -> tuple[str, str]:
    """The first link of a chained URL, with ``://`` in it, and the rest."""
    # Not at the '::' of an IPv6 address.
    first, *rest = re.split(r"(?<!\[)::", text, maxsplit=1)
    return first if "://" in first else f"{first}://", rest[0] if rest else ""


def _rooted(path: str) -> str:
    """A path in an archive as all others are written here."""
    inside = path.strip("/")
    return f"/{inside}" if inside else ""
