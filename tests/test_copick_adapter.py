"""What is used of copick's inside is there. ``make copick-versions`` runs this with the versions that are allowed."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from functools import reduce
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from opened_projects import assert_everything_opens, project_copy, write_rows

import croissant_recipes
from croissant_recipes import from_croissant
from croissant_recipes.opening import copick_adapter as adapter

PACKAGE = Path(croissant_recipes.__file__).parent
project = project_copy


def named(path: str) -> Any:
    room, module, *rest = path.split(".")
    return reduce(getattr, rest, import_module(f"copick.{room}.{module}"))


@pytest.mark.parametrize("path", adapter.PRIVATE_NAMES)
def test_a_private_name_has_the_signature_that_is_used(path: str) -> None:
    found = named(path)
    assert ", ".join(inspect.signature(found).parameters) == adapter.PRIVATE_NAMES[path]


@pytest.mark.parametrize("path", adapter.PRIVATE_FIELDS)
def test_private_fields_are_there(path: str) -> None:
    assert set(adapter.PRIVATE_FIELDS[path]) <= {field.name for field in dataclasses.fields(named(path))}


@pytest.mark.parametrize("path", adapter.PRIVATE_ATTRIBUTES)
def test_private_attributes_are_set(path: str) -> None:
    source = "".join(inspect.getsource(base) for base in named(path).__mro__[:-1])
    for name in adapter.PRIVATE_ATTRIBUTES[path]:
        assert f"self.{name}" in source, name


def test_only_the_adapter_uses_what_is_private() -> None:
    private = {path.rpartition(".")[2] for path in adapter.PRIVATE_NAMES}
    private |= {
        name for names in (*adapter.PRIVATE_FIELDS.values(), *adapter.PRIVATE_ATTRIBUTES.values()) for name in names
    }
    # Every file system has this one.
    private.discard("_strip_protocol")
    for path in (PACKAGE / "opening").glob("*.py"):
        used = {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        if path.name == "copick_adapter.py":
            own = {n for n in used if n.startswith("_") and not n.startswith("__")}
            assert own - private <= {"_index", "_run", "_get_list_for", "_strip_protocol"}, own - private
        else:
            assert not used & private, path


def test_only_the_adapter_imports_copicks_backend_classes() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("copick."):
                names = {alias.name for alias in node.names}
                assert path.name == "copick_adapter.py" or not any(n.startswith("_") for n in names), path
                assert path.name == "copick_adapter.py" or not any(n.endswith("MLC") for n in names), path


def test_the_version_is_one_that_is_allowed() -> None:
    found = tuple(int(part) for part in version("copick").split(".")[:2])
    assert adapter.LOWEST <= found < adapter.BELOW


def test_a_project_opens_and_is_written_to(project: Path) -> None:
    """In short, what all the tests of the room show with the installed version."""
    root = from_croissant(str(write_rows(project)))
    assert_everything_opens(root)
    run = root.new_run("new")
    run.split = "train"
    run.new_picks("ribosome", "s", "me")
    run.new_segmentation(8.0, "membrane", "s", user_id="me")
    again = from_croissant(str(project / "Croissant/metadata.json"))
    assert again.splits == {"train": ["new"]}
    assert (len(again.get_run("new").picks), len(again.get_run("new").segmentations)) == (1, 1)
