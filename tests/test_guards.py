"""The guard rails of ``conftest.py`` bite."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REAL_HOME, ForbiddenInTestsError

ELSEWHERE = "192.0.2.1"  # an address that RFC 5737 keeps for documentation
PROBE = REAL_HOME / ".croissant-recipes-guard-probe"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((ELSEWHERE, 80), timeout=0.1),
        lambda: socket.socket().connect_ex((ELSEWHERE, 80)),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (ELSEWHERE, 80)),
        lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
        lambda: asyncio.run(asyncio.open_connection(ELSEWHERE, 80)),
        lambda: socket.getaddrinfo("example.org", 443),
        lambda: socket.gethostbyname("example.org"),
        lambda: socket.create_connection(("example.org", 443), timeout=0.1),
    ],
    ids=["connect", "connect_ex", "sendto", "ipv6", "asyncio", "getaddrinfo", "gethostbyname", "by-name"],
)
def test_the_network_is_out_of_reach(reach: Callable[[], object]) -> None:
    with pytest.raises(ForbiddenInTestsError, match="tests cannot reach the network"):
        reach()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_within_reach(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection((host, server.getsockname()[1]), timeout=5)
        accepted, _ = server.accept()
        with client, accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"


def test_unix_sockets_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")
        accepted, _ = server.accept()
        accepted.close()


@pytest.mark.parametrize(
    "write",
    [
        lambda: PROBE.write_text(""),
        lambda: PROBE.mkdir(),
        lambda: os.open(PROBE, os.O_CREAT | os.O_WRONLY),
        lambda: PROBE.symlink_to("nowhere"),
    ],
    ids=["open", "mkdir", "os.open", "symlink"],
)
def test_the_home_directory_cannot_be_written(write: Callable[[], object]) -> None:
    with pytest.raises(ForbiddenInTestsError, match="tests cannot write in the home directory"):
        write()
    assert not os.path.lexists(PROBE)


def test_nothing_is_moved_into_or_out_of_the_home_directory(tmp_path: Path) -> None:
    inside = tmp_path / "file"
    inside.write_text("kept")
    with pytest.raises(ForbiddenInTestsError, match="home directory"):
        inside.rename(PROBE)
    with pytest.raises(ForbiddenInTestsError, match="home directory"):
        PROBE.rename(tmp_path / "stolen")
    assert inside.read_text() == "kept"


def test_each_test_has_an_empty_home_of_its_own(own_home: Path, tmp_path: Path) -> None:
    assert Path.home() == own_home
    assert own_home not in (REAL_HOME, tmp_path)
    assert list(own_home.iterdir()) == []
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        folder = Path(os.environ[variable])
        assert folder.is_relative_to(own_home)
        folder.mkdir()


def test_the_environment_is_the_same_everywhere() -> None:
    given = {name for name in os.environ if name.upper().startswith(("AWS_", "LC_")) or "_PROXY" in name.upper()}
    assert given - {"NO_PROXY", "no_proxy"} == {"AWS_EC2_METADATA_DISABLED", "LC_ALL"}
    assert os.environ["LC_ALL"] == "C.UTF-8"
    assert (time.timezone, time.daylight, time.tzname[0]) == (0, 0, "UTC")


def test_what_the_caller_has_set_does_not_come_through() -> None:
    hostile = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_PROFILE": "default",
        "LC_TIME": "C",
        "TZ": "Asia/Tokyo",
        "https_proxy": "http://127.0.0.1:1",
    }
    test = f"{__file__}::{test_the_environment_is_the_same_everywhere.__name__}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    done = subprocess.run(
        command, env={**os.environ, **hostile}, cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
