"""What selectors parse to, what is refused, and that both agree with copick's own reading of its URIs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from copick.util import uri as copick_uri
from hypothesis import example, given, settings
from hypothesis import strategies as st

import croissant_recipes
from croissant_recipes.language.selectors import FORMS, Pattern, Selector, SelectorError, as_number, parse
from croissant_recipes.schema import SEGMENTATION_TYPES

PACKAGE = Path(croissant_recipes.__file__).parent
COPICK_TYPES = {
    "picks": "picks",
    "meshes": "mesh",
    "segmentations": "segmentation",
    "tomograms": "tomogram",
    "features": "feature",
}
UNTYPED = frozenset({"binary", "multilabel"})

ACCEPTED = [
    ("picks", "ribosome", {"object_name": "ribosome"}),
    ("picks", "ribosome:alice", {"object_name": "ribosome", "user_id": "alice"}),
    ("picks", "ribosome:alice/1", {"object_name": "ribosome", "user_id": "alice", "session_id": "1"}),
    ("picks", "ribosome:*/*", {"object_name": "ribosome"}),
    ("picks", "*", {}),
    ("picks", "*:alice/[12]", {"user_id": "alice", "session_id": "[12]"}),
    ("picks", "a/b", {"object_name": "a/b"}),
    ("picks", "a@10:u/s/t@20", {"object_name": "a@10", "user_id": "u", "session_id": "s/t@20"}),
    ("picks", " \tribosome : alice\n", {"object_name": "ribosome ", "user_id": " alice"}),
    ("picks", ":alice", {"user_id": "alice"}),
    ("picks", "a:/1*", {"object_name": "a", "session_id": "1*"}),
    ("meshes", "membrane:bob/7", {"object_name": "membrane", "user_id": "bob", "session_id": "7"}),
    ("segmentations", "m:u/s@10.0", {"name": "m", "user_id": "u", "session_id": "s", "voxel_size": "10.0"}),
    ("segmentations", "m@10:u/s@", {"name": "m", "voxel_size": "10:u/s@"}),
    ("segmentations", "a/b@1*", {"name": "a/b", "voxel_size": "1*"}),
    ("segmentations", "m:u/s@", {"name": "m", "user_id": "u", "session_id": "s"}),
    ("tomograms", "wbp", {"tomo_type": "wbp"}),
    ("tomograms", "wbp@13.48", {"tomo_type": "wbp", "voxel_size": "13.48"}),
    ("tomograms", "a:b/c@", {"tomo_type": "a:b/c"}),
    ("tomograms", "@10@20", {"voxel_size": "10@20"}),
    ("features", "wbp@10.0:sobel", {"tomo_type": "wbp", "voxel_size": "10.0", "feature_type": "sobel"}),
    ("features", "wbp:sobel", {"tomo_type": "wbp:sobel"}),
    ("features", "wbp@:a:b@c", {"tomo_type": "wbp", "feature_type": "a:b@c"}),
    ("runs", "TS_001", {"name": "TS_001"}),
    ("runs", " a:b@c/d?e ", {"name": " a:b@c/d?e "}),
    ("runs", "*", {}),
    ("objects", "[!a]*", {"name": "[!a]*"}),
]

ACCEPTED_REGEXES = [
    ("picks", "re:rib.*:al(i|y)ce/[0-9]+", {"object_name": "rib.*", "user_id": "al(i|y)ce", "session_id": "[0-9]+"}),
    ("picks", "re:re:x", {"object_name": "re", "user_id": "x"}),
    ("picks", "re:*:x", {"user_id": "x"}),
    ("picks", "re: x", {"object_name": " x"}),
    ("segmentations", "re:m@1[03]", {"name": "m", "voxel_size": "1[03]"}),
    ("features", "re:.*@.*:s", {"tomo_type": ".*", "voxel_size": ".*", "feature_type": "s"}),
    ("runs", "re:TS_[0-9]+(?:a|b)", {"name": "TS_[0-9]+(?:a|b)"}),
]


def texts(selector: Selector) -> dict[str, str]:
    return {column: pattern.text for column, pattern in selector.parts}


@pytest.mark.parametrize(("kind", "text", "parts"), ACCEPTED)
def test_globs(kind: str, text: str, parts: dict[str, str]) -> None:
    selector = parse(kind, text)
    assert (selector.kind, selector.text) == (kind, text)
    assert texts(selector) == parts
    assert not any(p.regex for _, p in selector.parts)
    assert selector.types == (UNTYPED if kind == "segmentations" else None)


@pytest.mark.parametrize(("kind", "text", "parts"), ACCEPTED_REGEXES)
def test_regular_expressions(kind: str, text: str, parts: dict[str, str]) -> None:
    selector = parse(kind, text)
    assert texts(selector) == parts
    assert all(p.regex for _, p in selector.parts)


def test_every_part_knows_its_place() -> None:
    selector = parse("segmentations", "  re:mem.*:/s+@10?multilabel=true ")
    assert selector.parts == (
        ("name", Pattern("mem.*", True, 5, 10)),
        ("session_id", Pattern("s+", True, 12, 14)),
        ("voxel_size", Pattern("10", True, 15, 17)),
    )
    assert parse("runs", "re:x").parts == (("name", Pattern("x", True, 3, 4)),)
    assert parse("runs", " 5").parts == (("name", Pattern(" 5", False, 0, 2)),)


@pytest.mark.parametrize(
    ("text", "is_any", "is_exact"),
    [("*", True, False), ("a", False, True), ("a*", False, False), ("a?", False, False), ("[a", False, False)],
)
def test_what_a_pattern_is(text: str, is_any: bool, is_exact: bool) -> None:
    glob, regex = (Pattern(text, r, 0, len(text)) for r in (False, True))
    assert (glob.is_any, glob.is_exact) == (is_any, is_exact)
    assert (regex.is_any, regex.is_exact) == (is_any, False)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (":/", ["object_name", "user_id", "session_id"]),
        ("re::/", ["object_name", "user_id", "session_id"]),
        ("a:/", ["object_name", "user_id", "session_id"]),
        (":", []),
        ("a*:/", ["object_name"]),
        ("re:a:/", ["object_name"]),
    ],
)
def test_an_empty_part_is_the_empty_name_only_where_all_parts_are_exact(text: str, columns: list[str]) -> None:
    selector = parse("picks", text)
    assert [column for column, _ in selector.parts] == columns
    assert all(p.is_exact for _, p in selector.parts if not p.text)
    empty = [column for column, p in selector.parts if not p.text]
    assert [(w.message, w.hint) for w in selector.warnings] == [
        (f"with every part given and none a pattern, the empty {c} selects only an empty {c}", "write '*' for any")
        for c in empty
    ]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("multilabel=true", {"multilabel"}),
        ("multilabel=false", {"binary"}),
        ("instance=true", {"instance"}),
        ("panoptic=true", {"panoptic"}),
        ("instance=false", {"binary", "multilabel", "panoptic"}),
        ("panoptic=false", {"binary", "multilabel", "instance"}),
        ("instance=false&panoptic=false", UNTYPED),
        ("multilabel=false&instance=false", {"binary", "panoptic"}),
        ("multilabel=true&instance=false", {"multilabel"}),
        ("multilabel=1&panoptic=no", {"multilabel"}),
        ("instance=YES", {"instance"}),
        ("%69nstance=%74rue", {"instance"}),
        ("multilabel=true&multilabel=true", {"binary"}),
        ("multilabel=true&multilabel=true&instance=true", {"instance"}),
        ("multilabel=", UNTYPED),
        ("multilabel", UNTYPED),
        ("type", UNTYPED),
        ("", UNTYPED),
        ("&&instance=true&", {"instance"}),
    ],
)
def test_types_of_segmentations(query: str, types: set[str]) -> None:
    assert parse("segmentations", f"m?{query}").types == types


REFUSED = [
    (
        "picks",
        "a:b:c",
        "a selector of picks has one ':', and this is a second",
        "the form is object[:user[/session]]; did you mean 'a:b/c'?",
        ":",
        3,
    ),
    (
        "meshes",
        " re:a:b/c:d",
        "a selector of meshes has one ':', and this is a second",
        "the form is object[:user[/session]]",
        ":",
        9,
    ),
    (
        "segmentations",
        "m:u:s@10",
        "a selector of segmentations has one ':', and this is a second",
        "the form is name[:user[/session]][@voxel_size][?multilabel=true|instance=true|panoptic=true]; "
        "did you mean 'm:u/s@10'?",
        ":",
        3,
    ),
    (
        "segmentations",
        "m:u?multilabel=true&x=1&instance=1",
        "a segmentation cannot be both multilabel and instance",
        "list two selectors: 'm:u?multilabel=true' and 'm:u?instance=true'",
        "instance=1",
        24,
    ),
    (
        "picks",
        "re:ok:(a",
        "regular expression '(a' does not compile: missing ), unterminated subpattern",
        "':', '/', '@' and '?' separate the parts in a regular expression too; '{0,1}' can replace '?'",
        "(a",
        6,
    ),
    (
        "tomograms",
        "re:(?:wbp|sart)",
        "regular expression '(' does not compile: missing ), unterminated subpattern",
        "':', '/', '@' and '?' separate the parts in a regular expression too; '{0,1}' can replace '?'",
        "(",
        3,
    ),
    (
        "objects",
        "re:*some",
        "regular expression '*some' does not compile: nothing to repeat",
        "in a regular expression '*' repeats what stands before it; any text is '.*'",
        "*some",
        3,
    ),
    (
        "runs",
        "re:TS[",
        "regular expression 'TS[' does not compile: unterminated character set",
        "without the leading 're:' it is a glob",
        "[",
        5,
    ),
    ("runs", "re:a\\", "regular expression 'a\\\\' does not compile: bad escape (end of pattern)", None, "\\", 4),
    ("runs", "re:a{99999999999}", "regular expression 'a{99999999999}' does not compile: too large", None, None, 3),
    ("runs", "  ", "a name or pattern of runs is missing", "'*' stands for all of them", "  ", 0),
    ("objects", "re:", "a name or pattern of objects is missing", "'*' stands for all of them", "re:", 0),
]


@pytest.mark.parametrize(("kind", "text", "message", "hint", "marked", "start"), REFUSED)
def test_refused(kind: str, text: str, message: str, hint: str | None, marked: str | None, start: int) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(kind, text)
    error = caught.value
    assert (error.message, str(error)) == (message, message)
    assert error.hint == (hint or "without the leading 're:' it is a glob")
    assert (error.start, text[error.start : error.end]) == (start, text[start:] if marked is None else marked)


REMARKS = [
    ("picks", "", "an empty selector selects all picks", "write '*' or all", ""),
    ("tomograms", "re:", "an empty selector selects all tomograms", "write '*' or all", "re:"),
    (
        "picks",
        "rib?some:x",
        "'?' starts a query and is no wildcard; 'some:x' after it is ignored",
        "use '*' as the wildcard",
        "some:x",
    ),
    (
        "picks",
        "re:ribo?some",
        "'?' starts a query and is no wildcard; 'some' after it is ignored",
        "write '{0,1}' in place of a '?' that repeats",
        "some",
    ),
    (
        "tomograms",
        "wbp?",
        "'?' starts a query and is no wildcard; the query is empty",
        "use '*' as the wildcard",
        "?",
    ),
    (
        "segmentations",
        "m?instance",
        "'instance' has no value and is ignored",
        "write 'instance=true'",
        "instance",
    ),
    (
        "segmentations",
        "m?instance=on",
        "'on' reads as false",
        "write 'true' or 'false'",
        "instance=on",
    ),
    (
        "segmentations",
        "m?instance=1&instance=true",
        "'instance' is given twice, which copick reads as false",
        "give it once",
        "instance=true",
    ),
    (
        "segmentations",
        "m:u/s@ten",
        "voxel size 'ten' is neither a number nor a pattern, so every voxel size is selected",
        "write a number in Å such as 10.0, or a pattern such as 10.*",
        "ten",
    ),
    (
        "segmentations",
        "m:u@10A",
        "voxel size '10A' is neither a number nor a pattern, so nothing is selected",
        "voxel sizes are in Å and take no unit: 10",
        "10A",
    ),
    (
        "tomograms",
        "wbp@10.0:sobel",
        "voxel size '10.0:sobel' is neither a number nor a pattern, so nothing is selected",
        "the form is tomo_type[@voxel_size]",
        "10.0:sobel",
    ),
]


@pytest.mark.parametrize(("kind", "text", "message", "hint", "marked"), REMARKS)
def test_accepted_with_a_remark(kind: str, text: str, message: str, hint: str, marked: str) -> None:
    (remark,) = parse(kind, text).warnings
    assert remark == (message, hint, remark.start, remark.end)
    assert text[remark.start : remark.end] == marked


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("segmentations", "m:u/s@10?multilabel=false"),
        ("segmentations", "m@1e1"),
        ("tomograms", "re:wbp@ten"),
        ("features", "wbp@*:sobel"),
        ("runs", "TS_?"),
    ],
)
def test_nothing_to_remark(kind: str, text: str) -> None:
    assert parse(kind, text).warnings == ()


def test_ignored_keys_are_listed_once_in_order() -> None:
    assert parse("segmentations", "m?b&a&multilabel=true&b&panoptic=").ignored == ("b", "a", "panoptic")
    assert parse("picks", "a?multilabel").ignored == ("multilabel",)


@pytest.mark.parametrize(
    ("kind", "text", "message", "hint", "marked"),
    [
        ("picks", "a?b=c", "picks take no query ('b=c')", "the form is object[:user[/session]]", "b=c"),
        (
            "segmentations",
            "m?multilabel=1&multilable=true",
            "query key 'multilable' is unknown",
            "did you mean 'multilabel'?",
            "multilable=true",
        ),
    ],
)
def test_a_query_key_that_selectors_of_the_kind_do_not_have(
    kind: str, text: str, message: str, hint: str, marked: str
) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(kind, text)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert text[caught.value.start : caught.value.end] == marked


def test_remarks_come_in_the_order_of_the_text() -> None:
    places = [(w.start, w.end) for w in parse("segmentations", "m@ten?x&instance=on").warnings]
    assert places == [(2, 5), (6, 7), (8, 19)]


ALPHABET = st.sampled_from([*":@/?*[]!=&.+%-", "re:", "a", "b7", "10", "10.0", "\n", " ", "é"])
FLAG = st.sampled_from(["multilabel", "instance", "panoptic", "other", ""])
PAIR = st.tuples(FLAG, st.sampled_from(["=", "", "=="]), st.sampled_from(["true", "1", "Yes", "false", "", "x"]))
QUERY = st.lists(PAIR.map("".join), max_size=4).map("&".join)
URI = st.lists(ALPHABET, max_size=14).map("".join) | st.tuples(
    st.lists(ALPHABET, max_size=9).map("".join), st.just("?"), QUERY
).map("".join)


def compiles(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError):
        return False
    return True


def copick_parts(kind: str, text: str) -> dict[str, str] | None:
    """Copick's reading, in the columns of an artifact table; ``None`` where it refuses."""
    try:
        read = copick_uri.parse_copick_uri(text, COPICK_TYPES[kind])
    except ValueError:
        return None
    del read["object_type"]
    if "voxel_spacing" in read:
        read["voxel_size"] = read.pop("voxel_spacing")
    return read


def parsed(kind: str, text: str) -> Selector | None:
    try:
        return parse(kind, text)
    except SelectorError:
        return None


def check_against_copick(kind: str, text: str) -> None:
    read = copick_parts(kind, text)
    mode = read.pop("pattern_type") if read else "glob"
    parts = {k: v for k, v in (read or {}).items() if k not in SEGMENTATION_TYPES}
    if read is None or (mode == "regex" and not all(v == "*" or compiles(v) for v in parts.values())):
        with pytest.raises(SelectorError) as caught:
            parse(kind, text)
        assert 0 <= caught.value.start <= caught.value.end <= len(text)
        return
    known = set(SEGMENTATION_TYPES) - {"binary"} if kind == "segmentations" else set()
    pairs = [p for p in text.strip().partition("?")[2].split("&") if "=" in p]
    if {unquote_plus(p.partition("=")[0]) for p in pairs} - known:
        # copick passes over them.
        assert parsed(kind, text) is None
        return
    selector = parse(kind, text)
    compared = kind in ("picks", "meshes", "segmentations")
    compared &= not any(v and copick_uri._is_pattern(v, mode) for v in parts.values())
    for column, value in parts.items():
        if column == "voxel_size":
            restricts = bool(value) and not (compared and as_number(value) is None)
        else:
            restricts = bool(value) or compared
        pattern = dict(selector.parts).get(column)
        assert (pattern is not None) == (restricts and value != "*")
        if pattern is not None:
            assert pattern.text == value == text[pattern.start : pattern.end]
            assert pattern.regex == (mode == "regex" and value != "")
    assert all(0 <= w.start <= w.end <= len(text) for w in selector.warnings)
    if kind == "segmentations":
        flags = {f: read[f] for f in ("multilabel", "instance", "panoptic")}
        untyped = flags["instance"] is None and flags["panoptic"] is None
        flags |= {"instance": False, "panoptic": False} if untyped else {}
        assert selector.types == {
            t for t in SEGMENTATION_TYPES if all(v is None or v == (t == f) for f, v in flags.items())
        }


@settings(max_examples=600, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(FORMS)), URI)
@example("picks", "re:")
@example("segmentations", "re:re:@re:?re:")
@example("features", "\x1c@\x85")
def test_reads_what_copick_reads(kind: str, text: str) -> None:
    check_against_copick(kind, text)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(sorted(FORMS)), st.text(max_size=20))
def test_reads_any_text_as_copick_does(kind: str, text: str) -> None:
    check_against_copick(kind, text)


def run_python(code: str, *path: Path) -> str:
    lines = ["import sys", f"sys.path[:0] = {[str(p) for p in path]!r}", code]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_grammar_is_read_on_the_first_uri_only() -> None:
    code = """
from croissant_recipes.language.selectors import parse
parse("runs", "re:a.*")
print(sorted({"lark", "pandas", "numpy", "copick"} & set(sys.modules)))
parse("picks", "a")
import lark
lark.Lark = None
print(parse("features", "a@10:b").parts[1][0], sorted({"pandas", "numpy", "copick"} & set(sys.modules)))
"""
    assert run_python(code, PACKAGE.parent).splitlines() == ["[]", "voxel_size []"]


def test_the_grammar_is_found_inside_an_installed_package(tmp_path: Path) -> None:
    installed = tmp_path / "croissant_recipes"
    installed.mkdir()
    for module in PACKAGE.rglob("*.py"):
        (installed / module.relative_to(PACKAGE)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, installed / module.relative_to(PACKAGE))
    shipped = PACKAGE / "grammars"
    shutil.copytree(shipped if shipped.is_dir() else PACKAGE.parent / "grammars", installed / "grammars")
    code = "from croissant_recipes.language import selectors as s\n"
    code += "print(s.__file__, s.parse('picks', 'a:b').parts[1][1].text)"
    assert run_python(code, tmp_path) == f"{installed / 'language' / 'selectors.py'} b"
