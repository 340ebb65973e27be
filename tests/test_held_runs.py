"""Runs by what a layer takes of them, and layers of several sources, against a few lines of Python that say what is
meant."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from compiling import artifacts, inventory, plan, recipe, rows, with_code

from croissant_recipes import api
from croissant_recipes.codes import Code
from croissant_recipes.compiler.layers import Fate
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.render import text
from croissant_recipes.render.view import View
from croissant_recipes.schema import ARTIFACT_TYPES, ARTIFACTS
from croissant_recipes.sources.base import Inventory
from tests.portal_server import Server, serve
from tests.portal_tables import generate

RUNS = tuple(f"TS_{i}" for i in range(6))
CASES = 20
TYPES = ("tomograms", "picks", "meshes")
Key = tuple[Any, ...]


# Against a naive account, over tables


def _keys(draw: random.Random, artifact: str) -> list[Key]:
    """Keys of a few rows: of tomograms a run, a size and a type, of others a run, a user, a session and an object."""
    if artifact == "tomograms":
        every: list[Key] = [(run, 10.0, name) for run in RUNS for name in ("wbp", "denoised")]
    else:
        every = [(run, user, "1", name) for run in RUNS for user in ("ada", "bob") for name in ("ribosome", "vlp")]
    return [key for key in every if draw.random() < 0.25]


def _name(artifact: str, key: Key) -> str:
    return str(key[2] if artifact == "tomograms" else key[3])


def _pattern(draw: random.Random, artifact: str) -> str:
    return draw.choice(["wbp", "den*", "*"] if artifact == "tomograms" else ["ribosome", "v*", "*"])


class _Case:
    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.sources = [{a: _keys(draw, a) for a in TYPES} for _ in range(draw.choice([1, 1, 2, 3]))]
        self.takes = {a: draw.choice(["all", "all", _pattern(draw, a)]) for a in TYPES}
        self.exclude = {a: draw.choice([None, None, _pattern(draw, a)]) for a in TYPES}
        self.select = draw.choice(["all", "TS_[0-3]"])
        self.drop = draw.choice([None, "TS_1"])
        self.having = [self._item(draw) for _ in range(draw.choice([0, 1, 1, 2]))]
        self.lacking = [self._item(draw) for _ in range(draw.choice([0, 0, 1]))]
        self.policy = draw.choice(["first", "last"])

    @staticmethod
    def _item(draw: random.Random) -> tuple[str, str | None]:
        artifact = draw.choice(TYPES)
        return artifact, draw.choice([None, _pattern(draw, artifact)])

    def layer(self) -> dict[str, Any]:
        names = ["lab", "other", "third"][: len(self.sources)]
        runs: dict[str, Any] = {"select": self.select}
        runs |= {"exclude": self.drop} if self.drop else {}
        for key, items in (("having", self.having), ("lacking", self.lacking)):
            runs |= {key: [a if p is None else {a: p} for a, p in items]} if items else {}
        types = {a: {"select": self.takes[a], **({"exclude": e} if (e := self.exclude[a]) else {})} for a in TYPES}
        return {"export": names, "runs": runs, **types, "on_collision": self.policy, "allow_empty": True}

    def held(self) -> tuple[set[str], dict[str, dict[Key, int]]]:
        """The runs that are kept, and of each type the keys with the source that each is from."""
        chosen = [run for run in RUNS if (self.select == "all" or run < "TS_4") and run != self.drop]
        there = {s: {key[0] for keys in held.values() for key in keys} for s, held in enumerate(self.sources)}
        takes: dict[str, list[tuple[int, Key]]] = {}
        for a in TYPES:
            select, exclude = self.takes[a], self.exclude[a]
            takes[a] = [
                (s, key)
                for s, held in enumerate(self.sources)
                for key in held[a]
                if key[0] in chosen
                and (select == "all" or fnmatch.fnmatchcase(_name(a, key), select))
                and not (exclude and fnmatch.fnmatchcase(_name(a, key), exclude))
            ]

        def holds(run: str, item: tuple[str, str | None]) -> bool:
            artifact, pattern = item
            rows_of = [key for _, key in takes[artifact] if key[0] == run]
            return any(pattern is None or fnmatch.fnmatchcase(_name(artifact, key), pattern) for key in rows_of)

        kept = {
            run
            for run in chosen
            if any(run in runs for runs in there.values())
            and all(holds(run, item) for item in self.having)
            and not any(holds(run, item) for item in self.lacking)
        }
        final: dict[str, dict[Key, int]] = {a: {} for a in TYPES}
        for a in TYPES:
            for s, key in takes[a]:
                if key[0] in kept and (self.policy == "last" or key not in final[a]):
                    final[a][key] = s
        return kept, final


def test_a_layer_is_what_it_says_over_one_source_or_several(tmp_path: Path) -> None:
    seen = {"several": 0, "kept": 0, "left out": 0, "both": 0}
    header = "sources:\n" + "".join(f"  {n}: {{copick: {{config: {n}.json}}}}\n" for n in ("lab", "other", "third"))
    for seed in range(CASES):
        case = _Case(seed)
        held = [inventory(**{a: artifacts(a, *keys[a]) for a in TYPES}) for keys in case.sources]
        body = yaml.safe_dump({"layers": [case.layer()]})
        found = plan(recipe(tmp_path, body, header=_head() + header), held)
        kept, expected = case.held()
        assert {name for (name,) in rows(found, "runs", "name")} == kept, (seed, body)
        for a in TYPES:
            table = found.artifacts[a]
            keys = table[list(ARTIFACTS[a].key)].itertuples(index=False, name=None)
            assert dict(zip(keys, table["source"].tolist(), strict=True)) == expected[a], (seed, a, body)
        seen["several"] += len(held) > 1
        seen["kept"] += bool(kept)
        seen["left out"] += len(kept) < len(RUNS)
        seen["both"] += bool(case.having and case.lacking)
        _assert_fates(found, case)
    assert min(seen.values()) > CASES / 10, seen


def _head() -> str:
    return (
        "recipe: 1\nname: small\noutput: {project_root: out, base_url: 'https://example.org/data'}\n"
        "dataset: {name: A, description: A, version: 1.0.0, license: MIT, date_published: '2026-01-15', "
        "url: 'https://example.org/a', creators: [{name: A}]}\n"
    )


def _assert_fates(found: Plan, case: _Case) -> None:
    """Every row of every source has a fate: those that are taken, or collided with one that is, are those there."""
    layer = found.resolution.layers[1]
    assert layer.held_runs == (len(found.artifacts["runs"]) if case.having or case.lacking else None)
    for artifact in ARTIFACT_TYPES:
        choice, table = layer.choices[artifact], layer.stock.table(artifact)
        assert len(choice.fates) == len(table)
        assert (choice.fates == Fate.TAKEN).sum() == len(layer.tables[artifact])
    for fate, items in ((Fate.RUN_LACKS, case.having), (Fate.RUN_HOLDS, case.lacking)):
        at = layer.choices["runs"].selectors[layer.choices["runs"].fates == fate]
        assert ((at >= 0) & (at < len(items))).all()


# What is told


def lab() -> Inventory:
    """TS_0 and TS_1 have picks, TS_1 and TS_2 tomograms."""
    picks = artifacts("picks", ("TS_0", "ada", "1", "ribosome"), ("TS_1", "ada", "1", "vlp"))
    return inventory(picks=picks, tomograms=artifacts("tomograms", ("TS_1", 10.0, "wbp"), ("TS_2", 10.0, "wbp")))


def exported(folder: Path, layer: str, *sources: Inventory) -> Plan:
    names = ["lab", "other"][: len(sources) or 1]
    return plan(recipe(folder, f"layers:\n  - {{export: {names}, {layer}}}\n"), sources or (lab(),))


@pytest.mark.parametrize(
    ("runs", "kept"),
    [
        ("{having: picks}", ["TS_0", "TS_1"]),
        ("{having: [picks, tomograms]}", ["TS_1"]),
        ("{having: {picks: ribosome}}", ["TS_0"]),
        ("{lacking: picks}", ["TS_2"]),
        ("{having: tomograms, lacking: [{picks: vlp}]}", ["TS_2"]),
        ("{select: 'TS_[01]', having: tomograms}", ["TS_1"]),
        ("{exclude: TS_0, having: picks}", ["TS_1"]),
    ],
)
def test_runs_by_what_they_hold(tmp_path: Path, runs: str, kept: list[str]) -> None:
    found = exported(tmp_path, f"runs: {runs}")
    assert not [d for d in found.diagnostics if d.is_error]
    assert [name for (name,) in rows(found, "runs", "name")] == kept
    assert {run for (run, _) in rows(found, "voxel_spacings", "run", "voxel_size")} <= set(kept)


def test_what_the_layer_leaves_out_does_not_count(tmp_path: Path) -> None:
    found = exported(tmp_path, "runs: {having: picks}, picks: {exclude: vlp}")
    assert rows(found, "runs", "name") == [("TS_0",)]


def test_a_run_may_hold_something_of_each_source(tmp_path: Path) -> None:
    other = inventory(meshes=artifacts("meshes", ("TS_2", "bob", "1", "vlp"), ("TS_3", "bob", "1", "vlp")))
    found = exported(tmp_path, "runs: {having: [tomograms, meshes]}", lab(), other)
    assert rows(found, "runs", "name") == [("TS_2",)]


@pytest.mark.parametrize(
    ("layer", "message", "hint"),
    [
        (
            "runs: {having: {picks: ribosme}}",
            "'ribosme' matches no picks that the layer takes",
            "did you mean 'ribosome:ada/1'?",
        ),
        (
            "runs: {lacking: {picks: vlp}}, picks: ribosome",
            "'vlp' matches no picks that the layer takes",
            "it is there, but not among the picks that the layer takes of the runs that it selects",
        ),
        (
            "runs: {having: meshes}",
            "no run of source 'lab' has meshes",
            "remove it, or take from where there are meshes",
        ),
        (
            "runs: {having: [picks, tomograms], lacking: {picks: vlp}}",
            "no run that the layer selects has picks and tomograms and lacks picks 'vlp'",
            "ask for less, or say `allow_empty: true` if that is meant",
        ),
    ],
)
def test_what_no_run_holds_is_an_error(tmp_path: Path, layer: str, message: str, hint: str) -> None:
    found = exported(tmp_path, layer)
    (told,) = [d for d in found.diagnostics if d.is_error]
    assert (told.code, told.message, told.hint) == (Code.NO_RUN_HOLDS, message, hint)
    assert told.span is not None
    allowed = exported(tmp_path, f"{layer}, allow_empty: true")
    assert not with_code(allowed.diagnostics, Code.NO_RUN_HOLDS)


def test_a_misspelt_selector_of_the_layer_is_all_that_is_told(tmp_path: Path) -> None:
    found = exported(tmp_path, "runs: {having: picks}, picks: ribosme")
    assert [d.code for d in found.diagnostics if d.is_error] == [Code.NO_MATCH]


def test_a_selector_of_what_only_other_runs_have_is_told(tmp_path: Path) -> None:
    found = exported(tmp_path, "runs: {having: {picks: ribosome}}, tomograms: wbp")
    (told,) = [d for d in found.diagnostics if d.is_error]
    assert (told.message, told.hint) == (
        "'wbp' matches no tomogram in the chosen runs of source 'lab'",
        "the runs that the layer takes have no tomograms of 'wbp'",
    )


# Over the portal

TABLES = generate(runs=6)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(TABLES, shuffle=5) as running:
        yield running


def planned(folder: Path, url: str, layer: Mapping[str, Any], sources: Mapping[str, Any] | None = None) -> api.Planned:
    cdp = {"portal": {"datasets": [10000, 10440, 10301], "url": url}}
    document = {"sources": sources or {"cdp": cdp}, "layers": [{"export": "cdp", "on_collision": "first", **layer}]}
    path = folder / "portal.yaml"
    path.write_text(_head() + yaml.safe_dump(document), encoding="utf-8")
    (found,) = api.plan(path)
    return found


def _held(found: api.Planned, having: Sequence[Any], lacking: Sequence[Any] = ()) -> set[str]:
    """The runs of a plan of everything that hold something, by its rows."""
    assert found.plan is not None
    tables = found.plan.artifacts

    def holders(item: Any) -> set[str]:
        artifact, name = (item, None) if isinstance(item, str) else next(iter(item.items()))
        column = {"picks": "object_name", "segmentations": "name", "tomograms": "tomo_type"}[artifact]
        table = tables[artifact]
        return set(table["run"][[name is None or fnmatch.fnmatchcase(n, name) for n in table[column]]])

    runs = set(tables["runs"]["name"])
    for item in having:
        runs &= holders(item)
    for item in lacking:
        runs -= holders(item)
    return runs


LAYERS: tuple[dict[str, Any], ...] = (
    {"runs": {"having": ["picks"]}, "picks": "thyroglobulin", "segmentations": "none"},
    {"runs": {"having": [{"picks": "*ribosome"}, "tomograms"]}},
    {"runs": {"having": [{"segmentations": "*"}], "lacking": [{"picks": "*ribosome"}]}},
    {"runs": {"having": ["picks"]}, "picks": {"where": {"method_type": "manual"}}},
    {"runs": {"having": [{"tomograms": "wbp*"}, {"picks": "*"}]}, "tomograms": {"exclude": "*@7.84"}},
    {"runs": {"exclude": "re:.*1$", "having": [{"picks": "thyroglobulin"}]}, "segmentations": "none"},
    {"runs": {"lacking": [{"picks": "thyroglobulin"}]}},
)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: yaml.safe_dump(layer["runs"], default_flow_style=True))
def test_the_portal_gives_what_looking_at_every_run_gives(
    tmp_path: Path, server: Server, layer: dict[str, Any]
) -> None:
    conditions = {k: v for k, v in layer["runs"].items() if k in ("having", "lacking")}
    whole = {k: v for k, v in layer["runs"].items() if k not in conditions}
    everything = planned(tmp_path, server.url, {**layer, "runs": whole or "all", "allow_empty": True})
    found = planned(tmp_path, server.url, {**layer, "allow_empty": True})
    assert found.plan is not None
    assert everything.plan is not None
    kept = _held(everything, layer["runs"].get("having", ()), layer["runs"].get("lacking", ()))
    assert set(found.plan.artifacts["runs"]["name"]) == kept
    assert 0 < len(kept) < len(everything.plan.artifacts["runs"])
    for artifact, table in found.plan.artifacts.items():
        columns = [*ARTIFACTS[artifact].key, *(["url"] if "url" in table else [])]
        before = everything.plan.artifacts[artifact]
        of_kept = before[before["run" if "run" in before else "name"].isin(kept)]
        assert table[columns].to_numpy().tolist() == of_kept[columns].to_numpy().tolist(), artifact


def test_the_server_is_asked_for_the_runs_that_hold_something_and_for_no_other(tmp_path: Path) -> None:
    """A condition on runs costs one request less than it saves: no run is listed that the layer does not take."""
    layer = {"runs": {"having": "picks"}, "picks": "thyroglobulin", "segmentations": "none"}
    with serve(TABLES) as server:
        found = planned(tmp_path, server.url, layer)
        asked = [query for query in server.stats.queries if "rows: runs(" in query]
        assert found.plan is not None
        listed = next(
            r.rows for r in found.plan.resolution.layers[1].stock.parts[0].requests if r.what == "runs with picks"
        )
    assert len(asked) == 1
    assert listed == len(found.plan.artifacts["runs"]) < len(TABLES["Run"])


def test_runs_are_excluded_by_either_of_their_names(tmp_path: Path, server: Server) -> None:
    """One that matches no run is an error, and one that matches is none."""
    runs = TABLES["Run"]
    excluded = [str(runs[0]["id"]), runs[1]["name"]]
    layer = {"runs": {"exclude": excluded, "having": "tomograms"}, "tomograms": "all", "others": "exclude"}
    found = planned(tmp_path, server.url, layer)
    assert not [d for d in found.diagnostics if d.is_error]
    assert found.plan is not None
    left = {str(run["id"]) for run in runs[2:] if run["name"] != excluded[1]}
    assert set(found.plan.artifacts["runs"]["name"]) <= left
    wrong = planned(tmp_path, server.url, {**layer, "runs": {"exclude": "TS_none"}})
    assert [d.code for d in wrong.diagnostics if d.is_error] == [Code.NO_MATCH]


def test_a_source_is_what_it_is_whether_the_server_chose_its_runs_or_not(tmp_path: Path, server: Server) -> None:
    """Runs by name have all of them listed: the rows are the same, and so is what the source resolved to."""
    chosen = {"having": [{"picks": "thyroglobulin"}]}
    identities = []
    for runs in (chosen, {**chosen, "select": "*"}):
        found = planned(tmp_path, server.url, {"runs": runs})
        assert found.plan is not None
        identities.append(found.plan.identities)
    assert identities[0] == identities[1]


def test_several_sources_of_the_portal_are_one_of_all_their_datasets(tmp_path: Path, server: Server) -> None:
    parts = {f"p{d}": {"portal": {"datasets": [d], "url": server.url}} for d in (10301, 10000, 10440)}
    layer = {"runs": {"having": [{"picks": "*ribosome"}, "tomograms"]}, "picks": "*ribosome"}
    whole = planned(tmp_path, server.url, layer)
    found = planned(tmp_path, server.url, {**layer, "export": [*parts]}, parts)
    assert found.plan is not None
    assert whole.plan is not None
    for name, table in whole.plan.content.tables.items():
        assert found.plan.content.tables[name].equals(table), name


@pytest.mark.parametrize(("first", "chosen"), [([10301], True), ([10301, 10440], False)])
def test_the_server_chooses_runs_of_several_sources_that_have_none_in_common(
    tmp_path: Path, server: Server, first: list[int], chosen: bool
) -> None:
    """It is asked for the runs of the second source that have picks of thyroglobulin; the first has none."""
    parts = {f"p{i}": {"portal": {"datasets": d, "url": server.url}} for i, d in enumerate((first, [10440]))}
    layer = {"export": [*parts], "runs": {"having": "picks"}, "picks": "thyroglobulin", "segmentations": "none"}
    found = planned(tmp_path, server.url, layer, parts)
    assert found.plan is not None
    stock = found.plan.resolution.layers[1].stock
    listed = [r.rows for part in stock.parts for r in part.requests if r.what == "runs with picks"]
    holding = len(found.plan.artifacts["runs"])
    assert listed == [holding] * chosen
    assert 0 < holding < len([r for r in TABLES["Run"] if r["datasetId"] in (10301, 10440)])


def test_a_plan_says_how_many_runs_hold_what_is_asked_for(tmp_path: Path, server: Server) -> None:
    parts = {f"p{d}": {"portal": {"datasets": [d], "url": server.url}} for d in (10000, 10440)}
    runs = {"having": [{"picks": "thyroglobulin"}, "tomograms"], "lacking": {"segmentations": "*?instance=true"}}
    layer = {"export": [*parts], "runs": runs, "picks": "thyroglobulin", "allow_empty": True}
    found = planned(tmp_path, server.url, layer, parts)
    lines = text.planned([found.report], View(height=None, width=200)).splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("layer 1")]
    assert lines[at].startswith("layer 1 (export p10000 and p10440): adds 3 runs, 12 tomograms, 3 picks, ")
    assert lines[at + 1 : at + 3] == [
        "  picks 'thyroglobulin' selects 3",
        "  runs having picks 'thyroglobulin' and tomograms and lacking segmentations '*?instance=true': 3",
    ]
