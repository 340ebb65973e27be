"""Why something differs, told by the library over real projects and a stand-in of the portal, which move."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from causing import HEADER, built, compared, planned, told
from compiling import artifacts, inventory
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from projects import Picks, ProjectSpec, Run, Tomogram, write_project

from croissant_recipes import api
from croissant_recipes.croissant.diff import rows
from croissant_recipes.options import Options
from croissant_recipes.review.causes import Cause
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.base import Inventory
from tests.portal_server import serve
from tests.portal_tables import Tables, generate

DATASET = (
    "dataset: {name: Small, description: A few rows., version: 1.0.0, license: MIT, date_published: 2026-01-15,\n"
    '  url: "https://example.org/small", creators: [{name: Example Lab}]}\n'
)


def causes_of(recipe: str, **options: Any) -> dict[tuple[str, str], Counter[Cause]]:
    """How many rows each cause has, by record set and kind of change."""
    (result,) = api.plan(recipe, options=Options(**options))
    assert result.ok, [str(d) for d in result.diagnostics]
    assert result.prepared is not None
    found, changes = result.prepared.review.causes, result.prepared.changes
    for name, table in changes.tables.items():
        if table:
            sizes = {"added": table.added, "removed": table.removed, "changed": table.after, "renamed": table.ways}
            assert {kind: len(ids) for kind, ids in found.rows[name].items()} == {k: len(t) for k, t in sizes.items()}
    return {
        (name, kind): Counter(found.all[i] for i in ids.tolist())
        for name, kinds in found.rows.items()
        for kind, ids in kinds.items()
        if len(ids)
    }


# A project on disk

RUNS = (
    Run("TS_1", (Tomogram(10.0, "wbp"),), picks=(Picks("ada", "1", "ribosome"), Picks("bob", "1", "virus"))),
    Run("TS_2", (Tomogram(10.0, "wbp"),), picks=(Picks("ada", "1", "ribosome", points=3),)),
)
RECIPE = (
    f"recipe: 1\nname: small\n{DATASET}"
    "output: {project_root: out, base_url: 'https://example.org/data'}\n"
    "sources:\n  lab: {copick: {config: lab/filesystem.json}}\n"
    "layers:\n  - export: lab\n    picks: all\n    tomograms: all\n    others: exclude\n"
)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that is built, given by a relative path."""
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "lab", ProjectSpec(runs=RUNS))
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    assert api.build("recipe.yaml")[0].written
    return Path("recipe.yaml")


def test_a_plan_right_after_a_build_is_empty(recipe: Path) -> None:
    assert causes_of("recipe.yaml") == {}
    recipe.write_text(f"# why\n{RECIPE}", encoding="utf-8")
    (result,) = api.plan("recipe.yaml")
    assert result.prepared is not None
    assert not result.prepared.changes
    assert not result.prepared.touched


def test_files_that_come_go_and_change_are_the_sources_doing(recipe: Path) -> None:
    folder = next(Path("lab").rglob("TS_2")) / "Picks"
    kept = (folder / "ada_1_ribosome.json").read_text()
    (folder / "cem_1_virus.json").write_text(kept.replace("ribosome", "virus"), encoding="utf-8")
    (folder / "ada_1_ribosome.json").write_text(kept.replace("0.0", "1.5"), encoding="utf-8")
    (next(Path("lab").rglob("TS_1")) / "Picks" / "bob_1_virus.json").unlink()
    found = causes_of("recipe.yaml")
    where = {"file": "recipe.yaml", "line": 7, "column": 3, "layer": 1, "source": "lab"}
    assert found == {
        ("picks", "added"): {Cause("source", "new in source 'lab'", **where): 1},
        ("picks", "removed"): {Cause("source", "gone from source 'lab'", **where): 1},
        ("picks", "changed"): {Cause("source", "changed in source 'lab'", **where): 1},
    }


def test_the_recipes_lines_are_the_recipes_doing(recipe: Path) -> None:
    changed = RECIPE.replace("picks: all", "picks: ribosome").replace("tomograms: all", "tomograms: none")
    recipe.write_text(changed + "splits: {assign: {test: TS_2}}\n", encoding="utf-8")
    found = causes_of("recipe.yaml")
    assert {(key, c.kind, c.file, c.line): n for key, by in found.items() for c, n in by.items()} == {
        (("runs", "changed"), "recipe", "recipe.yaml", 13): 1,
        (("voxel_spacings", "removed"), "recipe", "recipe.yaml", 11): 2,
        (("tomograms", "removed"), "recipe", "recipe.yaml", 11): 2,
        (("picks", "removed"), "recipe", "recipe.yaml", 10): 1,
    }


def test_each_step_of_a_recipes_life_has_its_own_cause(recipe: Path) -> None:
    """Changed, with a file of splits that changes, over a project that changes, and called otherwise."""

    def step(text: str) -> dict[Any, tuple[Any, ...]]:
        recipe.write_text(text, encoding="utf-8")
        found = causes_of(str(recipe))
        assert api.build(recipe)[0].ok
        return {key: (c.kind, c.file, c.line, n) for key, by in found.items() for c, n in by.items()}

    splits = Path("splits.csv")
    splits.write_text("run,split\nTS_1,train\n", encoding="utf-8")
    with_splits = f"{RECIPE}splits: {{file: splits.csv}}\n"
    assert step(with_splits) == {("runs", "changed"): ("recipe", "splits.csv", 2, 1)}
    without_virus = with_splits.replace("picks: all", "picks: ribosome")
    assert step(without_virus) == {("picks", "removed"): ("recipe", "recipe.yaml", 10, 1)}
    splits.write_text("run,split\nTS_1,train\nTS_2,val\n", encoding="utf-8")
    assert step(without_virus) == {("runs", "changed"): ("recipe", "splits.csv", 3, 1)}
    (next(Path("lab").rglob("TS_2")) / "Picks" / "ada_1_ribosome.json").unlink()
    assert step(without_virus) == {("picks", "removed"): ("source", "recipe.yaml", 7, 1)}
    recipe = recipe.rename("dataset.yaml")
    assert step(f"# moved\n{without_virus}") == {}
    renamed = without_virus.replace("picks: ribosome", "picks: ribosome\n    rename: {sessions: {'1': v1}}")
    assert step(renamed) == {("picks", "renamed"): ("recipe", "dataset.yaml", 11, 1)}


def test_the_record_keeps_no_path_of_this_machine(recipe: Path) -> None:
    kept = b"".join(path.read_bytes() for path in Path("out/Croissant").glob("croissant-recipe*"))
    assert b'"parts"' in kept
    assert str(recipe.resolve().parent).encode() not in kept


# The portal

NEW = 10358


def _later(before: Tables) -> Tables:
    """The portal after a deposition came in: two annotations for every run, one of an object that was not there."""
    after = copy.deepcopy(before)

    def added(entity: str, **row: Any) -> int:
        number = max(r["id"] for r in after[entity]) + 1
        after[entity].append({**after[entity][0], **row, "id": number})
        return number

    for run in before["Run"]:
        known = next(r for r in before["Annotation"] if r["runId"] == run["id"])
        for changes in ({}, {"objectId": "GO:0000001", "objectName": "a new thing"}):
            number = added("Annotation", **{**known, "depositionId": NEW, **changes})
            shape = added("AnnotationShape", annotationId=number, shapeType="OrientedPoint")
            added("AnnotationFile", annotationShapeId=shape, s3Path=f"s3://elsewhere/{shape}.ndjson", format="ndjson")
    return after


BEFORE = generate(runs=5, datasets=[10440])
LATER = _later(BEFORE)


def of_portal(url: str, layer: str, source: str = "datasets: [10440]") -> str:
    return (
        f"recipe: 1\nname: small\n{DATASET}output: {{project_root: out}}\n"
        f"sources:\n  cdp:\n    portal:\n      {source}\n      url: {url}\n"
        f"layers:\n  - export: cdp\n    others: exclude\n    {layer}\n"
    )


def moved(folder: Path, before: str, after: str, *tables: Tables, **source: str) -> dict[Any, Counter[Cause]]:
    """Causes of a plan over a portal that was another one when the Croissant was built. Layers are given."""
    path, (first, then) = folder / "recipe.yaml", tables
    folder.mkdir(exist_ok=True)
    with serve(first, shuffle=1) as server:
        path.write_text(of_portal(server.url, before), encoding="utf-8")
        assert api.build(path)[0].written
    with serve(then, shuffle=2, port=urlsplit(server.url).port or 0):
        path.write_text(of_portal(server.url, after, **source), encoding="utf-8")
        return causes_of(str(path), cache="refresh", allow=frozenset({"labels"}))


ALL = "picks: all"
AUTOMATED = "allow_empty: true\n    picks:\n      where:\n        method_type: automated"


def test_a_deposition_that_came_in_is_named_and_every_row_counted(tmp_path: Path) -> None:
    found = moved(tmp_path, ALL, ALL, BEFORE, LATER)
    ((cause, rows_of_it),) = found.pop(("picks", "added")).items()
    assert not found
    assert rows_of_it == 2 * len(BEFORE["Run"])
    assert (cause.kind, cause.source, cause.depositions, cause.line) == ("source", "cdp", (NEW,), 7)
    assert cause.what == f"new in source 'cdp', deposition {NEW}"


def test_a_where_is_the_recipes_doing_unless_the_portal_moved_too(tmp_path: Path) -> None:
    still = moved(tmp_path, ALL, AUTOMATED, BEFORE, BEFORE)
    ((cause, _),) = still["picks", "removed"].items()
    assert (cause.kind, cause.line, cause.layer) == ("recipe", 17, 1)
    assert cause.what == "`where` of layer 1 (export cdp) leaves these picks out"
    more = "\n    tomograms: all\n    on_collision: first"
    both = moved(tmp_path / "both", f"{ALL}{more}", f"{AUTOMATED}{more}", LATER, _fewer())
    assert {c.kind for c in both["tomograms", "removed"]} == {"source"}
    assert {c.kind for c in both["picks", "removed"]} == {"unknown"}
    back = moved(tmp_path / "back", AUTOMATED, ALL, BEFORE, BEFORE)
    assert {c.kind for c in back["picks", "added"]} == {"recipe"}


def _fewer() -> Tables:
    """Without the tomograms of a run, so that the portal is seen to move."""
    gone = LATER["Tomogram"][0]["runId"]
    return {**LATER, "Tomogram": [t for t in LATER["Tomogram"] if t["runId"] != gone]}


def test_until_is_the_recipes_doing(tmp_path: Path) -> None:
    found = moved(
        tmp_path,
        ALL,
        ALL + "\n    allow_empty: true",
        BEFORE,
        BEFORE,
        source="datasets: [10440]\n      until: 2001-01-01",
    )
    ((cause, rows_of_it),) = found["picks", "removed"].items()
    assert (cause.kind, cause.line) == ("recipe", 10)
    assert cause.what == "`until` of source 'cdp' is another one"
    assert rows_of_it > 0


# Whatever the recipe

_NAMES = st.sampled_from(["a", "b", "c"])
_ROWS = st.lists(st.tuples(_NAMES, _NAMES, _NAMES, _NAMES), min_size=1, max_size=8, unique=True)
_LAYER = st.fixed_dictionaries(
    {
        "runs": st.sampled_from(["all", "'[ab]'", "{exclude: a}", "{having: {picks: 'a'}}", "{lacking: {picks: b}}"]),
        "picks": st.sampled_from(["all", "a", "[a, b]", "'*:b'", "{exclude: a}", "{select: '*', exclude: ['b:c']}"]),
        "rename": st.sampled_from(["{}", "{objects: {a: b, b: a}}", "{users: {'*': x}}", "{sessions: {a: q}}"]),
        "session_id": st.sampled_from(["'{session}'", "'{user}-{session}'"]),
    }
)
_LAYERS = st.lists(st.tuples(st.sampled_from(["lab", "other"]), _LAYER), min_size=1, max_size=3)


def _body(layers: list[tuple[str, dict[str, str]]]) -> str:
    texts = []
    for at, (source, layer) in enumerate(layers):
        keys = "".join(f"    {key}: {value}\n" for key, value in layer.items())
        operation = "append" if at else "export"
        texts.append(
            f"  - {operation}: {source}\n{keys}    others: exclude\n    on_collision: last\n    allow_empty: true\n"
        )
    return f"layers:\n{''.join(texts)}"


def _held(given: list[tuple[str, ...]]) -> Inventory:
    return inventory(picks=artifacts("picks", *sorted(given)), runs=artifacts("runs", ["a"], ["b"], ["c"]))


@given(_LAYERS, _LAYERS, _ROWS, _ROWS, _ROWS)
@settings(max_examples=2, deadline=None, database=None, phases=[Phase.generate])
def test_every_change_has_a_cause_and_the_changes_make_the_new_tables(
    tmp_path_factory: pytest.TempPathFactory, one: Any, other: Any, lab: Any, more: Any, then: Any
) -> None:
    folder = tmp_path_factory.mktemp("recipe")
    sources = {"lab": _held(lab), "other": _held(more)}
    first = planned(folder, _body(one), sources)
    assert told(built(first), planned(folder, f"# why\n{_body(one)}", sources)) == []
    assert told(first, planned(folder, _body(one), sources)) == []
    again = planned(folder, _body(one), {**sources, "lab": _held(then)})
    assert {t.cause for t in told(built(first), again)} <= {"source"}
    for before, after in (
        (first, planned(folder, _body(other), sources)),
        (built(first), planned(folder, _body(other), sources)),
        (built(first), planned(folder, _body(other), {**sources, "lab": _held(then)})),
    ):
        changes, causes = compared(before, after)
        old = before.content.tables if before is first else before.tables  # type: ignore[union-attr]
        for name, table in changes.tables.items():
            key = RECORD_SETS[name].key
            made = {tuple(r[k] for k in key): r for r in rows(old[name])}
            for gone in (table.removed, table.renamed_before, table.before):
                for row in rows(gone):
                    del made[tuple(row[k] for k in key)]
            made |= {
                tuple(r[k] for k in key): r for t in (table.added, table.renamed_after, table.after) for r in rows(t)
            }
            assert made == {tuple(r[k] for k in key): r for r in rows(after.content.tables[name])}
            for ids in causes.rows.get(name, {}).values():
                assert ((ids >= 0) & (ids < len(causes.all))).all()
        if before is first:
            assert {str(c.kind) for c in causes.all} <= {"recipe"}, (HEADER, _body(one), _body(other))
