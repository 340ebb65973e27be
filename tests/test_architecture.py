"""Imports go one way, and heavy libraries are imported only where they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import croissant_recipes

PACKAGE = Path(croissant_recipes.__file__).parent

LAYERS = (
    {"codes", "intake", "schema", "progress", "journal", "secrecy", "shown", "location", "work"},
    {"diagnostics", "differences", "tables"},
    {"allowing", "options"},
    {"access", "revisions"},
    {"language"},
    {"croissant"},
    {"sources", "stores", "opening"},
    {"compiler"},
    {"review"},
    {"planning", "starter"},
    {"review"},
    {"building"},
    {"comparing", "saved_plans", "changed_points"},
    {"diffing"},
    {"adopting"},
    {"report"},
    {"api"},
    {"render", "terminal", "streams"},
    {"cli"},
    {"__main__"},
)
"""Modules and packages of the top level, lowest first. A module imports from lower layers and from its own."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py" or p.parent != PACKAGE)


def imports(path: Path) -> set[str]:
    """The top-level modules of the package that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "croissant_recipes":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
    return found - {"__version__"}


def inner_imports(path: Path) -> set[str]:
    """The modules of the package that a module imports, by their whole names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "croissant_recipes":
            inner = node.module.removeprefix("croissant_recipes").removeprefix(".")
            named = {f"{inner}.{alias.name}".removeprefix(".") for alias in node.names}
            found |= {n for n in named if (PACKAGE / (n.replace(".", "/") + ".py")).exists()} or {inner}
    return found


def home(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def test_every_module_has_a_layer() -> None:
    assert {home(p) for p in MODULES} == set(RANK)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    upward = {name for name in imports(path) if RANK[name] > RANK[home(path)]}
    assert not upward


def test_no_package_has_a_circle_of_imports() -> None:
    """Imports for type checking alone count too: they make two modules one in the reader's head."""
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): p for p in MODULES}
    uses = {name: {n for n in inner_imports(path) if n in names and n != name} for name, path in names.items()}
    while free := {name for name, used in uses.items() if not used}:
        uses = {name: used - free for name, used in uses.items() if name not in free}
    assert not uses


def test_sources_and_writers_do_not_know_each_other() -> None:
    for path in MODULES:
        if home(path) == "sources":
            assert "stores" not in imports(path), path
        if home(path) == "stores":
            assert "sources" not in imports(path), path


def test_no_two_modules_have_one_name() -> None:
    """Nor has one the name of a room: who looks for a rule finds one place."""
    rooms = [p.parent.name for p in PACKAGE.rglob("__init__.py")]
    names = [*rooms, *(p.stem for p in MODULES if p.name != "__init__.py")]
    assert sorted(n for n, times in Counter(names).items() if times > 1) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_locations_are_taken_apart_in_one_place(path: Path) -> None:
    """Elsewhere ``://`` stands in whole URLs only, where nothing is asked or put together with it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in documentation]
    signs = [t for t in texts if isinstance(t, str) and "://" in re.sub("[a-z0-9]://[a-z0-9]", "", t)]
    assert not signs or home(path) == "location"


def test_only_the_command_line_imports_click() -> None:
    users = {home(p) for p in MODULES if "import click" in p.read_text(encoding="utf-8")}
    assert users == {"cli"}


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded once a fresh interpreter has run some code."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_waits_for_nothing() -> None:
    heavy = {"pydantic", "yaml", "lark", "pandas", "fsspec", "rich", "mlcroissant", "copick", "cryoet_data_portal"}
    assert not loaded_by("import croissant_recipes.cli") & heavy


def test_check_waits_for_no_compiler(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("recipe: 1\nname: x\nlayers: [{export: a, picks: 'ribosome:*/*@'}]\n", encoding="utf-8")
    code = f"import croissant_recipes; assert not croissant_recipes.check({str(recipe)!r})[0].ok"
    assert not loaded_by(code) & {"pandas", "fsspec", "rich", "mlcroissant", "copick", "cryoet_data_portal", "s3fs"}
