"""Fragments: a recipe that includes them means what one file with all of it means, and nothing hostile gets further."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from compiling import DATASET, artifacts, inventory, obj, plan, rows
from jsonschema import Draft7Validator
from projects import write_project
from recipes_gen import Case, random_case
from yaml import BaseLoader, load

from croissant_recipes import api, load_recipe
from croissant_recipes.codes import Code
from croissant_recipes.language import fragments, normal_form, yaml_nodes
from croissant_recipes.language.recipe import FRAGMENT_KEYS, fragment_json_schema, json_schema
from croissant_recipes.language.recipe_edits import Edits, edited

CASES = 24
PLANNED = 3


# Any recipe, cut into fragments


def whole(case: Case, rng: random.Random) -> dict[str, Any]:
    """The recipe of a generated case, with more of what fragments can hold."""
    document: dict[str, Any] = json.loads(json.dumps(load(case.recipe(), BaseLoader)))
    document |= {"recipe": 1}
    for layer in document["layers"]:
        layer["allow_empty"] = True
    names = sorted({o.name for spec in case.specs.values() for o in spec.objects})
    document["rename"] = {"sessions": {"*": "0", "1": "one"}, "users": {"a*": "somebody"}, "objects": {"gone": "x"}}
    document["objects"] = {
        name: {"label": 50 + i, "is_particle": True, "metadata": {"a": {"b": [i], "c": "d"}}}
        for i, name in enumerate(rng.sample(names, min(2, len(names))))
        if not document["layers"][0].get("rename", {}).get("objects")
    }
    document["expect"] = {"runs": ">= 0", "picks": ">= 0", "splits": {"train": ">= 0", "val": "0..99"}}
    document.setdefault("splits", {})["random"] = {"ratios": {"train": 0.5, "val": 0.5}, "seed": 7}
    document["splits"]["file"] = "common/splits.csv"
    for layer in document["layers"]:
        layer["on_collision"] = "first"
    if not document["objects"]:
        del document["objects"]
    return document


class Cutter:
    """Spreads what fragments can hold over a recipe and some of them."""

    def __init__(self, rng: random.Random, document: Mapping[str, Any]) -> None:
        self.rng = rng
        self.files: list[dict[str, Any]] = [{} for _ in range(rng.randint(1, 4))]
        self.recipe = {k: v for k, v in document.items() if k not in FRAGMENT_KEYS}
        self._cut({k: v for k, v in document.items() if k in FRAGMENT_KEYS}, [self.recipe, *self.files], ())

    def _cut(self, value: Mapping[str, Any], into: list[dict[str, Any]], path: tuple[str, ...]) -> None:
        """``into`` are the recipe and its fragments, what wins first."""
        for key, child in value.items():
            if isinstance(child, dict) and child and self.rng.random() < 0.8:
                places = self.rng.sample(range(len(into)), self.rng.randint(1, len(into)))
                self._cut(child, [into[i].setdefault(key, {}) for i in sorted(places)], (*path, key))
                continue
            at = self.rng.randrange(len(into))
            into[at][key] = child
            for below in into[at + 1 :]:
                if self.rng.random() < 0.3 and (*path, key) != ("splits", "file"):
                    below[key] = self.rng.choice((["overridden"], "overridden", 7))

    def write(self, folder: Path) -> Path:
        """The recipe, whose fragments lie in folders below and include each other or not."""
        places = [f"{self.rng.choice(('', 'common/', 'common/deeper/'))}f{i}.yaml" for i in range(len(self.files))]
        included = list(range(len(places)))
        nested = len(places) > 1 and self.rng.random() < 0.5
        if nested:
            # The last, which loses to all, may stand below the one before it.
            *included, last = included
            above = included[-1]
            start = os.path.dirname(places[above]) or "."
            self.files[above]["include"] = [os.path.relpath(places[last], start)]
        for place, content in zip(places, self.files, strict=True):
            moved = content.get("splits", {})
            if isinstance(moved, dict) and "file" in moved:
                moved["file"] = os.path.relpath("common/splits.csv", os.path.dirname(place) or ".")
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(json.dumps(content or {"objects": {}}), encoding="utf-8")
        # A later fragment wins over an earlier one.
        self.recipe["include"] = [places[i] for i in reversed(included)]
        path = folder / "cut.yaml"
        path.write_text(json.dumps(self.recipe), encoding="utf-8")
        return path


def both(folder: Path, seed: int) -> tuple[Path, Path]:
    """A recipe in one file, and in several."""
    rng = random.Random(seed)
    document = whole(random_case(seed, nasty=False), rng)
    (folder / "common").mkdir(parents=True)
    (folder / "common/splits.csv").write_text("split,run\ntest,none-such\n", encoding="utf-8")
    one = folder / "one.yaml"
    one.write_text(json.dumps(document), encoding="utf-8")
    return one, Cutter(rng, document).write(folder)


def said(path: Path) -> tuple[object, list[str]]:
    """The normal form of a recipe, or what is wrong with it, wherever it stands."""
    (checked,) = api.check(path)
    form = None if checked.recipe is None else normal_form.digest(checked.recipe)
    return form, sorted(f"{d.code.value} {d.message}" for d in checked.diagnostics)


def test_a_recipe_cut_into_fragments_has_the_same_normal_form(tmp_path: Path) -> None:
    good = 0
    for seed in range(CASES):
        one, cut = both(tmp_path / str(seed), seed)
        assert said(one) == said(cut), seed
        good += said(one)[0] is not None
    assert good > CASES / 2


def test_a_recipe_cut_into_fragments_plans_the_same(tmp_path: Path) -> None:
    planned = 0
    for seed in range(PLANNED):
        case = random_case(seed, nasty=False)
        one, cut = both(tmp_path / str(seed), seed)
        if case.base:
            continue
        for name, spec in case.specs.items():
            write_project(tmp_path / str(seed) / name, spec)
        first, second = (api.plan(path)[0] for path in (one, cut))
        assert {d.message for d in first.diagnostics} == {d.message for d in second.diagnostics}
        if first.plan is None or second.plan is None:
            continue
        planned += 1
        for name, table in first.plan.content.tables.items():
            assert table.equals(second.plan.content.tables[name]), (seed, name)
        assert objects(first) == objects(second)
    assert planned


def objects(planned: api.Planned) -> list[Mapping[str, Any]]:
    assert planned.plan is not None
    found: Any = planned.plan.content.config["pickable_objects"]
    return sorted(found, key=lambda o: str(o["name"]))


# What a fragment says and what it does not


RECIPE = """\
recipe: 1
name: small
include: {include}
output: {{project_root: out, base_url: "https://example.org/data"}}
sources:
  lab: {{copick: {{config: lab.json}}}}
  other: {{copick: {{config: other.json}}}}
"""


def write(folder: Path, files: Mapping[str, str], body: str, include: object) -> Path:
    for name, text in {"data.yaml": DATASET, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(include=json.dumps(include)) + body, encoding="utf-8")
    return path


def said_of(path: Path) -> list[str]:
    return [
        str(d).replace(f"{path.parent}/", "").partition("\n")[0] for d in api.check(path)[0].diagnostics if d.is_error
    ]


LAYERS = "layers: [{export: lab}]\n"


def test_what_includes_wins_then_the_later_fragment_and_lists_are_replaced(tmp_path: Path) -> None:
    files = {
        "a.yaml": "objects: {r: {radius: 1, label: 1, pdb_id: a}}\nsplits: {assign: {train: [a, b], val: a}}\n",
        "b.yaml": "include: c.yaml\nobjects: {r: {radius: 2, label: 2}}\nsplits: {assign: {train: [c]}}\n",
        "c.yaml": "objects: {r: {label: 3, emdb_id: c}}\n",
    }
    recipe = load_recipe(
        write(tmp_path, files, f"objects: {{r: {{radius: 9}}}}\n{LAYERS}", ["data.yaml", "a.yaml", "b.yaml"])
    )
    (found,) = recipe.recipe.objects.values()
    assert found.model_dump(exclude_unset=True) == {"radius": 9, "label": 2, "pdb_id": "a", "emdb_id": "c"}
    assert dict(recipe.recipe.splits.assign) == {"train": ("c",), "val": "a"}


def test_the_rename_of_all_layers_comes_after_that_of_each(tmp_path: Path) -> None:
    shared = 'rename: {sessions: {"tm-*": "0", gone: x, "1": shared}, objects: {vlp: particle}}\n'
    own = 'layers:\n  - {export: lab, rename: {sessions: {"re:tm-2": own}}}\n  - {append: other, others: include}\n'
    checked = load_recipe(write(tmp_path, {"names.yaml": shared}, own, ["data.yaml", "names.yaml"]))
    picks = artifacts("picks", *(("TS", "a", s, o) for s in ("1", "tm-1", "tm-2") for o in ("vlp", "ribosome")))
    other = artifacts("picks", ("TS", "b", "tm-2", "vlp"))
    found = plan(checked, inventory(picks=picks, objects=[obj("vlp"), obj("ribosome")]), inventory(picks=other))
    assert [str(d) for d in found.diagnostics if d.is_error] == []
    assert {(user, session) for _, user, session, _ in rows(found, "picks")} == {
        ("a", "shared"), ("a", "0"), ("a", "own"), ("b", "0"),
    }  # fmt: skip
    assert {row[3] for row in rows(found, "picks")} == {"particle", "ribosome"}
    assert {o["name"] for o in found.content.config["pickable_objects"]} == {"particle", "ribosome"}  # type: ignore[attr-defined]


def test_a_rename_of_all_layers_that_none_has_the_name_of_is_told(tmp_path: Path) -> None:
    """In what recipes share only where it may be misspelt, as each has other names."""
    fragment = "rename: {sessions: {tm-11: x, elsewhere: y}, users: {b: z}}\n"
    own = "rename: {users: {nobody: x}, objects: {ribosom*: x}}\n"
    layers = "layers:\n  - {export: lab}\n  - {append: other, others: include%s}\n"
    for allowed in ("", ", allow_empty: true"):
        checked = load_recipe(
            write(tmp_path, {"names.yaml": fragment}, own + layers % allowed, ["data.yaml", "names.yaml"])
        )
        picks, other = (artifacts("picks", ("TS", user, "tm-1", "vlp")) for user in ("a", "b"))
        found = plan(checked, inventory(picks=picks, objects=[obj("vlp")]), inventory(picks=other))
        told = [d for d in found.diagnostics if d.code is Code.RENAME_UNKNOWN]
        assert not any(d.is_error for d in told)
        assert [(d.message, d.hint) for d in told] == ([] if allowed else [
            ("'tm-11' names no session in any layer", "did you mean 'tm-1'?"),
            ("'nobody' names no user in any layer", "there are 'a' and 'b'"),
            ("'ribosom*' names no object in any layer", "there are 'vlp'"),
        ])  # fmt: skip


def test_an_absolute_path_leads_anywhere_and_relative_ones_stay_there(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "recipes"
    files = {
        "../elsewhere/a.yaml": "include: b.yaml\nsplits: {file: s.csv}\n",
        "../elsewhere/b.yaml": "expect: {runs: 1}\n",
    }
    recipe = write(folder, files, LAYERS, ["data.yaml", str(elsewhere / "a.yaml")])
    (elsewhere / "s.csv").write_text("split,run\ntrain,TS\n")
    checked = load_recipe(recipe)
    assert checked.recipe.splits.file == "../elsewhere/s.csv"
    assert [(r.split, r.run) for r in checked.split_rows] == [("train", "TS")]
    assert checked.recipe.expect.runs == 1
    (elsewhere / "a.yaml").write_text("include: ../recipes/data.yaml\n")
    assert said_of(recipe) == [
        f"{elsewhere}/a.yaml:1:10: error[CR115]: '../recipes/data.yaml' leads out of the folder of the fragment"
    ]


def test_hostile_files_are_no_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "NODE_LIMIT", 100)
    (tmp_path / "secret.yaml").write_text("objects: {a: {label: 1}}\n")
    folder = tmp_path / "recipes"
    deep = {f"d{i}.yaml": f"include: d{i + 1}.yaml\n" for i in range(12)}
    many = dict.fromkeys(("m.yaml", "n.yaml"), f"expect: {{picks: {{{', '.join(f'o{i}: 1' for i in range(40))}}}}}\n")
    large = {"large.yaml": "#" * (2 * 2**20) + "\nobjects: {}\n"}
    include = ["link.yaml", "fifo", "d0.yaml", "large.yaml", "/dev/zero", "m.yaml", "n.yaml"]
    recipe = write(folder, deep | many | large, LAYERS, include)
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    os.mkfifo(folder / "fifo")
    assert said_of(recipe) == [
        "d9.yaml:1:10: error[CR113]: fragments include each other more than 10 deep",
        "recipe.yaml:3:11: error[CR115]: 'link.yaml' leads out of the recipe's folder by a link",
        "recipe.yaml:3:24: error[CR113]: the fragment 'fifo' cannot be read: it is a named pipe, not a file",
        "recipe.yaml:3:43: error[CR113]: the fragment 'large.yaml' cannot be read: it is larger than 2 MiB",
        "recipe.yaml:3:57: error[CR113]: the fragment '/dev/zero' cannot be read: it is a device, not a file",
        "recipe.yaml:3:80: error[CR113]: the recipe and what it includes hold more than 100 values",
    ]


def test_one_fragment_in_many_places_is_read_once_and_there_are_not_too_many(tmp_path: Path) -> None:
    layers = {f"f{i}.yaml": f"include: [f{i + 1}.yaml, f{i + 1}.yaml]\n" for i in range(8)}
    recipe = write(tmp_path, {**layers, "f8.yaml": "objects: {r: {label: 1}}\n"}, LAYERS, ["data.yaml", "f0.yaml"])
    assert said_of(recipe) == []
    recipe = write(tmp_path, {"a.yaml": "expect: {runs: 1}\n"}, LAYERS, ["a.yaml"] * 101)
    assert said_of(recipe) == ["recipe.yaml:3:1011: error[CR113]: the recipe includes more than 100 fragments"]


def test_the_schemas_take_parts_where_there_are_fragments() -> None:
    fragment, recipe = Draft7Validator(fragment_json_schema()), Draft7Validator(json_schema())
    Draft7Validator.check_schema(fragment_json_schema())
    part = {"dataset": {"version": "1.0.0"}, "splits": {"random": {"seed": 7}}, "rename": {"sessions": {"*": "0"}}}
    assert fragment.is_valid(part)
    assert not any(fragment.is_valid(wrong) for wrong in ({}, {"layers": []}, {"objects": {"a": {"label": 0}}}))
    whole = {"recipe": 1, "name": "a", "output": {"project_root": "b"}, "base": "c", "splits": part["splits"]}
    assert recipe.is_valid({**whole, "include": "x.yaml"})
    assert not recipe.is_valid(whole)


def test_a_list_that_is_adopted_goes_on_from_that_of_the_fragment(tmp_path: Path) -> None:
    files = {"splits.yaml": "splits: {assign: {train: [a, 'b*'], val: c}, unassign: d}\n"}
    recipe = write(tmp_path, files, f"splits: {{assign: {{val: e}}}}\n{LAYERS}", ["data.yaml", "splits.yaml"])
    inherited = fragments.inherited(load_recipe(recipe).document, "splits")
    assert inherited == {"assign": {"train": ["a", "b*"]}, "unassign": "d"}
    edits = Edits(assign={"train": ["x"], "val": ["y"]}, unassign=["z"], inherited=inherited)
    recipe.write_text(edited(recipe.read_text(), edits))
    splits = load_recipe(recipe).recipe.splits
    assert dict(splits.assign) == {"train": ("a", "b*", "x"), "val": ("e", "y")}
    assert splits.unassign == ("d", "z")
