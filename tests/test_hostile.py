"""Sources and surroundings that mean no good, or that somebody broke: each is one clear error, and none is a bug."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from croissants import write_croissant
from servers import serving

import croissant_recipes
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.language import yaml_nodes

SAMPLE = Path(__file__).parent.parent / "recipes" / "sample"

RECIPE = """\
recipe: 1
name: example
dataset: {name: A, description: B, version: 1.0.0, license: MIT, date_published: 2026-01-15, url: https://example.org,
          creators: [{name: C}]}
output: {project_root: lab}
sources:
  lab: {copick: {config: lab/filesystem.json}}
layers: [{export: lab}]
"""
FROM_CROISSANT = RECIPE.replace(
    "copick: {config: lab/filesystem.json}", "croissant: {url: other/Croissant/metadata.json}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, ``lab``, and a recipe over it."""
    shutil.copytree(SAMPLE, tmp_path / "lab", ignore=shutil.ignore_patterns("Croissant"))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors(recipe: str = "recipe.yaml") -> list[Diagnostic]:
    (result,) = croissant_recipes.plan(recipe)
    return [d for d in result.diagnostics if d.is_error]


def said(recipe: str = "recipe.yaml") -> str:
    """The one error of a recipe. It has to say where and what would be right."""
    (error,) = errors(recipe)
    assert error.span is not None
    assert error.hint
    return str(error)


@contextmanager
def answering(answers: list[tuple[int, bytes]], *, endless: bool = False) -> Iterator[str]:
    """A web server that gives these answers (status and body) one after the other, the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Connection", "close")
            if not endless:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
                while endless:
                    self.wfile.write(b" " * 2**20)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url


def test_the_project_is_fine_as_it_is(folder: Path) -> None:
    assert errors() == []


# What lies where a file should


def replaced_by_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def replaced_by_device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("replace", "what"), [(replaced_by_pipe, "a named pipe"), (replaced_by_device, "a device")], ids=["pipe", "device"]
)
def test_pipes_and_devices_in_place_of_files(folder: Path, replace: object, what: str) -> None:
    """None is waited for, and none is read."""
    assert callable(replace)
    replace(folder / "lab/filesystem.json")
    assert f"copick config {folder}/lab/filesystem.json cannot be read: it is {what}, not a file" in said()
    (folder / "recipe.yaml").write_text(FROM_CROISSANT)
    (folder / "other/Croissant").mkdir(parents=True)
    replace(folder / "other/Croissant/metadata.json")
    assert f"metadata.json cannot be read: it is {what}, not a file" in said()
    (folder / "recipe.yaml").write_text(RECIPE + "splits: {file: splits.csv}\n")
    replace(folder / "splits.csv")
    assert f"splits.csv: it is {what}, not a file" in said()
    replace(folder / "recipe.yaml")
    assert f"the recipe cannot be read: it is {what}, not a file" in said()


def test_a_pipe_among_picks(folder: Path) -> None:
    replaced_by_pipe(folder / "lab/ExperimentRuns/TS_003/Picks/ada_1_ribosome.json")
    (error,) = errors()
    assert error.notes == ("ExperimentRuns/TS_003/Picks/ada_1_ribosome.json: it is a named pipe, not a file",)


@pytest.mark.parametrize(
    "text", ["[" * 2_000, '{"a":' * 100_000, "[" * 2_000 + "]" * 2_000], ids=["lists", "objects", "shut"]
)
def test_picks_that_are_nested_deep(folder: Path, text: str) -> None:
    (folder / "lab/ExperimentRuns/TS_003/Picks/ada_1_ribosome.json").write_text(text)
    (error,) = errors()
    problem = "its values are nested more than 64 levels deep"
    assert error.notes == (f"ExperimentRuns/TS_003/Picks/ada_1_ribosome.json: {problem}",)


def test_a_voxel_size_without_end(folder: Path) -> None:
    """The reader of the head of a file and the one of the whole agree."""
    picks = folder / "lab/ExperimentRuns/TS_003/Picks/ada_1_ribosome.json"
    picks.write_text('{"pickable_object_name": "ribosome", "voxel_spacing": 1e999, "points": []}')
    for hashed in (True, False):
        options = croissant_recipes.Options(file_sha256=hashed)
        (result,) = croissant_recipes.plan("recipe.yaml", options=options)
        assert not result.ok
        assert "is no voxel size" in str(result.diagnostics)


def test_a_recipe_that_is_larger_than_any(folder: Path) -> None:
    with open("recipe.yaml", "a") as file:
        file.write("# " + "x" * 5 * 2**20)
    assert "the recipe cannot be read: it is larger than 2 MiB" in said()


def test_a_recipe_nested_deeper_than_python_goes(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(f"recipe: 1\nname: {'[' * 100_000}")
    assert said().startswith("recipe.yaml:2:134: error[CR102]: values are nested more than 64 levels deep")


def test_a_recipe_of_many_values_is_not_read_to_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "NODE_LIMIT", 100)
    (folder / "recipe.yaml").write_text("- x\n" * 100 + "- [")
    assert said().startswith("recipe.yaml:100:3: error[CR102]: the file holds more than 100 values")


# What a recipe and the command line say


@pytest.mark.parametrize("value", ["\udcff", "a\0b"])
def test_a_parameter_that_is_no_text(folder: Path, value: str) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.replace("name: example", "name: example\nparams: {x: wbp}") + "")
    (result,) = croissant_recipes.check("recipe.yaml", params={"x": value})
    assert "--set x: the value is no text" in "".join(map(str, result.diagnostics))


def test_a_base_url_whose_address_never_ends(folder: Path) -> None:
    text = RECIPE.replace("project_root: lab", 'project_root: lab, base_url: "http://[::1/x"')
    (folder / "recipe.yaml").write_text(text)
    assert "'http://[::1/x' is no URL: Invalid IPv6 URL" in said()
    (folder / "recipe.yaml").write_text(RECIPE)
    (result,) = croissant_recipes.plan("recipe.yaml", options=croissant_recipes.Options(base_url="http://[::1/x"))
    assert "Invalid IPv6 URL" in str(result.diagnostics)


# A Croissant


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        (
            [{"name": "a", "metadata": "x"}],
            "copick:config.pickable_objects.0.metadata: Input should be a valid dictionary",
        ),
        ([{"name": "a", "color": [1, "x"]}], "copick:config.pickable_objects.0.color"),
        ([{"name": "a", "radius": []}], "copick:config.pickable_objects.0.radius: Input should be a valid number"),
    ],
)
def test_objects_of_a_croissant_that_copick_would_refuse(folder: Path, objects: object, problem: str) -> None:
    manifest = write_croissant(folder / "other", {})
    document = json.loads(manifest.read_bytes())
    document["copick:config"]["pickable_objects"] = objects
    manifest.write_text(json.dumps(document))
    (folder / "recipe.yaml").write_text(FROM_CROISSANT)
    assert f"Croissant {manifest}: {problem}" in said()


# The web


def test_a_server_that_is_in_trouble_is_asked_again(folder: Path) -> None:
    """Whatever the body of its answer says."""
    bodies = [b"<html>Bad Gateway</html>", b"{}", b"", b'{"config_type": "filesystem"}']
    config = (folder / "lab/filesystem.json").read_bytes()
    with answering([*((502, body) for body in bodies), (200, config)]) as url:
        (folder / "recipe.yaml").write_text(RECIPE.replace("lab/filesystem.json", f"{url}/filesystem.json"))
        (error,) = errors()
    # What it gives in the end is read: a config whose relative root leads back to the server.
    assert "502" not in str(error)


def test_a_server_that_stays_in_trouble_is_given_up(folder: Path) -> None:
    with answering([(502, b"[]")]) as url:
        (folder / "recipe.yaml").write_text(RECIPE.replace("lab/filesystem.json", f"{url}/filesystem.json"))
        assert "502" in said()


def test_an_answer_without_end(folder: Path) -> None:
    with answering([(200, b"{")], endless=True) as url:
        (folder / "recipe.yaml").write_text(RECIPE.replace("lab/filesystem.json", f"{url}/filesystem.json"))
        assert "cannot be read: it is larger than 16 MiB" in said()
