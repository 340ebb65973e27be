"""New names of users, sessions, objects and tomogram types, by name, by pattern and by template, for every kind of
source. Generated recipes are built, and every row is compared with what the names of its file should become."""

from __future__ import annotations

import fnmatch
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compiling import HEADER, artifacts, inventory, plan, recipe, rows, with_code
from copick.util.escape import sanitize_name
from projects import random_spec, write_project
from recipes_gen import DATASET
from samples import built, contents, copy_sample, write_recipe

from croissant_recipes import api, from_croissant
from croissant_recipes.codes import Code
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import manifest
from croissant_recipes.schema import RECORD_SETS

MADE_BY = ("picks", "meshes", "segmentations", "instance_segmentations", "panoptic_segmentations")
NAMED = (*MADE_BY, "tomograms", "features", "objects")
CASES = 8
GROUP = 4
TEMPLATES = ("{user}-{session}", "{object}", "{run}.{voxel_size}", "x{session:>4}", "_{voxel_size}")


# Any names


class Expected:
    """What the names in a row become: the rules of the format once more, one name at a time."""

    def __init__(self, layer: Mapping[str, Any]) -> None:
        self.layer = layer

    def row(self, record_set: str, row: Mapping[str, Any]) -> dict[str, Any]:
        new = dict(row)
        if record_set in MADE_BY:
            column = "object_name" if "object_name" in row else "name"
            for kind, key in (("users", "user_id"), ("sessions", "session_id")):
                made = self._templated(self.layer[key], key, row, column) if key in self.layer else row[key]
                new[key] = self.name(kind, str(made))
            new[column] = self.name("objects", str(row[column]))
        if "tomo_type" in row:
            new["tomo_type"] = self.name("tomo_types", str(row["tomo_type"]))
        if record_set == "objects":
            new["name"] = self.name("objects", str(row["name"]))
        return new

    def name(self, kind: str, old: str) -> str:
        names: Mapping[str, str] = self.layer["rename"].get(kind, {})
        if old in names:
            return names[old]
        found = [new for text, new in names.items() if text != "*" and _matches(text, old)]
        return found[0] if found else names.get("*", old)

    @staticmethod
    def _templated(template: str, key: str, row: Mapping[str, Any], column: str) -> str:
        size = row.get("voxel_size")
        fields = {"run": row["run"], "user": row["user_id"], "session": row["session_id"], "object": row[column]}
        try:
            text = template.format(**fields, voxel_size="" if size is None or size != size else size)
            return str(sanitize_name(text, suppress_warnings=True))
        except ValueError:
            return str(row[key])


def _matches(text: str, name: str) -> bool:
    if text.startswith("re:"):
        return re.match(text[3:], name) is not None
    return fnmatch.fnmatchcase(name, text)


def random_map(rng: random.Random, names: Sequence[str]) -> dict[str, str]:
    """A rename map that has no two patterns but ``*``."""
    found = {n: rng.choice(("0", "1", "new")) for n in rng.sample(list(names), min(len(names), rng.randint(0, 2)))}
    plain = [n for n in names if re.fullmatch(r"[\w.-]+", n)]
    if plain and rng.random() < 0.6:
        first, last = (name := rng.choice(plain))[0], name[-1]
        pattern = rng.choice((f"{first}*", f"re:{first}", f"re:.*{re.escape(last)}$", f"[!{first}]*"))
        found[pattern] = rng.choice(("0", "pattern"))
    return found | ({"*": "rest"} if rng.random() < 0.3 else {})


def random_layer(rng: random.Random, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    def distinct(column: str, *record_sets: str) -> list[str]:
        return sorted({value for name in record_sets for value in tables[name].get(column, ())})

    pools = {
        "users": distinct("user_id", *MADE_BY),
        "sessions": distinct("session_id", *MADE_BY),
        "objects": sorted({*distinct("object_name", *MADE_BY), *distinct("name", *MADE_BY)}),
        "tomo_types": distinct("tomo_type", "tomograms"),
    }
    rename = {kind: random_map(rng, names) for kind, names in pools.items() if rng.random() < 0.7}
    templates = {key: rng.choice(TEMPLATES) for key in ("session_id", "user_id") if rng.random() < 0.4}
    return {"allow_empty": True, "on_collision": "first", "rename": rename, **templates}


def write(folder: Path, source: Mapping[str, Any], layer: Mapping[str, Any], out: str) -> Path:
    document = {
        "recipe": 1,
        "name": out,
        "dataset": DATASET,
        "output": {"project_root": out},
        "sources": {"lab": source},
        "layers": [{"export": "lab", **layer}],
    }
    path = folder / f"{out}.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def build(*recipes: Path) -> list[Mapping[str, pd.DataFrame]]:
    """The tables of recipes."""
    results = api.build(*recipes)
    assert [str(d) for r in results for d in r.diagnostics if d.is_error] == []
    return [r.plan.content.tables for r in results if r.plan is not None]


def places(table: pd.DataFrame) -> list[str]:
    """Where the data of rows lies, below whatever root."""
    return [re.sub(".*/(?=ExperimentRuns/|Objects/)", "", url) for url in table["url"]]


@pytest.mark.parametrize("kind", ["copick", "croissant"])
@pytest.mark.parametrize("start", range(0, CASES, GROUP))
def test_every_row_gets_the_name_that_it_should(
    kind: str, start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_check", lambda *_, **__: None)
    rngs = [random.Random(f"{kind} {seed}") for seed in range(start, start + GROUP)]
    folders = [tmp_path / str(i) for i in range(GROUP)]
    project: Mapping[str, Any] = {"copick": {"config": "lab/filesystem.json"}}
    for folder, rng in zip(folders, rngs, strict=True):
        write_project(folder / "lab", random_spec(rng))
    before = build(*(write(folder, project, {}, "before") for folder in folders))
    source = {"croissant": {"url": "before/Croissant/metadata.json"}} if kind == "croissant" else project
    layers = [random_layer(rng, tables) for rng, tables in zip(rngs, before, strict=True)]
    after = build(*(write(f, source, layer, "after") for f, layer in zip(folders, layers, strict=True)))
    changed = 0
    for layer, old, new in zip(layers, before, after, strict=True):
        for name in NAMED:
            key, rows = list(RECORD_SETS[name].key), old[name].to_dict("records")
            should = [[row[c] for c in key] for row in (Expected(layer).row(name, row) for row in rows)]
            of_place = dict(zip(places(old[name]), should, strict=True))
            found = dict(zip(places(new[name]), new[name][key].to_numpy().tolist(), strict=True))
            # Of rows that get one key the first is kept.
            assert {tuple(k) for k in found.values()} == {tuple(k) for k in should}, (name, layer)
            assert found == {place: of_place[place] for place in found}, (name, layer)
            changed += sum(k != o for k, o in zip(should, old[name][key].to_numpy().tolist(), strict=True))
    assert changed > 30


# Entries and templates that say what they mean


LINE = HEADER.count("\n") + 2


def exported(folder: Path, layer: str) -> Plan:
    """The plan of a layer over some picks of two users, given as the inside of a flow mapping."""
    keys = [("TS", u, s, o) for u in ("ann", "bob") for s in ("tm-1", "tm-2", "a[b]") for o in ("ribosome", "vlp")]
    source = inventory(picks=artifacts("picks", *keys), meshes=artifacts("meshes", ("TS", "ann", "tm-1", "vlp")))
    return plan(recipe(folder, f"layers:\n  - {{export: lab, {layer}}}\n"), source)


def told(found: Plan, code: Code) -> list[str]:
    return [str(d).partition("recipe.yaml:")[2] for d in with_code(found.diagnostics, code)]


def test_a_name_comes_before_patterns_and_these_before_all(tmp_path: Path) -> None:
    found = exported(tmp_path, 'rename: {sessions: {"*": rest, "tm-*": pattern, tm-1: name}}')
    assert {s for _, _, s, _ in rows(found, "picks")} == {"name", "pattern", "rest"}
    assert rows(found, "meshes") == [("TS", "ann", "name", "vlp")]
    swapped = exported(tmp_path, "rename: {sessions: {tm-1: tm-2, tm-2: tm-1}}, picks: '*:ann/tm-1', others: exclude")
    assert {s for _, _, s, _ in rows(swapped, "picks")} == {"tm-2"}


def test_a_name_with_the_signs_of_a_pattern_is_a_name_where_it_is_there(tmp_path: Path) -> None:
    found = exported(tmp_path, 'rename: {sessions: {"a[b]": bracket}}')
    assert {s for _, _, s, _ in rows(found, "picks")} == {"tm-1", "tm-2", "bracket"}


def test_two_patterns_that_disagree_are_an_error_and_two_that_agree_are_none(tmp_path: Path) -> None:
    found = exported(tmp_path, 'rename: {users: {"a*": x, "re:.*n$": y}, sessions: {"tm-*": "0", "*-1": "0"}}')
    assert told(found, Code.RENAME_PATTERN) == [
        f"{LINE}:45: error[CR223]: 'ann' is 'x' by 'a*' and 'y' by 're:.*n$'\n"
        "  hint: a name comes before patterns: give 'ann' an entry of its own, or let one of the patterns leave it out"
    ]


def test_an_entry_that_means_nothing_is_an_error_with_the_nearest_names(tmp_path: Path) -> None:
    found = exported(
        tmp_path, 'rename: {users: {anne: a}, sessions: {"tn-*": "0"}, objects: {"*": all}}, on_collision: first'
    )
    assert told(found, Code.RENAME_UNKNOWN) == [
        f"{LINE}:36: error[CR402]: 'anne' names no user in source 'lab'\n  hint: did you mean 'ann'?",
        f"{LINE}:57: error[CR402]: 'tn-*' names no session in source 'lab'\n"
        "  hint: there are 'a[b]', 'tm-1' and 'tm-2'",
    ]
    after = exported(tmp_path, 'session_id: "{user}-{object}", rename: {sessions: {tm-1: "0"}}, on_collision: first')
    assert told(after, Code.RENAME_UNKNOWN) == [
        f"{LINE}:70: error[CR402]: 'tm-1' is no session that the template '{{user}}-{{object}}' gives\n"
        "  hint: it gives 'ann-ribosome', 'ann-vlp', 'bob-ribosome' and 'bob-vlp'"
    ]


def test_two_sessions_under_one_name_collide_and_the_hints_say_what_would_keep_both(tmp_path: Path) -> None:
    renamed = exported(tmp_path, 'rename: {sessions: {"tm-*": "0"}}')
    (found,) = with_code(renamed.diagnostics, Code.COLLISION)
    assert str(found.hint).startswith("rename to different names to keep both")
    (found,) = with_code(exported(tmp_path, 'session_id: "{user}"').diagnostics, Code.COLLISION)
    assert str(found.hint).startswith("add {session} to session_id to keep both")


# Opened


def test_what_is_renamed_opens_by_its_row_and_is_saved_as_any_renamed_row(tmp_path: Path) -> None:
    project = copy_sample(tmp_path)
    names = '{users: {"*": reference}, sessions: {"tm-*": "0", "re:(round|v)": "1"}}'
    result = built(write_recipe(tmp_path, f"  - {{export: lab, on_collision: first, rename: {names}}}\n"))
    root, plain = (
        from_croissant(result.metadata_url),
        from_croissant(built(write_recipe(tmp_path, "  - {export: lab}\n", name="plain", out="plain")).metadata_url),
    )
    assert {(p.user_id, p.session_id) for run in root.runs for p in run.picks} <= {
        ("reference", "0"),
        ("reference", "1"),
    }
    found, before = contents(root), contents(plain)
    made_by = [key for key in found if len(key) >= 5]
    assert made_by
    for key in made_by:
        same = [k for k in before if (k[0], k[1], k[-1]) == (key[0], key[1], key[-1])]
        assert any(np.array_equal(found[key], before[k]) for k in same), key
    (picks,) = root.get_run("TS_002").get_picks("ribosome", user_id="reference", session_id="0")
    data = project / "ExperimentRuns/TS_002/Picks"
    files = {p: p.read_bytes() for p in data.iterdir()}
    with pytest.raises(PermissionError, match=r"save under another user or session, or open .* with an overlay_root"):
        picks.from_numpy(np.array([[7.0, 7.0, 7.0]]))
    assert {p: p.read_bytes() for p in data.iterdir()} == files
    above = from_croissant(result.metadata_url, overlay_root=str(tmp_path / "overlay")).get_run("TS_002")
    above.new_picks("ribosome", "1", "reviewer").from_numpy(np.array([[7.0, 7.0, 7.0]]))
    assert {p: p.read_bytes() for p in data.iterdir()} == files
    assert {(p.user_id, p.session_id) for p in above.picks} >= {("reference", "0"), ("reviewer", "1")}
