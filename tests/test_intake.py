"""What is taken of files and JSON that others wrote, and what is not."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from croissant_recipes import intake
from croissant_recipes.intake import NotJsonError, UnfitFileError, parse_json, read_file


def test_a_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert read_file(file, 100) == b"x" * 100
    with pytest.raises(UnfitFileError) as caught:
        read_file(file, 99)
    assert caught.value.strerror == "it is larger than 0 MiB"


def test_a_file_without_content_is_read(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read_file(tmp_path / "empty", 1) == b""


def test_a_file_that_says_it_is_empty_and_is_not() -> None:
    """As those of /proc do."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("there is no /proc")
    assert os.path.getsize("/proc/self/status") == 0
    assert read_file("/proc/self/status", intake.MIB).startswith(b"Name:")
    with pytest.raises(UnfitFileError, match="larger"):
        read_file("/proc/self/status", 10)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnfitFileError) as caught:
        read_file(tmp_path / "pipe", 10)
    assert caught.value.strerror == "it is a named pipe, not a file"


def test_a_device_is_not_read() -> None:
    with pytest.raises(UnfitFileError) as caught:
        read_file("/dev/zero", 10)
    assert caught.value.strerror == "it is a device, not a file"


def test_nor_are_folders_sockets_and_links_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        read_file(tmp_path / "loop", 10)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        with pytest.raises(OSError, match="No such device"):
            read_file("socket", 10)


@pytest.mark.parametrize("name", ["a\0b", "half\ud800"])
def test_a_name_that_no_file_has(name: str) -> None:
    with pytest.raises(UnfitFileError) as caught:
        read_file(name, 10)
    assert caught.value.strerror == "no file has such a name"


def test_a_name_that_is_no_utf8_is_one(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        Path(name).write_bytes(b"here")
    except OSError:
        pytest.skip("this file system has no such names")
    assert read_file(name, 10) == b"here"


@pytest.mark.parametrize(
    "value", [None, {"a": [1, -2.5, "µ\n\\u0000", True]}, 2**63 - 1, -(2**63), "", {}, "\N{PILE OF POO}"], ids=repr
)
def test_json_is_what_it_is(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8-sig")) == value


REFUSED = {
    "cut": (b'{"a": ', "it is not JSON: Expecting value: line 1 column 7 (char 6)"),
    "empty": (b"", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    "NaN": (b"[NaN]", "it is not JSON: NaN is no number of it"),
    "no UTF-8": (b'["\n\n\xff"]', "it is not UTF-8, in line 3"),
    "half a character, written out": (b'["\xed\xa0\x80"]', "it is not UTF-8, in line 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_json(case: str) -> None:
    data, problem = REFUSED[case]
    with pytest.raises(NotJsonError) as caught:
        parse_json(data)
    assert str(caught.value) == problem


UNFIT = {
    "half a character": (b'{"a": "\\ud800"}', "an escape in it stands for half a character"),
    "half a character in a key": (b'{"\\uDFFF": 1}', "an escape in it stands for half a character"),
    "NUL": (b'["a\\u0000"]', "an escape in it stands for the character NUL"),
    "NUL after a backslash": (b'["\\\\\\u0000"]', "an escape in it stands for the character NUL"),
    "a whole number": (b"[9223372036854775808]", "the number 922337203685… is too large"),
    "a number of many digits": (b"[" + b"9" * 10_000 + b"]", "the number 999999999999… is too large"),
    "a number with an exponent": (b"[1e999]", "the number 1e999 is too large"),
    "100 levels": (b"[" * 100 + b"]" * 100, "its values are nested more than 64 levels deep"),
    "100,000 levels": (b"[" * 100_000, "its values are nested more than 64 levels deep"),
    "100,000 objects": (b'{"a":' * 100_000, "its values are nested more than 64 levels deep"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_json_that_nobody_could_go_on_with(case: str) -> None:
    data, problem = UNFIT[case]
    with pytest.raises(ValueError, match=r"[a-z]+") as caught:
        parse_json(data)
    assert str(caught.value) == problem
    assert not isinstance(caught.value, NotJsonError)


def test_64_levels_are_taken() -> None:
    value: object = 1
    for _ in range(64):
        value = [value]
    assert parse_json(json.dumps(value).encode()) == value


def test_what_python_writes_is_taken_where_that_is_said() -> None:
    (nan, infinite) = parse_json(b"[NaN, -Infinity]", nan=True)
    assert nan != nan
    assert infinite == float("-inf")
