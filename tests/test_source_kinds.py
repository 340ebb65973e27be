"""A kind of source is one object: a fourth one needs a line in the registry and nothing else."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import Field

import croissant_recipes
from croissant_recipes import Options, build, check, plan
from croissant_recipes.codes import Code
from croissant_recipes.language import source_kinds
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.language.recipe import Recipe, json_schema
from croissant_recipes.language.recipe_fields import BaseUrl, Model, Text
from croissant_recipes.language.source_kinds import SourceKind
from croissant_recipes.location import Location
from croissant_recipes.sources.base import FileFacts, Inventory, Means, Progress, Root, empty_tables
from croissant_recipes.sources.opener import source_key
from croissant_recipes.tables import artifacts

PACKAGE = Path(croissant_recipes.__file__).parent


class ListSource(Model):
    """A text file with the name of a picks file on each line."""

    file: Text = Field(description="Relative to the recipe file.")
    published: BaseUrl | None = Field(None, description="Where the files lie when the Croissant is read.")
    strict: bool = Field(False, description="Whatever.")


class ListedPicks:
    def __init__(self, spec: ListSource, means: Means) -> None:
        self._file = means.folder / spec.file

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        SCANNED.append(self._file.name)
        paths = self._file.read_text(encoding="utf-8").split()
        parts = [[p.split("/")[0], *p.split("/")[1].removesuffix(".json").split("_")] for p in paths]
        columns = ("run", "user_id", "session_id", "object_name")
        picks = {c: [p[i] for p in parts] for i, c in enumerate(columns)}
        held = {
            **empty_tables(),
            "runs": artifacts("runs", {"name": sorted(set(picks["run"]))}),
            "picks": artifacts("picks", {**picks, "root": ["all"] * len(paths), "path": paths}),
        }
        objects = tuple({"name": n, "is_particle": True} for n in sorted(set(picks["object_name"])))
        root = Root(Location.parse(self._file.parent), reads_files=True)
        return [Inventory(held, {"all": root}, objects)] * len(layers)

    def read_files(
        self,
        files: Sequence[tuple[str, str]],
        *,
        sha256: bool,
        progress: Progress,
    ) -> Mapping[tuple[str, str], FileFacts]:
        return {file: FileFacts("0" * 64, 10.0) for file in files}

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:
        return hashlib.sha256(self._file.read_bytes()).hexdigest()


SCANNED: list[str] = []


def open_list(name: str, spec: ListSource, means: Means) -> ListedPicks:
    return ListedPicks(spec, means)


KIND = SourceKind(
    "list",
    ListSource,
    "A list of picks files.",
    f"{__name__}:open_list",
    place="file",
    base_url="published",
    unread=frozenset({"published"}),
    types=("picks",),
)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source_kinds.KINDS, "list", KIND)
    SCANNED.clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picks.txt").write_text("TS_1/alice_1_ribosome.json\nTS_2/alice_1_ribosome.json\n", encoding="utf-8")
    return tmp_path


def written(folder: Path, name: str = "recipe.yaml", **changes: Any) -> Path:
    value = {
        "recipe": 1,
        "name": "example",
        "dataset": {
            "name": "A",
            "description": "B",
            "version": "1.0.0",
            "license": "MIT",
            "date_published": "2026-01-15",
        },
        "output": {"project_root": name.partition(".")[0]},
        "sources": {"picks": {"list": {"file": "picks.txt", "published": "https://example.org/p"}}},
        "layers": [{"export": "picks"}],
        **changes,
    }
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def found(path: Path) -> list[tuple[Code, str, str | None]]:
    return [(d.code, d.message, d.hint) for d in check(path)[0].diagnostics if d.is_error]


def test_a_recipe_that_uses_it_is_built(folder: Path) -> None:
    (built,) = build(written(folder), options=Options(base_url="https://example.org/out"))
    assert [str(d) for d in built.diagnostics if d.is_error] == []
    with (folder / "recipe/Croissant/picks.csv").open(encoding="utf-8", newline="") as file:
        picks = list(csv.DictReader(file))
    assert [row["run"] for row in picks] == ["TS_1", "TS_2"]
    assert [row["url"] for row in picks] == [f"https://example.org/p/TS_{n}/alice_1_ribosome.json" for n in (1, 2)]
    assert {row["sha256"] for row in picks} == {"0" * 64}


def test_what_is_the_same_source_is_scanned_once(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "picks.txt").write_text("TS_3/alice_1_ribosome.json\n", encoding="utf-8")
    sources = [
        {"list": {"file": "picks.txt"}},
        {"list": {"file": "./inner/../picks.txt", "published": "https://example.org/elsewhere"}},
        {"list": {"file": "inner/picks.txt"}},
    ]
    recipes = [written(folder, f"{n}.yaml", sources={"picks": source}) for n, source in enumerate(sources)]
    assert all(p.ok for p in plan(*recipes, options=Options(base_url="https://example.org/out")))
    assert SCANNED == ["picks.txt", "picks.txt"]
    entries = [Recipe.model_validate(json.loads(r.read_text())).sources["picks"] for r in recipes]
    keys = [source_key(entry, folder) for entry in entries]
    assert keys[0] == keys[1] != keys[2]
    assert source_key(entries[0], folder / "inner") == keys[2]


def test_it_says_which_types_it_holds(folder: Path) -> None:
    layers = [{"export": "picks", "meshes": ["ribosome"], "picks": ["ribosome"]}]
    assert found(written(folder, layers=layers)) == [
        (Code.ARTIFACT_TYPE, "'picks' is a list source, and the list has no meshes", "remove it; the list has picks")
    ]


def test_what_only_the_portal_has_is_refused(folder: Path) -> None:
    layers = [{"export": "picks", "picks": {"where": {"method_type": "hybrid"}}}]
    assert [message for _, message, _ in found(written(folder, layers=layers))] == [
        "picks.where needs a portal source, and 'picks' is a list source"
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "a source is exactly one of portal, copick, croissant or list, not none"),
        (
            {"list": {"file": "a"}, "copick": {"config": "b"}},
            "a source is exactly one of portal, copick, croissant or list, not copick and list",
        ),
        ({"list": {"file": 3}}, "sources.picks.list.file must be text, not the number 3"),
        ({"list": {"fil": "a"}}, "unknown key 'fil' in sources.picks.list"),
        ({"list": {}}, "'file' is missing in sources.picks.list"),
        ({"lst": {}}, "unknown key 'lst' in sources.picks"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_of_it_too(folder: Path, source: dict[str, Any], message: str) -> None:
    assert message in "\n".join(text for _, text, _ in found(written(folder, sources={"picks": source})))


def test_hints_know_its_keys(folder: Path) -> None:
    wrong = written(folder, sources={"picks": {"list": {"file": "picks.txt", "pubished": "https://example.org"}}})
    assert [hint for _, _, hint in found(wrong)] == ["did you mean 'published'?"]


def test_the_schema_for_editors_has_it() -> None:
    schema = json_schema()
    entry = schema["$defs"]["Source"]
    assert list(entry["properties"]) == ["portal", "copick", "croissant", "list"]
    assert [choice["required"] for choice in entry["oneOf"]] == [["portal"], ["copick"], ["croissant"], ["list"]]
    assert schema["$defs"]["ListSource"]["required"] == ["file"]
    Draft7Validator.check_schema(schema)


def test_a_recipe_writes_its_sources_as_they_were_given(folder: Path) -> None:
    recipe = Recipe.model_validate(json.loads(written(folder).read_text()))
    assert recipe.model_dump(mode="json", exclude_defaults=True)["sources"] == {
        "picks": {"list": {"file": "picks.txt", "published": "https://example.org/p"}}
    }
    assert Recipe.model_validate_json(recipe.model_dump_json(exclude_unset=True)) == recipe


@pytest.mark.parametrize("opener", [k.opener for k in source_kinds.KINDS.values()])
def test_every_opener_is_there(opener: str) -> None:
    assert callable(source_kinds.load(opener))


@pytest.mark.parametrize("opener", [k.opener for k in source_kinds.CONFIG_TYPES.values()])
def test_every_opener_of_a_config_type_is_there(opener: str) -> None:
    assert callable(source_kinds.load(opener))


def test_no_other_module_lists_the_kinds() -> None:
    for names in ({"portal", "copick", "croissant"}, set(source_kinds.CONFIG_TYPES)):
        for path in PACKAGE.rglob("*.py"):
            if path.name == "source_kinds.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                listed = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
                texts = {n.value for n in listed if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                assert len(texts & names) < 2, f"{path.relative_to(PACKAGE)}:{node.lineno}"
