"""Paths and URLs as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from croissant_recipes.access import explain
from croissant_recipes.sources.locations import (
    is_local,
    join,
    locate,
    locate_beside,
    parent,
    protocol,
    sibling,
    strip_credentials,
)

FOLDER = Path("/recipes/one")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("lab/config.json", "/recipes/one/lab/config.json"),
        ("./lab//config.json", "/recipes/one/lab/config.json"),
        ("../two/", "/recipes/two"),
        (".", "/recipes/one"),
        ("/data/", "/data"),
        ("file:///data/a%20b", "/data/a%20b"),
        ("file://lab", "/recipes/one/lab"),
        ("local://lab/x", "/recipes/one/lab/x"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a//", "s3://bucket/a"),
        ("memory://a", "memory://a"),
        ("https://example.org/m.json?a=b/", "https://example.org/m.json?a=b"),
        ("simplecache::s3://bucket/a/", "simplecache::s3://bucket/a"),
    ],
)
def test_locate(value: str, place: str) -> None:
    assert locate(value, FOLDER) == place


def test_the_home_directory(own_home: Path) -> None:
    assert locate("~/lab", FOLDER) == str(own_home / "lab")


@pytest.mark.parametrize(
    ("value", "folder", "place"),
    [
        ("project", "s3://bucket/lab", "s3://bucket/lab/project"),
        ("local://project", "s3://bucket/lab", "s3://bucket/lab/project"),
        ("../project", "s3://bucket/lab", "s3://bucket/project"),
        ("/data", "s3://bucket/lab", "/data"),
        ("gs://other/x", "s3://bucket/lab", "gs://other/x"),
        ("project", "/lab", "/lab/project"),
    ],
)
def test_locate_beside(value: str, folder: str, place: str) -> None:
    assert locate_beside(value, folder) == place


@pytest.mark.parametrize(
    ("place", "scheme", "local"),
    [("/a", "", True), ("file:///a", "file", True), ("local://a", "local", True), ("s3://b", "s3", False)],
)
def test_protocols(place: str, scheme: str, local: bool) -> None:
    assert (protocol(place), is_local(place)) == (scheme, local)


@pytest.mark.parametrize(
    ("place", "above", "beside"),
    [
        ("/a/b/m.json", "/a/b", "/a/b/x.csv"),
        ("/m.json", "/", "/x.csv"),
        ("bucket/a/m.json", "bucket/a", "bucket/a/x.csv"),
        ("s3://bucket/m.json", "s3://bucket", "s3://bucket/x.csv"),
        ("https://h/a/m.json?token=a/b#c", "https://h/a", "https://h/a/x.csv?token=a/b#c"),
        ("s3://bucket/odd?name/m.json", "s3://bucket/odd?name", "s3://bucket/odd?name/x.csv"),
    ],
)
def test_folders(place: str, above: str, beside: str) -> None:
    assert parent(place) == above
    assert sibling(place, "x.csv") == beside


def test_the_top_has_no_folder_above() -> None:
    assert parent("s3://bucket") == "s3://bucket"
    assert parent("/") == "/"


@pytest.mark.parametrize(
    ("place", "relative", "joined"),
    [
        ("/a", "b/c", "/a/b/c"),
        ("/", "b", "/b"),
        ("s3://b/", "/c//d/", "s3://b/c/d"),
        ("s3://b/c", "../d/./e/../f", "s3://b/d/f"),
    ],
)
def test_join(place: str, relative: str, joined: str) -> None:
    assert join(place, relative) == joined


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/plain/me@home?x=1", "/plain/me@home?x=1"),
        ("https://me:secret@example.org:8080/a@b/c", "https://example.org:8080/a@b/c"),
        ("https://token@example.org/a", "https://example.org/a"),
        ("https://me:se@cret@example.org/a", "https://example.org/a"),
        ("https://example.org/a?X-Amz-Signature=secret#part", "https://example.org/a"),
        ("https://example.org?sig=a/b@c", "https://example.org"),
        ("simplecache::https://me:secret@example.org/a?b=c", "simplecache::https://example.org/a"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("abfs://me:secret@account/a", "abfs://account/a"),
        ("s3://bucket/user@host/x", "s3://bucket/user@host/x"),
    ],
)
def test_credentials_are_stripped(url: str, shown: str) -> None:
    assert strip_credentials(url) == shown


def test_an_error_is_told_without_secrets() -> None:
    fs_args = {
        "key": "AKIA1234",
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "proxies": ["hunter2hunter2"]},
    }
    error = ValueError(
        "AKIA1234 at http://127.0.0.1:9 by https://me:hunter3@proxy/x?sig=hunter4 with hunter2hunter2\nmore AKIA1234"
    )
    assert explain(error, fs_args) == "*** at http://127.0.0.1:9 by https://proxy/x with ***"
    assert explain(PermissionError(13, "Permission denied", "/x"), {}) == "Permission denied (/x)"
    assert explain(RuntimeError(), {}) == "RuntimeError"
