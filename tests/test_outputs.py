"""Several results of one plan: what one of them hides cannot be found in it, and the names that it gives stay."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import copick
import mlcroissant as mlc
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from compiling import with_code
from croissants import DATASET, write_croissant
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from croissant_recipes import Options, Planned, build, check, from_croissant, load_recipe, plan, stores, tables
from croissant_recipes.api import adopt
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.compiler import planner
from croissant_recipes.compiler.planner import Plan, Target
from croissant_recipes.croissant import manifest, masked_names
from croissant_recipes.croissant.masked_names import NAMES_FILE, NO_NAMES, MaskedName, MaskedNames
from croissant_recipes.croissant.serialize import read_csv
from croissant_recipes.language import normal_form, run_masks
from croissant_recipes.language.check_outputs import WITHHELD_TYPES
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.schema import ARTIFACTS, RECORD_SETS
from croissant_recipes.sources.base import Inventory

TEST = ("SECRET_b", "SECRET_a", "SECRET_c")
HIDES = {"withhold": {"test": ["picks", "segmentations"]}, "mask_runs": {"test": "run-{n:03}"}}
SPLITS = {"TS_1": "train", "TS_2": "val", **dict.fromkeys(TEST, "test")}
GIVING_AWAY = ("SECRET", "90210002", "90210003", "answer", "4.25", "ANSWER", "ab" * 32)
"""What tells of a hidden run or row: names, ids, users, a voxel size, an address, a checksum."""


def rows(splits: Mapping[str, str], *, ids: bool = True) -> dict[str, dict[str, list[Any]]]:
    """Record tables in which no address tells the run that it is of."""
    runs = list(splits)
    answers = [run for run in runs if splits[run] == "test"]
    portal = {run: str(90210000 + i) if ids else "" for i, run in enumerate(runs)}
    found: dict[str, dict[str, list[Any]]] = {
        "runs": {"name": runs, "portal_run_id": list(portal.values()), "split": list(splits.values())},
        "voxel_spacings": {"run": [*runs, *answers], "voxel_size": [10.0] * len(runs) + [4.25] * len(answers)},
        "tomograms": {
            "run": runs,
            "voxel_size": [10.0] * len(runs),
            "tomo_type": ["wbp"] * len(runs),
            "url": [f"https://cdn.example.org/{i}/wbp.zarr" for i, _ in enumerate(runs)],
            "portal_tomogram_id": [f"{p}0" if p else "" for p in portal.values()],
        },
        "picks": {
            "run": runs,
            "user_id": ["answer" if run in answers else "ada" for run in runs],
            "session_id": ["1"] * len(runs),
            "object_name": ["ribosome"] * len(runs),
            "url": [f"https://cdn.example.org/{'ANSWER' if run in answers else 'p'}{i}" for i, run in enumerate(runs)],
            "sha256": ["ab" * 32] * len(runs),
        },
        "meshes": {
            "run": runs,
            "user_id": ["ada"] * len(runs),
            "session_id": ["1"] * len(runs),
            "object_name": ["membrane"] * len(runs),
            "url": [f"https://cdn.example.org/m{i}.glb" for i, _ in enumerate(runs)],
            "sha256": ["ab" * 32 if run in answers else "cd" * 32 for run in runs],
        },
        "segmentations": {
            "run": answers,
            "voxel_size": [4.25] * len(answers),
            "user_id": ["answer"] * len(answers),
            "session_id": ["1"] * len(answers),
            "name": ["membrane"] * len(answers),
            "is_multilabel": [False] * len(answers),
            "url": [f"https://cdn.example.org/ANSWER{i}.zarr" for i, _ in enumerate(answers)],
        },
    }
    train = [i for i, run in enumerate(runs) if run not in answers]
    found["picks"]["sha256"] = ["cd" * 32 if i in train else "ab" * 32 for i, _ in enumerate(runs)]
    return found


def written(folder: Path, hides: Mapping[str, Any], name: str = "recipe", **more: Any) -> Path:
    """A recipe with two results over a Croissant in ``lab``."""
    outputs = {"public": {"project_root": "public", **hides}, "private": {"project_root": "private"}}
    document: dict[str, Any] = {"recipe": 1, "name": "challenge", "dataset": dict(DATASET), "outputs": outputs}
    document["sources"] = {"lab": {"croissant": {"url": "lab/Croissant/metadata.json"}}}
    document["layers"] = [{"export": "lab"}]
    document = {k: v for k, v in {**document, **more}.items() if v is not None}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")
    return path


def finished(
    checked: CheckedRecipe, splits: Mapping[str, str], known: MaskedNames = NO_NAMES
) -> tuple[Plan, Mapping[str, pd.DataFrame]]:
    """The plan of the public result of a recipe, and the rows of the private one; no file is read."""
    held = rows(splits)
    found = {a: tables.artifacts(a) for a in ARTIFACTS}
    for artifact, described in ARTIFACTS.items():
        columns = dict(held.get(described.record_sets[0], {}))
        if artifact != "runs" and columns:
            columns["path"], columns["root"] = columns.pop("url"), [""] * len(columns["run"])
        if columns.pop("is_multilabel", None) is not None:
            columns["segmentation_type"] = ["binary"] * len(columns["run"])
        found[artifact] = tables.artifacts(artifact, columns)
    settled = planner.settle(planner.resolve(checked, [(Inventory(found, {}),)], None), {}, {})
    public, private = (
        planner.finish(settled, Target(spec, f"/out/{spec.name}", known=known)) for spec in checked.outputs
    )
    return public, private.content.tables


class Challenge:
    """A Croissant that tells nothing by its addresses, and a recipe with two results."""

    def __init__(self, folder: Path, splits: Mapping[str, str] = SPLITS) -> None:
        self.folder = folder
        self.source(splits)
        self.public, self.private = folder / "public", folder / "private"
        self.recipe = self.write()

    def source(self, splits: Mapping[str, str], **changes: Mapping[str, Sequence[object]]) -> None:
        shutil.rmtree(self.folder / "lab", ignore_errors=True)
        held = rows(splits)
        for name, columns in changes.items():
            held[name] |= {column: list(values) for column, values in columns.items()}
        write_croissant(self.folder / "lab", held, base_url="https://lab.example.org")

    def write(self, name: str = "recipe", hides: Mapping[str, Any] = HIDES, **more: Any) -> Path:
        return written(self.folder, hides, name, **more)

    def build(self, recipe: Path | None = None, **options: Any) -> tuple[Planned, ...]:
        return build(recipe or self.recipe, options=Options(**options))

    def built(self, recipe: Path | None = None, **options: Any) -> tuple[Planned, ...]:
        results = self.build(recipe, **options)
        assert [str(d) for r in results for d in r.diagnostics if d.is_error] == []
        return results

    def names(self) -> dict[str, str]:
        """What the table of names says."""
        table = pd.read_csv(self.private / "Croissant" / NAMES_FILE, dtype=str)
        assert set(table["output"]) <= {"public"}
        return dict(zip(table["run"], table["name"], strict=True))


def stored(root: Path) -> dict[str, pd.DataFrame]:
    return {n: read_csv((root / "Croissant" / s.csv_name).read_bytes(), n)[0] for n, s in RECORD_SETS.items()}


def texts(root: Path) -> Iterator[str]:
    """Everything that a folder holds: names of files, their bytes, and the values of those that are packed."""
    for path in sorted(root.rglob("*")):
        yield path.name
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield pq.read_table(path).to_pandas().to_csv()


def errors(results: Sequence[Planned], code: Code) -> list[str]:
    return [str(d) for d in dict.fromkeys(d for r in results for d in with_code(r.diagnostics, code)) if d.is_error]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(autouse=True, scope="module")
def _no_validation() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_check", lambda *_, **__: None)
        yield


@pytest.fixture
def challenge(tmp_path: Path) -> Challenge:
    return Challenge(tmp_path)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    Challenge(folder).built()
    return folder


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Challenge:
    """With both results as they were built: a copy."""
    shutil.copytree(built_once, tmp_path, dirs_exist_ok=True)
    return Challenge(tmp_path)


# What somebody with the public folder finds


def test_nothing_in_the_public_folder_tells_what_is_hidden(challenge: Challenge) -> None:
    recipe = challenge.write(hides={**HIDES, "parquet": True})
    public, private = challenge.built(recipe)
    assert (public.output_name, private.output_name) == ("public", "private")
    everything = "\n".join(texts(challenge.private))
    found = "\n".join(texts(challenge.public))
    for text in GIVING_AWAY:
        assert text in everything
        assert text.casefold() not in found.casefold(), text
    assert "run-001" in found
    digest = normal_form.digest(load_recipe(recipe))
    assert digest in everything
    assert digest not in found, "who guesses the recipe cannot tell that it is right"
    told = json.loads(run("plan", "--format", "json", str(recipe)).stdout)["recipes"]
    assert [r["output_name"] for r in told] == ["public", "private"]
    assert not [text for text in GIVING_AWAY if text in json.dumps(told[0])]
    assert set(told[1]["hides"]["public"]["names"]) == set(TEST)


def test_what_only_masked_runs_are_from_is_not_named(challenge: Challenge) -> None:
    public, private = (r.plan for r in plan(challenge.recipe))
    assert public.content.provenance.origins == private.content.provenance.origins != ()
    challenge.source({"SECRET_a": "test"})
    public, private = (r.plan for r in plan(challenge.recipe))
    assert public.content.provenance.origins == ()
    assert private.content.provenance.origins != ()


def test_what_is_left_is_all_the_rest(built: Challenge) -> None:
    public, private, names = stored(built.public), stored(built.private), built.names()
    assert sorted(names.values()) == ["run-001", "run-002", "run-003"]
    assert dict(zip(public["runs"]["name"], public["runs"]["split"], strict=True)) == {
        names.get(run, run): split for run, split in SPLITS.items()
    }
    assert set(public["picks"]["run"]) == {"TS_1", "TS_2"}
    assert len(public["segmentations"]) == 0
    assert set(public["voxel_spacings"]["voxel_size"]) == {10.0}
    assert set(private["voxel_spacings"]["voxel_size"]) == {10.0, 4.25}
    assert set(public["meshes"]["run"]) == {names.get(run, run) for run in SPLITS}
    of_masked = public["tomograms"]["run"].isin(names.values())
    assert set(public["tomograms"]["portal_tomogram_id"][of_masked]) == {""}
    assert set(public["tomograms"]["portal_tomogram_id"][~of_masked]) == {"902100000", "902100010"}
    objects = [
        json.loads((root / "Croissant/metadata.json").read_text())["copick:config"]["pickable_objects"]
        for root in (built.public, built.private)
    ]
    assert objects[0] == objects[1], "objects of which all rows are withheld are classes still"


def test_the_private_result_is_what_one_output_alone_would_be(built: Challenge) -> None:
    alone = built.write("alone", outputs=None, output={"project_root": "alone"})
    built.built(alone)
    for path in sorted((built.folder / "alone/Croissant").iterdir()):
        if path.suffix == ".csv":
            assert (built.private / "Croissant" / path.name).read_bytes() == path.read_bytes(), path.name


NAMES = st.lists(st.sampled_from(["TS_1", "TS_2", "zeta", "Alpha", "0042"]), min_size=1, max_size=4, unique=True)
SPLIT = st.sampled_from(["train", "test", "extra", ""])
HIDING = st.sampled_from(["test", "extra"])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data(), names=NAMES)
def test_a_result_is_all_without_what_it_withholds(
    data: st.DataObject, names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    splits = {name: data.draw(SPLIT) for name in names}
    withhold = data.draw(
        st.dictionaries(HIDING, st.lists(st.sampled_from(WITHHELD_TYPES), min_size=1, unique=True), min_size=1)
    )
    masks = data.draw(st.dictionaries(HIDING, st.sampled_from(["r{n}", "m-{n:03}"])))
    declared = {
        "random": {"ratios": {"extra": 0.5, "test": 0.5}, "seed": 1},
        "unassign": [n for n in names if not splits[n]],
    }
    declared = {k: v for k, v in declared.items() if v}
    folder = tmp_path_factory.mktemp("case")
    text = written(folder, {"withhold": withhold, "mask_runs": masks}, splits=declared)
    public, private = finished(load_recipe(text), splits)
    new = dict(public.hidden.names)
    split_of = dict(zip(private["runs"]["name"], private["runs"]["split"], strict=True))
    assert new.keys() == {run for run, split in split_of.items() if split in masks}
    assert all(run_masks.parse(masks[split_of[run]]).has(name) for run, name in new.items())
    shown = public.content.tables
    for name, schema in RECORD_SETS.items():
        if name == "voxel_spacings":
            kept = [shown[r][["run", "voxel_size"]] for a in ARTIFACTS.values() if a.spaces for r in a.record_sets]
            assert set(map(tuple, pd.concat(kept).to_numpy())) == set(map(tuple, shown[name].to_numpy()))
            continue
        owner = "run" if "run" in schema.columns else "name"
        gone = {split for split, types in withhold.items() if schema.artifact in types}
        expected = [
            {**row, owner: new.get(row[owner], row[owner])}
            | {c: "" for c in row if row[owner] in new and (c.startswith("portal_") or c == "sha256")}
            for row in private[name].to_dict("records")
            if name == "objects" or split_of[row[owner]] not in gone
        ]
        key = list(schema.key)
        assert shown[name].fillna(0).to_dict("records") == sorted(
            ({k: 0 if v != v else v for k, v in row.items()} for row in expected), key=lambda row: [row[k] for k in key]
        )


def test_spacings_of_a_base_go_with_the_rows_that_are_withheld(challenge: Challenge) -> None:
    more = {"base": "lab/Croissant/metadata.json", "dataset": None, "sources": None, "layers": None}
    challenge.built(challenge.write(**more))
    assert set(stored(challenge.public)["voxel_spacings"]["voxel_size"]) == {10.0}
    assert set(stored(challenge.public)["voxel_spacings"]["run"]) == {"TS_1", "TS_2", *challenge.names().values()}
    assert set(stored(challenge.private)["voxel_spacings"]["voxel_size"]) == {10.0, 4.25}
    assert not [text for text in GIVING_AWAY if text in "\n".join(texts(challenge.public))]


# Names


def test_names_stay_whatever_comes_and_goes(built: Challenge) -> None:
    before = built.names()
    built.source(
        {run: split for run, split in SPLITS.items() if run != "SECRET_a"} | {"AAA_new": "test", "zzz": "test"}
    )
    built.built()
    after = built.names()
    assert {run: after[run] for run in before} == before, "also of a run that is gone: nobody gets its name"
    assert sorted(after[run] for run in ("AAA_new", "zzz")) == ["run-004", "run-005"]
    assert set(stored(built.public)["runs"]["name"]) == {"TS_1", "TS_2", *after.values()} - {before["SECRET_a"]}
    built.source(SPLITS)
    built.built()
    assert built.names() == after
    assert before["SECRET_a"] in set(stored(built.public)["runs"]["name"])


def test_names_follow_from_the_recipe_alone_where_nothing_is_there(tmp_path: Path) -> None:
    recipe = written(tmp_path, HIDES)
    first = finished(load_recipe(recipe), SPLITS)[0].hidden.given
    turned = finished(load_recipe(recipe), dict(reversed(SPLITS.items())))[0].hidden.given
    assert first == turned
    orders = {
        tuple(
            finished(load_recipe(written(tmp_path, {**HIDES, "mask_key": key})), SPLITS)[0].hidden.names[r]
            for r in TEST
        )
        for key in "ab"
    }
    assert len(orders) > 1, "the key decides, not the alphabet"


def test_new_runs_move_no_name_and_get_those_that_nobody_had(tmp_path: Path) -> None:
    checked = load_recipe(written(tmp_path, HIDES))
    known, runs = NO_NAMES, dict(SPLITS)
    for step in range(4):
        public, _ = finished(checked, runs, known)
        before = {e.run: e.name for e in known.entries}
        assert {run: name for run, name in public.hidden.names.items() if run in before}.items() <= before.items()
        known = known.with_others(public.hidden.given)
        runs = {k: v for i, (k, v) in enumerate(runs.items()) if i != 2 * step} | {
            f"new-{step}": "test",
            f"a{step}": "test",
        }
    assert len({e.name for e in known.entries}) == len(known.entries) == 3 + 6


def test_a_masked_name_is_never_what_a_run_is_called(tmp_path: Path) -> None:
    checked = load_recipe(written(tmp_path, HIDES))
    runs = {"run-001": "train", "run-003": "test", "run-4": "test"}
    public, _ = finished(checked, runs)
    assert sorted(public.hidden.names) == ["run-003", "run-4"]
    assert sorted(public.hidden.names.values()) == ["run-002", "run-004"]
    known = NO_NAMES.with_others(public.hidden.given)
    clashing, _ = finished(checked, {**runs, "run-004": "train"}, known)
    (found,) = with_code(clashing.diagnostics, Code.MASKED_NAMES)
    assert "calls masked runs what other runs are called by now" in found.message
    assert found.notes[0].startswith("run-004 is what ")
    assert clashing.content.tables["runs"]["name"].is_unique


def test_a_lost_table_is_no_reason_to_name_runs_anew(built: Challenge) -> None:
    before = list(texts(built.public))
    shutil.rmtree(built.private)
    results = built.build()
    (found,) = errors(results, Code.MASKED_NAMES)
    assert "no table says which runs they are of: 'run-001', 'run-002' and 'run-003'" in found
    assert [r.written for r in results] == [False, False]
    assert not built.private.exists()
    assert list(texts(built.public)) == before
    shutil.rmtree(built.public)
    assert all(r.ok for r in plan(built.recipe))


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "its first line is not output,run,name"),
        ("run,name\na,b\n", "its first line is not output,run,name"),
        ("output,run,name\npublic,a\n", "line 2 does not have an output, a run and a name"),
        ("output,run,name\npublic,\xe9,x\n", "it is not UTF-8, in line 2"),
        ("output,run,name\npublic,a,x\npublic,b,x\n", "'x' is the name of 'a' and of 'b' in public"),
    ],
)
def test_a_table_of_names_is_one_or_an_error(table: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        masked_names.parse(table.encode("latin-1"))


def test_names_come_back_as_they_were() -> None:
    entries = [MaskedName("public", run, f"run-{i}") for i, run in enumerate(["0042", 'a,"b', "é ", "NA"])]
    names = NO_NAMES.with_others(entries)
    assert masked_names.parse(masked_names.to_bytes(names)) == names


def test_a_table_that_cannot_be_used_stops_a_build(challenge: Challenge) -> None:
    (challenge.private / "Croissant").mkdir(parents=True)
    (challenge.private / "Croissant" / NAMES_FILE).write_text('output,run,name\npublic,"a,x\n', encoding="utf-8")
    results = challenge.build()
    (found,) = errors(results, Code.MASKED_NAMES)
    assert "unexpected end of data" in found
    assert [r.output_name for r in results if not r.ok] == ["public", "private"]


def test_a_table_that_changes_meanwhile_is_looked_at_again(built: Challenge, monkeypatch: pytest.MonkeyPatch) -> None:
    path = built.private / "Croissant" / NAMES_FILE
    built.source({**SPLITS, "SECRET_new": "test"})
    locked = stores.locked

    def meanwhile(output: stores.Output, **given: Any) -> Any:
        path.write_text(path.read_text() + "public,elsewhere,run-004\n")
        return locked(output, **given)

    monkeypatch.setattr(stores, "locked", meanwhile)
    before = list(texts(built.public))
    results = built.build()
    assert "changed while it was worked on" in errors(results, Code.MASKED_NAMES)[0]
    assert not any(r.written for r in results)
    assert [str(d).split(": ", 1)[1] for d in with_code(results[0].diagnostics, Code.NOT_WRITABLE)] != []
    assert list(texts(built.public)) == before
    monkeypatch.undo()
    built.built()
    assert built.names()["SECRET_new"] == "run-005"


def test_two_public_results_do_not_share_names(challenge: Challenge) -> None:
    outputs = {
        "one": {"project_root": "one", "mask_runs": {"test": "run-{n}", "val": "run-{n}"}},
        "two": {"project_root": "two", "mask_runs": {"test": "run-{n}"}},
        "private": {"project_root": "private"},
        "copy": {"project_root": "copy"},
    }
    challenge.built(challenge.write(outputs=outputs))
    table = pd.read_csv(challenge.private / "Croissant" / NAMES_FILE, dtype=str)
    assert table.groupby("output")["name"].agg(sorted).to_dict() == {
        "one": ["run-1", "run-2", "run-3", "run-4"],
        "two": ["run-1", "run-2", "run-3"],
    }
    assert (challenge.folder / "copy/Croissant" / NAMES_FILE).read_bytes() == (
        challenge.private / "Croissant" / NAMES_FILE
    ).read_bytes()
    shutil.rmtree(challenge.private)
    again = plan(challenge.write(outputs=outputs))
    assert [r.plan.hidden.given for r in again] == [(), (), (), ()], "one of two remembers"


# What cannot be hidden


TELLING = (
    "ExperimentRuns/SECRET_a/wbp.zarr",
    "https://cdn.example.org/secret_a-wbp.zarr",
    "https://cdn.example.org/SECRET%5fa/wbp.zarr",
    "s3://cryoet-data-portal-public/10000/x/wbp.zarr",
    "https://files.cryoetdataportal.cziscience.com/10000/x/wbp.zarr",
    "https://cdn.example.org/90210003/wbp.zarr",
    "https://cdn.example.org/SECRET_1x/wbp.zarr",
)
SILENT = ("https://cdn.example.org/xSECRET_a7/wbp.zarr", "https://cdn.example.org/TS_1/wbp.zarr")


def test_an_address_that_tells_the_run_is_an_error(challenge: Challenge) -> None:
    names = dict.fromkeys([f"SECRET_{i}" for i in range(len(TELLING) + len(SILENT))], "test")
    splits = {"SECRET_a": "test", "plain": "train", "SECRET_b": "test"} | names
    urls = ["https://cdn.example.org/0", "https://cdn.example.org/1", "https://cdn.example.org/2", *TELLING, *SILENT]
    ids = ["90210003", *[""] * (len(splits) - 1)]
    challenge.source(splits, tomograms={"url": urls}, runs={"portal_run_id": ids})
    results = challenge.build()
    (found,) = errors(results, Code.GIVEN_AWAY)
    assert f"outputs.public masks runs, and {len(TELLING)} rows of it tell which they are" in found
    assert "  tomograms: run-" in found
    assert [r.written for r in results] == [False, False]
    assert not challenge.public.exists()
    assert not challenge.private.exists()
    hides = {**HIDES, "withhold": {"test": ["picks", "segmentations", "tomograms"]}}
    assert all(r.ok for r in plan(challenge.write(hides=hides)))


def test_a_session_and_metadata_that_tell_the_run_are_errors(challenge: Challenge) -> None:
    sessions = ["SECRET_b-1" if run == "SECRET_b" else "1" for run in SPLITS]
    challenge.source(SPLITS, meshes={"session_id": sessions})
    described = {**DATASET, "description": "Without the answers of secret_c."}
    found = errors(plan(challenge.write(dataset=described)), Code.GIVEN_AWAY)
    (metadata,) = (text for text in found if "metadata of outputs.public names masked runs" in text)
    (of_rows,) = (text for text in found if text != metadata)
    assert "description: Without the answers of secret_c." in metadata
    assert "session_id SECRET_b-1" in of_rows


def test_a_short_name_is_looked_for_where_it_matters(challenge: Challenge) -> None:
    challenge.source({"1": "test", "TS_1": "train"})
    assert plan(challenge.recipe)[0].ok, "https://cdn.example.org/0/wbp.zarr says nothing of 1, nor does a row of TS_1"
    urls = ["https://cdn.example.org/1/wbp.zarr", "https://cdn.example.org/1/other.zarr"]
    challenge.source({"1": "test", "TS_1": "train"}, tomograms={"url": urls})
    (found,) = errors(plan(challenge.recipe), Code.GIVEN_AWAY)
    assert "1 row of it tells which they are" in found


def test_a_run_may_be_called_after_a_masked_one(challenge: Challenge) -> None:
    """What its own rows say of it says nothing of the other; what rows of a masked run say does."""
    urls = [f"https://cdn.example.org/{name}/wbp.zarr" for name in ("0", "TS_1_b", "TS_1_b")]
    runs = {"TS_1": "test", "TS_1_b": "train", "TS_2": "train"}
    described = {**DATASET, "description": "With TS_1_b."}
    recipe = challenge.write(dataset=described)
    challenge.source(runs, tomograms={"url": urls[:2] + urls[:1]})
    assert plan(recipe)[0].ok
    challenge.source(runs, tomograms={"url": urls[1:] + urls[:1]})
    (found,) = errors(plan(recipe), Code.GIVEN_AWAY)
    assert "1 row of it tells" in found


def test_picks_of_masked_runs_are_told_as_their_files_name_the_run(challenge: Challenge) -> None:
    public, private = plan(challenge.write("shown", {"mask_runs": {"test": "run-{n}"}}))
    (told,) = (d for d in public.diagnostics if d.code is Code.GIVEN_AWAY and not d.is_error)
    assert "shows 3 files of picks of masked runs" in told.message
    assert not with_code(private.diagnostics, Code.GIVEN_AWAY)
    assert not with_code(plan(challenge.recipe)[0].diagnostics, Code.GIVEN_AWAY)


def test_files_of_withheld_rows_are_not_published_with_the_folder(tmp_path: Path) -> None:
    from samples import copy_sample

    copy_sample(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    text = (
        "recipe: 1\nname: x\ndataset: {name: A, description: B, version: 1.0.0, license: MIT, "
        "date_published: 2026-01-15, url: https://example.org, creators: [{name: C}]}\n"
        "outputs:\n  public: {project_root: ROOT, withhold: {val: [picks, meshes]}}\n"
        "sources: {lab: {copick: {config: sample/filesystem.json}}}\n"
        "layers: [{export: lab}]\nsplits: {assign: {val: TS_003}}\n"
    )
    recipe.write_text(text.replace("ROOT", "sample"))
    results = build(recipe)
    (found,) = errors(results, Code.GIVEN_AWAY)
    assert "outputs.public withholds 1 picks whose files lie below its own project_root" in found
    assert "  picks: TS_003, template-matching, tm-1, ribosome" in found
    recipe.write_text(text.replace("ROOT", "public"))
    (built,) = build(recipe)
    assert built.written
    assert "TS_003" not in set(stored(tmp_path / "public")["picks"]["run"])
    assert len(from_croissant(built.metadata_url or "").get_run("TS_003").picks) == 0


def test_a_split_that_nobody_knows_hides_nothing(challenge: Challenge) -> None:
    hides = {"withhold": {"tset": "picks"}, "mask_runs": {"test": "run-{n}"}}
    (found,) = errors(plan(challenge.write(hides=hides)), Code.HIDING)
    assert "no run is in the split 'tset'" in found
    assert "did you mean 'test'?" in found
    declared = {"random": {"ratios": {"train": 1, "tset": 0}, "seed": 1}}
    assert all(r.ok for r in plan(challenge.write(hides=hides, splits=declared)))


# One build


def test_an_error_in_one_writes_none(challenge: Challenge) -> None:
    challenge.public.mkdir()
    (challenge.public / "Croissant").write_text("a file")
    results = challenge.build()
    assert [r.ok for r in results] == [False, True]
    assert not (challenge.private / "Croissant").exists()


def test_expectations_are_of_all_rows(built: Challenge) -> None:
    expect = {"picks": 5, "splits": {"test": {"picks": 3}}, "voxel_spacings": {"4.25": 3}}
    alone = {"public": {"project_root": "only", "withhold": {"test": "picks"}}}
    for more in ({"outputs": alone}, {}):
        assert all(r.ok for r in plan(built.write(expect=expect, **more)))
    assert all(r.ok for r in plan(built.write(expect={"picks": ">= -10%"})))
    assert len(errors(plan(built.write(expect={"picks": 2})), Code.EXPECTATION)) == 1


def test_what_others_change_in_one_result_stays_there(built: Challenge) -> None:
    public, private = (str(root / "Croissant/metadata.json") for root in (built.public, built.private))
    name = built.names()["SECRET_a"]
    for url, called in ((public, name), (private, "SECRET_a")):
        assert from_croissant(url, overlay_root=None).get_run(called).split == "test"
    from_croissant(private).set_splits({"val": ["SECRET_a"]})
    results = built.build()
    assert [bool(with_code(r.diagnostics, Code.DRIFT)) for r in results] == [False, True]
    assert [r.written for r in results] == [False, False]
    adopted = adopt(built.recipe, dry_run=True)
    assert adopted.text is not None
    assert "SECRET_a" in adopted.text
    built.built(on_drift="discard")
    from_croissant(public).set_splits({"val": [name]})
    left = adopt(built.recipe)
    assert left.text is None
    assert left.left == (f"public: ~ runs: {name}: split test -> val",)
    assert [r.written for r in built.built(on_drift="discard")] == [True, False]


def test_a_recipe_can_start_from_its_private_result(built: Challenge) -> None:
    names = built.names()
    more = {"base": "private/Croissant/metadata.json", "dataset": None, "sources": None, "layers": None}
    again = built.write("again", **more)
    built.built(again, force=True)
    assert built.names() == names
    assert not [text for text in GIVING_AWAY if text in "\n".join(texts(built.public))]
    listed = json.loads((built.public / "Croissant/metadata.json").read_text())["distribution"]
    assert NAMES_FILE not in [entry["name"] for entry in listed]
    assert not any(r.written for r in built.built(again, force=True))


# Readers and commands


def test_every_reader_opens_both(built: Challenge) -> None:
    public, private = (str(root / "Croissant/metadata.json") for root in (built.public, built.private))
    for path, runs in ((public, {"TS_1", "TS_2", *built.names().values()}), (private, set(SPLITS))):
        for opened in (from_croissant(path), copick.from_croissant(path)):
            assert {r.name for r in opened.runs} == runs
            assert sum(len(r.picks) for r in opened.runs) == len(stored(Path(path).parent.parent)["picks"])
        dataset = mlc.Dataset(jsonld=path)
        assert (dataset.metadata.ctx.issues.errors, dataset.metadata.ctx.issues.warnings) == (set(), set())
        assert len(list(dataset.records("copick/runs"))) == len(runs)
        assert len(pd.read_csv(Path(path).parent / "runs.csv")) == len(runs)
    table = json.loads((built.private / "Croissant/metadata.json").read_text())["distribution"][-1]
    assert (table["name"], table["@id"]) == (NAMES_FILE, "masked-runs-csv")
    # copick writes the manifest anew when somebody saves.
    root = copick.from_croissant(private)
    root.get_run("TS_1").new_picks("ribosome", "9", "bob").from_numpy([[1.0, 2.0, 3.0]])
    kept = json.loads((built.private / "Croissant/metadata.json").read_text())["distribution"]
    assert table in kept


def test_plan_tells_of_each_result(challenge: Challenge, snapshot: SnapshotAssertion) -> None:
    told = run("plan", str(challenge.recipe))
    assert told.exit_code == ExitCode.GOOD
    assert told.stdout.replace(str(challenge.folder), "<folder>") == snapshot


def test_a_plan_of_what_is_there_tells_of_no_changes(built: Challenge) -> None:
    lines = run("plan", str(built.recipe)).stdout.splitlines()
    assert [line.partition("recipe.yaml")[2] for line in lines] == [
        f", {name}: no changes: the Croissant is…" for name in ("public", "private")
    ]


def test_a_place_of_the_command_line_has_a_folder_for_each(challenge: Challenge) -> None:
    out = challenge.folder / "there"
    results = challenge.built(output=str(out), base_url="https://example.org/x/")
    assert [r.metadata_url for r in results] == [
        str(out / n / "Croissant/metadata.json") for n in ("public", "private")
    ]
    document = json.loads((out / "public/Croissant/metadata.json").read_text())
    assert document["copick:baseUrl"] == "https://example.org/x/public"
    refused = run("build", str(challenge.recipe), "--emit-config", str(challenge.folder / "copick.json"))
    assert refused.exit_code == ExitCode.INVALID
    assert "write {output} where the name of each (public, private) goes" in refused.stderr
    assert not challenge.private.exists()
    path = challenge.folder / "copick-{output}.json"
    overlay = challenge.folder / "overlay-{output}"
    done = run("build", str(challenge.recipe), "--emit-config", str(path), "--config-overlay", str(overlay))
    assert done.exit_code == ExitCode.GOOD, done.output
    config = json.loads((challenge.folder / "copick-private.json").read_text())
    assert config["croissant_url"] == str(challenge.private / "Croissant/metadata.json")
    assert (challenge.folder / "overlay-public").is_dir()


def test_an_error_of_the_recipe_is_told_once(challenge: Challenge) -> None:
    told = run("build", str(challenge.write(layers=[{"export": "lab", "picks": "nothing"}])))
    assert told.stderr.count("CR401") == 1
    assert "Nothing was written." in told.stderr


def test_recipes_that_share_a_place_are_found(challenge: Challenge) -> None:
    other = challenge.write("other", outputs=None, output={"project_root": "private"})
    results = build(challenge.recipe, other)
    assert [(r.path == str(other), r.ok) for r in results] == [(False, True), (False, True), (True, False)]


# Patterns


@pytest.mark.parametrize(
    ("text", "third", "others"),
    [
        ("run-{n:03}", "run-003", ["run-3", "run-0003", "run-", "xrun-003"]),
        ("{n}", "3", ["03", "a"]),
        ("a{n:02d}b", "a03b", []),
    ],
)
def test_a_pattern_knows_its_names(text: str, third: str, others: list[str]) -> None:
    mask = run_masks.parse(text)
    assert mask.name(3) == third
    assert mask.has(third)
    assert not any(map(mask.has, [*others, f"{mask.head}{'1' * 5000}{mask.tail}"]))
    assert mask.has(mask.name(123456))


def test_check_reads_nothing(challenge: Challenge) -> None:
    shutil.rmtree(challenge.folder / "lab")
    (checked,) = check(challenge.recipe)
    assert checked.recipe is not None
    assert plan(challenge.recipe)[0].ok is False
    assert [spec.hides for spec in checked.recipe.outputs] == [True, False]
