"""No test reaches the network or the home directory, or depends on the machine's time zone, locale or credentials."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_HOME = Path.home()
_REPOSITORY = Path(__file__).resolve().parent.parent
_WRITABLE = (str(_REPOSITORY), tempfile.gettempdir(), os.path.realpath(tempfile.gettempdir()), os.devnull)
_OWN_NAMES = frozenset({"", "localhost", socket.gethostname()})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVES = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_ONE_PATH = frozenset({"os.mkdir", "os.remove", "os.rmdir", "os.truncate"})
_TWO_PATHS = frozenset({"os.rename", "os.link", "os.symlink"})
_FORBIDDEN_VARIABLES = ("AWS_", "LC_", "LANGUAGE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class ForbiddenInTestsError(RuntimeError):
    """Not an OSError, so that code which copes with an unreachable host does not hide it."""


class _Guard:
    """Watches what Python itself is asked to do (an audit hook cannot be removed, so it is switched on and off)."""

    armed = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.armed:
            return
        if event in _CONNECTS:
            _check_address(*arguments[:2])
        elif event in _RESOLVES:
            _check_host(arguments[0])
        elif event == "open":
            path, _mode, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                _check_path(path)
        elif event in _ONE_PATH:
            _check_path(arguments[0])
        elif event in _TWO_PATHS:
            _check_path(arguments[0])
            _check_path(arguments[1])


def _check_address(sock: object, address: object) -> None:
    family = getattr(sock, "family", None)
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        _check_host(address[0])


def _check_host(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name in _OWN_NAMES:
        return
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        raise ForbiddenInTestsError(f"tests cannot reach the network: {name!r} is not this machine") from None
    if not (address.is_loopback or address.is_unspecified):
        raise ForbiddenInTestsError(f"tests cannot reach the network: {name} is not this machine")


def _check_path(path: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return
    full = os.path.abspath(os.fsdecode(path))
    # The repository or the temporary folder may lie in the home directory, or the other way round: the deepest counts.
    # Python caches compiled modules beside them, wherever the environment is.
    deepest = max((folder for folder in (*_WRITABLE, str(REAL_HOME)) if _is_below(full, folder)), key=len, default="")
    if deepest == str(REAL_HOME) and "__pycache__" not in full:
        raise ForbiddenInTestsError(f"tests cannot write in the home directory: {full}")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


_guard = _Guard()
sys.addaudithook(_guard)


def pytest_configure(config: pytest.Config) -> None:
    # Before the first import of a library that settles on its cache directory when it is imported.
    patch = pytest.MonkeyPatch()
    scratch = tempfile.TemporaryDirectory()
    config.add_cleanup(scratch.cleanup)
    config.add_cleanup(patch.undo)
    for name in list(os.environ):
        if name.upper().startswith(_FORBIDDEN_VARIABLES):
            patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("LC_ALL", "C.UTF-8")
    patch.setenv("TZ", "UTC")
    time.tzset()
    _live_in(Path(scratch.name), patch)


def _live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HOME", str(home))
    patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))


def pytest_collection_finish(session: pytest.Session) -> None:
    # What is imported and collected by now stays to the end: a million objects that every collection would walk.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # Nor need what a test writes outlive the machine.
    os.fsync = lambda _: None


def guard_the_network() -> None:
    """What is done outside of pytest, such as a campaign of tests, reaches no further than tests do."""
    _guard.armed = True


@pytest.fixture(scope="session", autouse=True)
def guard() -> Iterator[None]:
    _guard.armed = True
    yield
    _guard.armed = False


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory of the test's own."""
    folder = tmp_path_factory.mktemp("home")
    _live_in(folder, monkeypatch)
    return folder
