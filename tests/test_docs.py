"""The documentation says what is so: commands run, output is real, references are whole, links lead somewhere."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from croissant_recipes import api, saved_plans
from croissant_recipes.cli import main
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.croissant import build_record
from croissant_recipes.language import recipe
from croissant_recipes.language.rai import RAI_FIELDS
from croissant_recipes.language.recipe_fields import keys_of
from croissant_recipes.language.source_kinds import KINDS
from croissant_recipes.render import adoption, as_json, findings, label_table
from docs import error_examples, generate

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("[br]e*/README.md")],
    key=lambda p: p.relative_to(REPOSITORY).as_posix(),
)
NAMES = [p.relative_to(REPOSITORY).as_posix() for p in PAGES]


def _read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def _fences(name: str, kind: str) -> list[str]:
    return [m.group(2) for m in generate.FENCE.finditer(_read(name)) if m.group(1) == kind]


# Commands and output


@pytest.mark.parametrize("name", generate.PAGES_WITH_OUTPUT)
def test_commands_and_python_print_what_the_page_says(name: str, tmp_path: Path) -> None:
    page = _read(name)
    assert generate.with_real_output(page, tmp_path.resolve()) == page, "python -m docs.generate writes it anew"


def test_only_pages_whose_output_is_compared_show_console_or_python_blocks() -> None:
    others = set(NAMES) - set(generate.PAGES_WITH_OUTPUT)
    assert [n for n in sorted(others) if _fences(n, "console") or _fences(n, "python")] == []


def test_the_command_reference_is_that_of_the_command() -> None:
    assert _read(generate.CLI_PAGE) == generate.cli_reference(), "python -m docs.generate writes it anew"


def test_the_generator_notices_output_that_is_not_real(tmp_path: Path) -> None:
    page = "```console\n$ croissant-recipe check recipes/quickstart.yaml\nrecipes/quickstart.yaml: 7 errors\n```\n"
    assert "recipes/quickstart.yaml: ok\n```" in generate.with_real_output(page, tmp_path.resolve())


def test_readme_opens_with_the_two_commands() -> None:
    first = _fences("README.md", "sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]


def test_make_has_every_target_that_the_pages_name() -> None:
    for name in NAMES:
        for line in "".join(_fences(name, "sh")).splitlines():
            words = line.split("#")[0].split()
            if words[:1] == ["make"]:
                targets = list(itertools.takewhile(lambda word: "=" not in word, words[1:]))
                done = subprocess.run(["make", "-n", *targets], cwd=REPOSITORY, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr


def test_the_demo_opens_the_croissant_with_the_lines_of_the_readme() -> None:
    lines = re.search(r"define OPEN\n(.*?)endef", _read("Makefile"), re.DOTALL)
    assert lines is not None
    shown = next(block for block in _fences("README.md", "python") if "from_croissant(" in block)
    plain = lines.group(1).replace("recipes/sample", "sample")
    assert ast.dump(ast.parse(plain)) == ast.dump(ast.parse(shown))


def test_the_readme_shows_the_heart_of_the_quickstart() -> None:
    (shown,) = _fences("README.md", "yaml")
    there = "\n".join(line.split(" #")[0].rstrip() for line in _read("recipes/quickstart.yaml").splitlines())
    assert shown.strip() in there


def test_every_option_that_a_page_names_exists() -> None:
    known = {o for c in (main, *main.commands.values()) for p in c.params for o in p.opts} | {"--help", "--version"}
    for name in set(NAMES) - {"docs/from-copick.md", "benchmarks/README.md"}:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", _read(name))) - {"--snapshot-update", "--unshallow"}
        assert named <= known, name


# References


def test_every_code_has_its_section_and_no_other() -> None:
    sections = re.findall(r"^### (\w+)$", _read("docs/errors.md"), re.MULTILINE)
    assert sections == sorted(code.value for code in Code)


def test_every_section_of_a_code_shows_an_example_of_it() -> None:
    sections = re.split(r"^### ", _read("docs/errors.md"), flags=re.MULTILINE)[1:]
    for section in sections:
        code = section[:5]
        assert re.search(rf"^```text\n(\S+:\d+:\d+: )?(error|warning|info)\[{code}\]: ", section, re.MULTILINE), code
        assert re.search(r"^\*[A-Z].+", section, re.MULTILINE | re.DOTALL), f"{code} says in one sentence what it is"


def test_the_examples_of_codes_are_real(tmp_path: Path) -> None:
    page = _read(generate.ERRORS_PAGE)
    assert generate.with_real_errors(page, tmp_path.resolve()) == page, "python -m docs.generate writes it anew"


def test_only_what_cannot_be_made_here_is_written_by_hand() -> None:
    assert set(error_examples.EXAMPLES) | error_examples.NOT_MADE_HERE == {code.value for code in Code}


def test_every_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \|.*$", _read("docs/exit-codes.md"), re.MULTILINE)
    assert [int(r) for r in rows] == [int(c) for c in ExitCode]


def test_exit_codes_are_told_with_the_errors_that_lead_to_them() -> None:
    told = {
        int(code): set(re.findall(r"CR\d+", line))
        for line, code in re.findall(r"^(\| (\d+) \|.*)$", _read("docs/exit-codes.md"), re.MULTILINE)
    }
    for exit_code in ExitCode:
        leading = {c.value for c in Code if c.exit_code is exit_code}
        assert told[exit_code] == (set() if exit_code is ExitCode.INVALID else leading), exit_code


def test_the_compatibility_page_names_the_versions_of_formats() -> None:
    rows = re.findall(r"^\| .* \| (\d+) \|", _read("docs/compatibility.md"), re.MULTILINE)
    now = [recipe.FORMAT_VERSION, findings.FORMAT, as_json.FORMAT, adoption.FORMAT, label_table.FORMAT]
    now += [saved_plans.FORMAT, build_record.RECORD_FORMAT]
    assert [int(r) for r in rows] == now


def test_exit_codes_are_told_on_one_page() -> None:
    """The others link to it: a list that stands twice is wrong once."""
    others = set(NAMES) - {"docs/exit-codes.md"}
    assert [n for n in sorted(others) if re.search(r"[Ee]xit(s with|\s+code)s?\W+\d", _read(n))] == []
    assert "docs/exit-codes.md" in (main.help or "")


def _keys(model: Any) -> set[str]:
    return set(keys_of(model))


@pytest.mark.parametrize(
    "model",
    [
        recipe.Recipe,
        recipe.Dataset,
        recipe.Creator,
        recipe.Output,
        *(kind.model for kind in KINDS.values()),
        recipe.ObjectOverride,
        recipe.SelectionMap,
        recipe.Rename,
        recipe.Layer,
        recipe.RandomSplit,
        recipe.Splits,
        recipe.Expect,
        recipe.ExpectOfSplit,
        recipe.ExpectOfPoints,
        recipe.ExpectOfArrays,
    ],
)
def test_the_format_reference_names_every_key(model: Any) -> None:
    page = _read("docs/recipe-format.md")
    assert [key for key in sorted(_keys(model)) if not re.search(rf"(?<![\w-]){key}(?![\w-])", page)] == []


def test_the_library_page_names_every_public_name() -> None:
    page = _read("docs/library.md")
    for field in ("path", "plan", "prepared", "written", "diagnostics", "ok", "metadata_url"):
        assert hasattr(api.Planned, field) or field in api.Planned.__dataclass_fields__
        assert f"`{field}`" in page
    for name in api.Options.__dataclass_fields__:
        assert f"`{name}`" in page


def _yaml_blocks() -> list[tuple[str, str]]:
    return [(name, block) for name in NAMES if name.startswith("docs/") for block in _fences(name, "yaml")]


SKELETON: Mapping[str, Any] = {
    "recipe": 1,
    "name": "page",
    "dataset": {
        "name": "Page",
        "description": "A part of a page.",
        "version": "1.0.0",
        "license": "CC-BY-4.0",
        "date_published": "2026-01-15",
    },
    "output": {"project_root": "build"},
    "sources": {
        "phantom": {"portal": {"datasets": [10000]}},
        "lab": {"copick": {"config": "sample/filesystem.json"}},
    },
    "layers": [{"export": "lab"}],
}


@pytest.mark.parametrize(("name", "block"), _yaml_blocks())
def test_recipes_on_pages_check(name: str, block: str, tmp_path: Path) -> None:
    """Whole recipes as they are, parts with the rest around them."""
    given = yaml.load(block, Loader=yaml.BaseLoader) or {}
    left_out = {*given, *(("dataset",) if "base" in given else ()), *(("output",) if "outputs" in given else ())}
    around = {} if "recipe" in given else {k: v for k, v in SKELETON.items() if k not in left_out}
    (tmp_path / "splits.csv").write_text("split,run\nval,TS_030\n", encoding="utf-8")
    for fragment in given.get("include", ()):
        (tmp_path / fragment).parent.mkdir(exist_ok=True)
        (tmp_path / fragment).write_text(yaml.safe_dump({"dataset": SKELETON["dataset"]}), encoding="utf-8")
    file = tmp_path / "page.yaml"
    file.write_text((yaml.safe_dump(around) if around else "") + block, encoding="utf-8")
    (checked,) = api.check(file)
    assert [str(d) for d in checked.diagnostics if d.is_error] == []


def test_the_copick_page_answers_every_flag_of_copicks_commands() -> None:
    from copick.cli.config import config

    page = _read("docs/from-copick.md")
    for command in ("export-croissant", "append-croissant", "set-splits", "mlcroissant"):
        section = page.split(f"\n## {command}\n")[1].split("\n## ")[0]
        flags = {o for p in config.commands[command].params for o in p.opts if o.startswith("--")}
        assert {f for f in flags - {"--help", "--debug"} if not re.search(rf"`{f}\b", section)} == set(), command


def test_the_copick_page_has_of_the_portal_what_the_recipe_has_and_check_takes(tmp_path: Path) -> None:
    section = _read("docs/from-copick.md").split("\n## The specification's portal examples\n")[1].split("\n## ")[0]
    recipe = _read("recipes/portal-curation.yaml")
    for key in ("method_type: hybrid", "authors: [Sara Goetz]", 'session_id: "{method_type}"', "wbp-raw@"):
        assert key in section
        assert key in recipe
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(recipe.replace("hybrid}", "template-matching}"), encoding="utf-8")
    (found,) = [d for d in api.check(wrong)[0].diagnostics if d.is_error]
    assert found.code.value in section
    named = re.findall("'([a-z]+)'", found.hint or "")
    assert f"the method types are {', '.join(f'`{n}`' for n in named[:-1])} and `{named[-1]}`" in section


def test_modules_that_the_architecture_page_names_exist() -> None:
    table = _read("docs/how-it-works.md").split("| room of")[1].split("\n\n")[0]
    named = [n for n in re.findall(r"`([\w/]+)`", table) if n not in ("croissant_recipes/", "from_croissant", "check")]
    folder = REPOSITORY / "croissant_recipes"
    places = [folder, *(p.parent for p in folder.glob("*/__init__.py"))]
    rooms = {p.parent.name for p in folder.glob("*/__init__.py")}
    assert rooms <= {n.rstrip("/") for n in named}
    assert [
        n for n in named if not any((p / f"{n}.py").exists() or (p / n / "__init__.py").exists() for p in places)
    ] == []


def test_rai_keys_of_the_format_page_exist() -> None:
    named = re.findall(r"`(data_\w+)`", _read("docs/recipe-format.md"))
    assert named
    assert set(named) <= set(RAI_FIELDS)


# Pages


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = REPOSITORY / name
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", _read(name), flags=re.DOTALL)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("name", NAMES)
def test_no_page_names_a_place_on_a_machine(name: str) -> None:
    assert re.findall(r"(?<![\w.:/])/(?:root|home|Users|tmp|work|var|mnt)/\S*", _read(name)) == []
    assert str(REPOSITORY) not in _read(name)


def test_ci_uses_only_what_the_makefile_makes() -> None:
    script = _read(".ci/run")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert (REPOSITORY / ".ci/run").stat().st_mode & 0o111
    targets = re.findall(r"^make (\w+)$", script, re.MULTILINE)
    assert targets == ["test", "lint", "types"]
    assert sys.version_info >= (3, 11)
