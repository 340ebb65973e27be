"""What a build leaves beside the Croissant: what made it, and where every row is from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from compiling import artifacts, inventory, plan, recipe

from croissant_recipes import load_recipe, tables
from croissant_recipes.compiler.lineage import described, of_rows
from croissant_recipes.croissant import build_record, row_record, serialize
from croissant_recipes.croissant.build_record import RECORD_FILE, Origin
from croissant_recipes.croissant.row_record import ROWS_FILE
from croissant_recipes.language import normal_form
from croissant_recipes.schema import RECORD_SETS

LAYERS = """\
layers:
  - export: lab
    tomograms: [nothing, "wbp*"]
    picks: {exclude: virus}
    rename: {tomo_types: {wbp: raw}}
    allow_empty: true
  - append: other
    picks: ribosome
    rename: {objects: {ribosome: ribo}}
    others: exclude
"""


@pytest.fixture
def found(tmp_path: Path) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The record tables of a recipe, and the lineage of their rows."""
    lab = inventory(
        tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp"), ("TS_1", 10.0, "wbp-denoised")),
        picks=artifacts("picks", ("TS_1", "a", "1", "virus"), ("TS_1", "a", "1", "vlp")),
    )
    other = inventory(picks=artifacts("picks", ("TS_2", "b", "1", "ribosome")))
    planned = plan(recipe(tmp_path, LAYERS), lab, other)
    return dict(planned.content.tables), of_rows(planned.rows, planned.resolution.layers)


def test_every_row_says_where_it_is_from(found: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]) -> None:
    records, lineage = found
    written = row_record.parse(row_record.to_bytes(records, lineage))
    assert written is not None
    tomograms = written.keys("tomograms").join(written.lineage("tomograms"))
    columns = ["tomo_type", "layer", "selector", "source_tomo_type"]
    assert tomograms[columns].to_dict("records") == [
        {"tomo_type": "raw", "layer": 1, "selector": 1, "source_tomo_type": "wbp"},
        {"tomo_type": "wbp-denoised", "layer": 1, "selector": 1, "source_tomo_type": ""},
    ]
    picks = written.keys("picks").join(written.lineage("picks"))
    kept = picks[["object_name", "layer", "source_object_name"]]
    assert kept.to_dict("records") == [
        {"object_name": "vlp", "layer": 1, "source_object_name": ""},
        {"object_name": "ribo", "layer": 2, "source_object_name": "ribosome"},
    ]
    assert pd.isna(picks["selector"][0])
    assert picks["selector"][1] == 0
    assert written.lineage("voxel_spacings")["layer"].isna().all()


def test_keys_and_digests_come_back_as_they_were(
    found: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]],
) -> None:
    records, lineage = found
    written = row_record.parse(row_record.to_bytes(records, lineage))
    assert written is not None
    for name, schema in RECORD_SETS.items():
        pd.testing.assert_frame_equal(written.keys(name), records[name][list(schema.key)])
        assert written.digests(name).equals(serialize.row_digests(name, records[name]))


def test_the_same_rows_give_the_same_bytes(found: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]) -> None:
    records, lineage = found
    again = {name: table.copy() for name, table in records.items()}
    assert row_record.to_bytes(records, lineage) == row_record.to_bytes(again, dict(reversed(lineage.items())))


def test_an_unknown_voxel_size_comes_back(tmp_path: Path) -> None:
    records = {name: tables.records(name) for name in RECORD_SETS}
    records["tomograms"] = tables.records(
        "tomograms", {"run": ["a"], "voxel_size": [float("nan")], "tomo_type": ["wbp"], "url": ["x"]}
    )
    written = row_record.parse(row_record.to_bytes(records, {}))
    assert written is not None
    assert len(tables.match(written.keys("tomograms"), records["tomograms"], RECORD_SETS["tomograms"].key).old) == 1


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no Parquet at all", b"\0" * 100])
def test_what_is_no_record_of_rows_is_none(data: bytes) -> None:
    assert row_record.parse(data) is None


def test_another_parquet_is_no_record_of_rows(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    assert row_record.parse((tmp_path / "x.parquet").read_bytes()) is None


def test_the_record_says_what_made_the_croissant(tmp_path: Path) -> None:
    checked = recipe(tmp_path, LAYERS)
    origin = Origin(
        "small", normal_form.digest(checked), "1.2.3", None, {"lab": "ab"}, [described(s) for s in checked.layers]
    )
    records = {name: tables.records(name) for name in RECORD_SETS}
    files = build_record.files_of(origin, records, {}, {"metadata.json": b'{"name": "Small", "copick:config": {}}'})
    record = build_record.parse(files)
    assert record is not None
    assert record.origin == origin
    document = json.loads(files[RECORD_FILE])
    assert document["layers"][1] == {
        "layer": 2,
        "operation": "append",
        "source": "other",
        "takes": {"runs": "all", "picks": {"select": ["ribosome"]}},
        "rename": {"objects": {"ribosome": "ribo"}},
    }
    assert set(files) == {RECORD_FILE, ROWS_FILE}


def test_the_record_is_a_small_part_of_the_csvs() -> None:
    runs = [f"TS_{i:05}" for i in range(2_000)]
    made = [("curator", "round-1", name) for name in ("ribosome", "proteasome", "apo-ferritin", "vlp", "thyroglobulin")]
    rows = [(run, *who) for run in runs for who in sorted(made)]
    columns = dict(
        zip(("run", "user_id", "session_id", "object_name"), map(list, zip(*rows, strict=True)), strict=True)
    )
    urls = [f"ExperimentRuns/{run}/Picks/{user}_{session}_{name}.json" for run, user, session, name in rows]
    records = {name: tables.records(name) for name in RECORD_SETS}
    records["runs"] = tables.records("runs", {"name": runs})
    records["picks"] = tables.records("picks", {**columns, "voxel_size": [10.0] * len(rows), "url": urls})
    lineage = {"picks": pd.DataFrame({"layer": [1] * len(rows), "selector": [0] * len(rows)})}
    files = {f"{name}.csv": serialize.csv_bytes(name, table) for name, table in records.items()}
    csvs = sum(map(len, files.values()))
    origin = Origin("small", "ab", "1.2.3", None, {}, [])
    kept = build_record.files_of(origin, records, lineage, {**files, "metadata.json": b"{}"})
    assert sum(map(len, kept.values())) < 0.1 * csvs


def test_only_what_a_recipe_says_is_in_its_digest(tmp_path: Path) -> None:
    def digest(text: str, **params: str) -> str:
        (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
        return normal_form.digest(load_recipe(tmp_path / "r.yaml", params))

    path = tmp_path / "recipe.yaml"
    recipe(tmp_path, LAYERS)
    text = path.read_text(encoding="utf-8")
    same = digest(text)
    assert digest("# a comment\n" + text.replace("layers:\n", "\nlayers:  # below\n")) == same
    assert digest(text.replace("picks: ribosome", "picks:\n      ribosome")) == same
    assert digest(text.replace("allow_empty: true", "allow_empty: true\n    others: include")) == same
    assert digest(text.replace("{project_root: out,", "{project_root: out, fs_args: {key: hidden},")) == same
    assert digest(text.replace("exclude: virus", "exclude: vlp")) != same
    with_parameter = text.replace("picks: ribosome", "picks: ${what}").replace(
        "layers:", "params: {what: ribosome}\nlayers:"
    )
    assert digest(with_parameter) == same
    assert digest(with_parameter, what="vlp") != same
    split = text + "splits: {file: s.csv}\n"
    (tmp_path / "s.csv").write_text("split,run\ntrain,TS_1\n")
    one = digest(split)
    (tmp_path / "s.csv").write_text("split,run\nval,TS_1\n")
    assert digest(split) != one
