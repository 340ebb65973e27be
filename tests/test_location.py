"""Paths and URLs as values."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croissant_recipes.location import (
    UNFIT_FOR_THE_WEB,
    URL,
    Location,
    as_url,
    is_url,
    percent_encoded,
    percent_encoded_address,
)

FOLDER = Path("/recipes/one")
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("lab/config.json", "/recipes/one/lab/config.json"),
        ("./lab//config.json", "/recipes/one/lab/config.json"),
        ("../two/", "/recipes/two"),
        (".", "/recipes/one"),
        ("/data/", "/data"),
        ("//data", "/data"),
        ("/odd://name", "/odd:/name"),
        ("a::b", "/recipes/one/a::b"),
        ("file:///data/a%20b", "/data/a%20b"),
        ("file://lab", "/recipes/one/lab"),
        ("local://lab/x", "/recipes/one/lab/x"),
        ("local:///lab/x", "/lab/x"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a//", "s3://bucket/a"),
        ("memory://a", "memory://a"),
        ("memory:///a", "memory:///a"),
        ("https://example.org/m.json?a=b/", "https://example.org/m.json?a=b/"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("simplecache::s3://bucket/a/", "simplecache::s3://bucket/a"),
        ("simplecache::file:///a", "simplecache::file:///a"),
        ("zip::s3://bucket/a.zip", "zip://::s3://bucket/a.zip"),
        ("zip:///in/it::s3://bucket/a.zip", "zip://in/it::s3://bucket/a.zip"),
        ("zip://in/it::a.zip", "zip://in/it::/recipes/one/a.zip"),
    ],
)
def test_what_a_text_means(text: str, url: str) -> None:
    assert Location.parse(text, FOLDER).url == url


def test_the_home_directory_and_the_working_directory(own_home: Path) -> None:
    assert Location.parse("~/lab", FOLDER).url == str(own_home / "lab")
    assert Location.parse("lab").url == os.path.abspath("lab")
    assert Location.parse(Path("/lab")).url == "/lab"


@pytest.mark.parametrize(
    ("text", "folder", "url"),
    [
        ("project", "s3://bucket/lab", "s3://bucket/lab/project"),
        ("local://project", "s3://bucket/lab", "s3://bucket/lab/project"),
        ("../project", "s3://bucket/lab", "s3://bucket/project"),
        ("/data", "s3://bucket/lab", "/data"),
        ("gs://other/x", "s3://bucket/lab", "gs://other/x"),
        ("project", "/lab", "/lab/project"),
        ("x.csv", "https://me:pw@h/lab?token=t", "https://me:pw@h/lab/x.csv?token=t"),
    ],
)
def test_a_relative_path_starts_at_any_folder(text: str, folder: str, url: str) -> None:
    assert Location.parse(text, Location.parse(folder)).url == url


@pytest.mark.parametrize(
    ("text", "protocol", "local", "web"),
    [
        ("/a", "", True, False),
        ("file:///a", "", True, False),
        ("local://a", "", True, False),
        ("s3://b", "s3", False, False),
        ("https://h", "https", False, True),
        ("simplecache::https://h", "https", False, False),
        ("simplecache::local:///a", "local", False, False),
        ("zip::/a.zip", "", True, False),
        ("zip://::/a.zip", "zip", False, False),
    ],
)
def test_protocols(text: str, protocol: str, local: bool, web: bool) -> None:
    found = Location.parse(text)
    assert (found.protocol, found.is_local, found.is_web) == (protocol, local, web)


@pytest.mark.parametrize(
    ("text", "above", "beside", "name"),
    [
        ("/a/b/m.json", "/a/b", "/a/b/x.csv", "m.json"),
        ("/m.json", "/", "/x.csv", "m.json"),
        ("s3://bucket/m.json", "s3://bucket", "s3://bucket/x.csv", "m.json"),
        ("local:///m.json", "/", "/x.csv", "m.json"),
        ("memory:///m.json", "memory://", "memory:///x.csv", "m.json"),
        ("https://h/a/m.json?token=a/b#c", "https://h/a?token=a/b#c", "https://h/a/x.csv?token=a/b#c", "m.json"),
        ("s3://bucket/odd?name/m.json", "s3://bucket/odd?name", "s3://bucket/odd?name/x.csv", "m.json"),
        ("zip://a/m.json::s3://b/c.zip", "zip://a::s3://b/c.zip", "zip://a/x.csv::s3://b/c.zip", "m.json"),
    ],
)
def test_folders(text: str, above: str, beside: str, name: str) -> None:
    found = Location.parse(text)
    assert (found.parent.url, found.sibling("x.csv").url, found.name) == (above, beside, name)


@pytest.mark.parametrize("top", ["/", "s3://bucket", "memory://", "zip://::s3://b/c.zip"])
def test_the_top_has_no_folder_above(top: str) -> None:
    assert Location.parse(top).parent.url == (Location.parse(top) / "../..").url == top


@pytest.mark.parametrize(
    ("text", "relative", "joined"),
    [
        ("/a", "b/c", "/a/b/c"),
        ("/", "b", "/b"),
        ("s3://b/", "/c//d/", "s3://b/c//d"),
        ("/b/", "/c//d/", "/b/c/d"),
        ("s3://b", "", "s3://b"),
        ("s3://b/c", "../d/./e/../f", "s3://b/d/f"),
        ("s3://b/odd//key", "f", "s3://b/odd//key/f"),
        ("s3://b/k?versionId=7", "f", "s3://b/k/f?versionId=7"),
        ("zip::s3://b/c.zip", "f", "zip://f::s3://b/c.zip"),
    ],
)
def test_places_below(text: str, relative: str, joined: str) -> None:
    assert (Location.parse(text) / relative).url == joined


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/plain/me@home?x=1", "/plain/me@home?x=1"),
        ("https://me:secret@example.org:8080/a@b/c", "https://example.org:8080/a@b/c"),
        ("https://token@example.org/a", "https://example.org/a"),
        ("https://me:se@cret@example.org/a", "https://example.org/a"),
        ("https://example.org/a?X-Amz-Signature=secret#part", "https://example.org/a"),
        ("https://example.org?sig=a/b@c", "https://example.org"),
        ("s3://key:secret@bucket/a?versionId=7", "s3://bucket/a"),
        ("s3://bucket/what?/a", "s3://bucket/what?/a"),
        ("s3://bucket/a?sig=b/c", "s3://bucket/a"),
        ("simplecache::https://me:secret@example.org/a?b=c", "simplecache::https://example.org/a"),
        ("zip://a::https://me:secret@example.org/a.zip?b=c", "zip://a::https://example.org/a.zip"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("abfs://me:secret@account/a", "abfs://account/a"),
        ("s3://bucket/user@host/x", "s3://bucket/user@host/x"),
    ],
)
def test_what_is_shown_has_no_credentials(text: str, shown: str) -> None:
    found = Location.parse(text)
    assert (str(found), repr(found), found.public.url) == (shown, f"Location({shown!r})", shown)
    assert found.url == text


@pytest.mark.parametrize(
    ("text", "folder", "way"),
    [
        ("/a/b/c", "/a", "b/c"),
        ("/a", "/", "a"),
        ("/a", "/a/", ""),
        ("/ab", "/a", None),
        ("s3://b/x/y", "s3://b", "x/y"),
        ("s3://b/x", "s3://other", None),
        ("gs://b/x", "s3://b", None),
        ("https://me:pw@h/x/y?t=1", "https://h/x", "y"),
        ("zip://a/b::s3://b/c.zip", "zip://a::s3://b/c.zip", "b"),
        ("zip://a/b::s3://b/c.zip", "zip://a::s3://b/d.zip", None),
    ],
)
def test_the_way_from_a_folder(text: str, folder: str, way: str | None) -> None:
    assert Location.parse(text).relative_to(Location.parse(folder)) == way


def test_one_place_by_several_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    linked, real = Location.parse(tmp_path / "link" / "x"), Location.parse(f"file://{tmp_path}/real/x")
    assert linked != real
    assert linked.is_same_place(real)
    assert Location.parse("https://me:pw@h/x?t=1").is_same_place(Location.parse("https://h/x/"))
    assert not Location.parse("s3://b/x").is_same_place(Location.parse("gs://b/x"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://a", "s3://b/c", True),
        ("s3://a", "gs://a", False),
        ("s3://a", "simplecache::s3://a", False),
        ("https://a/x", "https://a/y", True),
        ("https://a/x", "https://b/x", False),
        ("/a", "/b", True),
        ("/a", "s3://a", False),
        ("zip://a::https://h/x.zip", "zip://a::https://h/y.zip", True),
        ("zip://a::https://h/x.zip", "zip://a::https://evil/x.zip", False),
    ],
)
def test_who_may_get_the_arguments_of_whom(one: str, other: str, same: bool) -> None:
    assert Location.parse(one).same_service(Location.parse(other)) is same


def test_what_a_croissant_says() -> None:
    assert Location.parse("/data/a b").uri == "file:///data/a b"
    assert Location.parse("https://me:pw@h/x?t=1").uri == "https://h/x"


def test_fsspec_opens_it(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/it.txt", "found")
    for text in ("zip://in/it.txt::a.zip", "zip::local://a.zip"):
        inside = Location.parse(text, tmp_path)
        place = inside if inside.name else inside / "in" / "it.txt"
        with fsspec.open(place.url, "rt") as file:
            assert file.read() == "found"


names = st.text(st.characters(codec="utf-8", exclude_characters="/?#:@\0", exclude_categories=["Cs"]), min_size=1)
names = names.filter(lambda name: name not in (".", "..") and not name.startswith("~"))
paths = st.lists(names, max_size=4).map("/".join)
hosts = st.text("abcdefghij0123456789.-", min_size=1)
plain = st.builds(lambda p, path: f"{p}://{path}", st.sampled_from(["s3", "gs", "memory", "https", "ftp"]), paths)
hosted = st.builds(
    lambda p, u, h, path, q: f"{p}://{u}{h}/{path}{q}",
    st.sampled_from(["s3", "gs", "abfs", "http", "https", "webdav"]),
    st.sampled_from(["", f"{SECRET}:{SECRET}@", f"me:{SECRET}@"]),
    hosts,
    paths,
    st.sampled_from(["", f"?token={SECRET}"]),
)
links = plain | hosted | paths.map(lambda path: f"/{path}")
texts = (
    links
    | st.builds(lambda cache, link: f"{cache}::{link}", st.sampled_from(["simplecache", "filecache"]), hosted)
    | st.builds(lambda path, link: f"zip://{path}::{link}", paths, links)
)
locations = texts.map(Location.parse)


@given(locations)
def test_the_url_of_a_location_means_it(found: Location) -> None:
    assert Location.parse(found.url) == found
    assert found.public.public == found.public


@given(locations)
def test_nothing_that_is_shown_holds_a_secret(found: Location) -> None:
    for each in (found, found.parent, found / "below", found.sibling("beside")):
        assert SECRET not in f"{each} {each!r} {each.uri} {each.public.url}"


@given(locations, st.lists(names, min_size=1, max_size=3))
def test_the_way_down_is_the_way_back(folder: Location, parts: list[str]) -> None:
    below = folder
    for part in parts:
        below = below / part
        assert below.name == part
    assert below == folder / "/".join(parts)
    assert below.relative_to(folder) == "/".join(parts)
    assert below.sibling("x") == below.parent / "x"
    for _ in parts:
        below = below.parent
    assert below == folder


@given(paths)
def test_a_percent_encoded_path_is_read_back_by_any_client(path: str) -> None:
    address = urlsplit(f"https://h/{percent_encoded(path)}")
    assert unquote(address.path) == f"/{path}"
    assert (address.query, address.fragment) == ("", "")


def test_an_address_is_encoded_after_its_host() -> None:
    assert percent_encoded_address("http://h:80/grid 2#1/a?.json") == "http://h:80/grid%202%231/a%3F.json"
    assert percent_encoded_address("https://h") == "https://h"


@pytest.mark.parametrize(("place", "url"), [("/a b", "file:///a b"), ("file:///a", "file:///a"), ("s3://b", "s3://b")])
def test_a_place_as_a_url(place: str, url: str) -> None:
    assert as_url(place) == url


def test_percent_encoding_leaves_alone_what_the_web_takes() -> None:
    assert percent_encoded("grid 2 (pos#5)%41/a@b:1.json") == "grid%202%20(pos%235)%2541/a@b:1.json"
    assert re.search(UNFIT_FOR_THE_WEB, "grid(1)/a.json") is None
    assert [c for c in "#?% " if re.search(UNFIT_FOR_THE_WEB, c)] == list("#?% ")


@pytest.mark.parametrize(
    ("text", "url"), [("s3://a", True), ("zip::s3://a", True), ("file://a", True), ("a/b://c", False), ("a", False)]
)
def test_what_is_a_url(text: str, url: bool) -> None:
    assert is_url(text) is url
    assert (re.match(URL, text) is not None) is url
