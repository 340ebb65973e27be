"""Which rows selectors select, held equal to what copick resolves on projects on disk."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copick.impl.filesystem import CopickRootFSSpec
from copick.util.uri import resolve_copick_objects
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croissant_recipes.language.matching import match, match_any, names
from croissant_recipes.language.selectors import SelectorError, parse
from croissant_recipes.tables import artifacts

RUNS = ("TS_1", "TS_2", "TS_10")
SIZES = (10.0, 13.48, 100.0)
OBJECTS = ("ribosome", "ribo", "a[1]", "Ribo.x", "re", "x@10")
OWNERS = (("alice", "1"), ("alice", "12"), ("bob", "1"), ("u-7", "a@b"), ("10", "x=y"))
# copick lists features by a glob of the tomogram's name, so that a name with brackets has those of another.
TOMOGRAMS = ("wbp", "wbp-raw", "re:wbp", "w!p")
FEATURES = ("sobel", "sobel2", "a:b")

Row = tuple[object, ...]


def some(rows: list[Row], step: int) -> list[Row]:
    """Not all of them, so that no column follows from another."""
    return [row for i, row in enumerate(rows) if i % step != 1]


OWNED: list[Row] = some([(r, *o, n) for r, o, n in itertools.product(RUNS, OWNERS, OBJECTS)], 3)
# An empty user id is a file name that copick lists.
OWNED += [("TS_1", "", "", "ribo"), ("TS_2", "", "1", "ribosome")]
SEGMENTED: list[Row] = some(
    [
        (r, v, *o, n, t)
        for r, v, o, n, t in itertools.product(
            RUNS[:2], SIZES, OWNERS[:3], OBJECTS[:3], ("binary", "multilabel", "instance", "panoptic")
        )
    ],
    4,
)
TOMOS: list[Row] = some(list(itertools.product(RUNS, SIZES, TOMOGRAMS)), 4)
FEATURED: list[Row] = some([(*t, f) for t, f in itertools.product(TOMOS, FEATURES)], 3)

COLUMNS = {
    "picks": ("run", "user_id", "session_id", "object_name"),
    "meshes": ("run", "user_id", "session_id", "object_name"),
    "segmentations": ("run", "voxel_size", "user_id", "session_id", "name", "segmentation_type"),
    "tomograms": ("run", "voxel_size", "tomo_type"),
    "features": ("run", "voxel_size", "tomo_type", "feature_type"),
}
ROWS = {"picks": OWNED, "meshes": OWNED[::2], "segmentations": SEGMENTED, "tomograms": TOMOS, "features": FEATURED}
DIRECTORIES = {"instance": "InstanceSegmentations", "panoptic": "PanopticSegmentations"}

COPICK: dict[str, tuple[str, Callable[..., Row]]] = {
    "picks": ("picks", lambda o: (o.run.name, o.user_id, o.session_id, o.pickable_object_name)),
    "meshes": ("mesh", lambda o: (o.run.name, o.user_id, o.session_id, o.pickable_object_name)),
    "segmentations": (
        "segmentation",
        lambda o: (o.run.name, o.voxel_size, o.user_id, o.session_id, o.name, o.segmentation_type),
    ),
    "tomograms": ("tomogram", lambda o: (o.voxel_spacing.run.name, o.voxel_spacing.voxel_size, o.tomo_type)),
    "features": (
        "feature",
        lambda o: (
            o.tomogram.voxel_spacing.run.name,
            o.tomogram.voxel_spacing.voxel_size,
            o.tomo_type,
            o.feature_type,
        ),
    ),
}


def table_of(kind: str, rows: list[Row]) -> pd.DataFrame:
    return artifacts(kind, dict(zip(COLUMNS[kind], map(list, zip(*rows, strict=True)), strict=True)))


TABLES = {kind: table_of(kind, rows) for kind, rows in ROWS.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> CopickRootFSSpec:
    """The rows above as files, opened by copick."""
    root = tmp_path_factory.mktemp("project")
    for kind, rows in ROWS.items():
        for row in rows:
            path = root / "ExperimentRuns" / str(row[0]) / place(kind, row)
            (path if path.suffix == ".zarr" else path.parent).mkdir(parents=True, exist_ok=True)
            if kind == "picks":
                fields = dict(zip(("user_id", "session_id", "pickable_object_name"), row[1:], strict=True))
                path.write_text(json.dumps({**fields, "points": []}))
            elif kind == "meshes":
                path.touch()
    config = {"name": "p", "pickable_objects": [], "overlay_root": f"local://{root}", "overlay_fs_args": {}}
    (root / "config.json").write_text(json.dumps(config))
    return CopickRootFSSpec.from_file(str(root / "config.json"))


def place(kind: str, row: Row) -> Path:
    if kind in ("picks", "meshes"):
        folder, ending = ("Picks", "json") if kind == "picks" else ("Meshes", "glb")
        return Path(folder, f"{row[1]}_{row[2]}_{row[3]}.{ending}")
    size = f"{row[1]:.3f}"
    if kind == "segmentations":
        *_, user, session, name, type_ = row
        mark = "-multilabel" if type_ == "multilabel" else ""
        return Path(DIRECTORIES.get(str(type_), "Segmentations"), f"{size}_{user}_{session}_{name}{mark}.zarr")
    stem = str(row[2]) if kind == "tomograms" else f"{row[2]}_{row[3]}_features"
    return Path(f"VoxelSpacing{size}", f"{stem}.zarr")


def selected(kind: str, text: str) -> list[Row]:
    mask = match(parse(kind, text), TABLES[kind])
    assert mask.dtype == np.bool_
    return sorted(row for row, chosen in zip(ROWS[kind], mask, strict=True) if chosen)


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


NAME = one_of(*OBJECTS, "*", "rib*", "[ra]*", "a[[]1]", "a[1", "", "nothing", "RIBO", ".*", "r", "ribo|re", "[!r]*")
USER = one_of("alice", "bob", "10", "*", "a*", "", "[!a]*", "al", "b|u", "u-7")
SESSION = one_of("1", "12", "a@b", "x=y", "*", "1*", "", "[0-9]", "1$", "[0-9]+")
SIZE = one_of("10.0", "10", "1e1", "10.000", " 10", "13.48", "1*", "1_0", "10.*", "100", "*", "", "ten", "nan", "[1]*")
TOMO = one_of(*TOMOGRAMS, "*", "wbp*", "w[b]p", "", "w", "nothing", ".*raw", "wbp$")
FEATURE = one_of(*FEATURES, "*", "sobel*", "", "so", "[as]*", "sobel$")
VALUE = one_of("true", "1", "YES", "false", "no", "", "maybe")
FLAG = st.just("other") | st.tuples(one_of("multilabel", "instance", "panoptic"), one_of("=", "=", "=", ""), VALUE).map(
    "".join
)
QUERY = st.lists(FLAG, max_size=3).map("&".join)


def maybe(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    whole = st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts)).map("".join)
    return st.just("") | whole | whole | whole


OWNER = maybe(":", USER, maybe("/", SESSION))
PREFIX = one_of("", "", "re:")
WHOLE = one_of("", "?x")
URIS = {
    "picks": st.tuples(PREFIX, NAME, OWNER, WHOLE),
    "meshes": st.tuples(PREFIX, NAME, OWNER, WHOLE),
    "segmentations": st.tuples(PREFIX, NAME, OWNER, maybe("@", SIZE), maybe("?", QUERY)),
    "tomograms": st.tuples(PREFIX, TOMO, maybe("@", SIZE), WHOLE),
    "features": st.tuples(PREFIX, TOMO, maybe("@", SIZE, maybe(":", FEATURE)), WHOLE),
}


def check_against_copick(kind: str, text: str, project: CopickRootFSSpec) -> None:
    copick_type, row = COPICK[kind]
    try:
        ours = selected(kind, text)
    except SelectorError as e:
        # copick notices an expression that does not compile only when it comes to use it.
        if "does not compile" not in e.message:
            with pytest.raises(ValueError, match=r"URI format|one type"):
                resolve_copick_objects(text, project, copick_type)
        return
    try:
        theirs = sorted(row(o) for o in resolve_copick_objects(text, project, copick_type))
    except re.error as e:
        pytest.fail(f"copick cannot compile {text!r}: {e}")
    assert ours == theirs


DIFFERENTIAL = settings(max_examples=250, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("kind", sorted(COPICK))
def test_the_project_holds_the_rows(kind: str, project: CopickRootFSSpec) -> None:
    copick_type, row = COPICK[kind]
    text = "*?instance=false" if kind == "segmentations" else "*"
    found = [row(o) for o in resolve_copick_objects(text, project, copick_type)]
    assert sorted(found) == sorted(r for r in ROWS[kind] if r[-1] != "instance")
    assert len(found) > 20


@DIFFERENTIAL
@given(URIS["picks"].map("".join))
@example(":/")
@example("re::/")
@example("ribo:/")
@example("a[1]:alice/1")
@example("a[[]1]:alice/1")
def test_picks_as_copick(project: CopickRootFSSpec, text: str) -> None:
    check_against_copick("picks", text, project)


@DIFFERENTIAL
@given(URIS["meshes"].map("".join))
@example("ribo:/")
def test_meshes_as_copick(project: CopickRootFSSpec, text: str) -> None:
    check_against_copick("meshes", text, project)


@settings(DIFFERENTIAL, max_examples=400)
@given(URIS["segmentations"].map("".join))
@example("ribo:alice/1@ten")
@example("ribo:alice/1*@ten")
@example("ribo:alice/1@nan")
@example("ribo:alice/1@")
@example("re::/@")
def test_segmentations_as_copick(project: CopickRootFSSpec, text: str) -> None:
    check_against_copick("segmentations", text, project)


@DIFFERENTIAL
@given(URIS["tomograms"].map("".join))
@example("re:re:wbp")
@example("w[b]p@10")
def test_tomograms_as_copick(project: CopickRootFSSpec, text: str) -> None:
    check_against_copick("tomograms", text, project)


@DIFFERENTIAL
@given(URIS["features"].map("".join))
@example("wbp@10:a:b")
def test_features_as_copick(project: CopickRootFSSpec, text: str) -> None:
    check_against_copick("features", text, project)


def test_every_combination_of_flags_as_copick(project: CopickRootFSSpec) -> None:
    for values in itertools.product(("", "=true", "=false"), repeat=3):
        flags = zip(("multilabel", "instance", "panoptic"), values, strict=True)
        query = "&".join(name + value for name, value in flags if value)
        check_against_copick("segmentations", f"ribosome:alice/1?{query}", project)
        check_against_copick("segmentations", f"ribosome:alice/1@10?{query}", project)


RUN_TABLE = artifacts("runs", {"name": ["TS_1", "TS_2", "TS_10", "ts_1", "a:b@c/d?e"]})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TS_1", ["TS_1"]),
        ("TS_?", ["TS_1", "TS_2"]),
        ("TS_*", ["TS_1", "TS_2", "TS_10"]),
        ("[!T]*", ["ts_1", "a:b@c/d?e"]),
        ("re:TS_1", ["TS_1", "TS_10"]),
        ("re:(?:TS|ts)_1$", ["TS_1", "ts_1"]),
        ("re:S", []),
        ("*", ["TS_1", "TS_2", "TS_10", "ts_1", "a:b@c/d?e"]),
        ("a:b@c/d?e", ["a:b@c/d?e"]),
    ],
)
def test_runs_by_name_and_pattern(text: str, found: list[str]) -> None:
    assert RUN_TABLE["name"][match(parse("runs", text), RUN_TABLE)].tolist() == found


def test_a_union_of_selectors() -> None:
    selectors = [parse("runs", text) for text in ("TS_2", "re:TS_1", "TS_2*")]
    assert match_any(selectors, RUN_TABLE).tolist() == [True, True, True, False, False]
    assert not match_any([], RUN_TABLE).any()


def test_the_index_of_the_table_does_not_matter() -> None:
    some_rows = RUN_TABLE.iloc[[4, 2, 0]]
    assert match(parse("runs", "TS_1"), some_rows).tolist() == [False, False, True]


@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_empty_tables(kind: str) -> None:
    text = "a:b/c@10" if kind == "segmentations" else "a@10" if kind in ("tomograms", "features") else "a:b/c"
    for selector in (parse(kind, text), parse(kind, "*"), parse(kind, "re:a.*")):
        assert match(selector, artifacts(kind)).shape == (0,)
    assert names(kind, artifacts(kind)) == []


def test_a_table_of_another_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        match(parse("picks", "ribosome"), TABLES["tomograms"])


def test_unknown_voxel_sizes_match_no_number() -> None:
    table = artifacts("tomograms", {"tomo_type": ["wbp", "wbp"], "voxel_size": [10.0, float("nan")]})
    assert match(parse("tomograms", "wbp@10"), table).tolist() == [True, False]
    assert match(parse("tomograms", "wbp@nan"), table).tolist() == [False, False]
    assert match(parse("tomograms", "wbp"), table).tolist() == [True, True]


def test_canonical_names() -> None:
    assert names("picks", TABLES["picks"])[-3:] == ["x@10:alice/12", "x@10:bob/1", "x@10:u-7/a@b"]
    assert names("tomograms", TABLES["tomograms"].iloc[:3]) == ["re:wbp@10.0", "w!p@10.0", "wbp@10.0"]
    features = table_of("features", [("r", 10.0, "wbp", "sobel"), ("s", 10.0, "wbp", "sobel"), ("s", 13.48, "a", "b")])
    assert names("features", features) == ["a@13.48:b", "wbp@10.0:sobel"]
    types = ("binary", "multilabel", "instance", "panoptic")
    segmentations = table_of("segmentations", [("r", 7.84, "u", "s", "m", t) for t in types])
    assert names("segmentations", segmentations) == [
        "m:u/s@7.84",
        "m:u/s@7.84?instance=true",
        "m:u/s@7.84?multilabel=true",
        "m:u/s@7.84?panoptic=true",
    ]
    assert names("runs", RUN_TABLE) == sorted(RUN_TABLE["name"])


def test_a_canonical_name_selects_what_it_names() -> None:
    table = TABLES["segmentations"]
    plain = table[table["name"].isin(["ribosome", "ribo"])]
    for text in names("segmentations", plain):
        found = table[match(parse("segmentations", text), table)]
        # Binary segmentations have no type to write, and an untyped selector takes multilabel ones too.
        types = {"binary", "multilabel"} if "?" not in text else {text.partition("?")[2].removesuffix("=true")}
        assert len(found)
        assert set(found["segmentation_type"]) <= types
        assert {n.partition("?")[0] for n in names("segmentations", found)} == {text.partition("?")[0]}
