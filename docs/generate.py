"""What the documentation says that the program can say itself: output of commands and of Python, the command's help.

``python -m docs.generate`` writes it into README.md and docs/. A test holds the files equal to it.

In a ``console`` block, lines that start with ``$`` are commands and the lines after each are what it prints. A ``text``
block right after a ``python`` block is what that prints. Blocks of one page run one after the other in a copy of the
recipes, whose place is shown as ``/path/to/croissant-recipes``. ``sh`` blocks are not run.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner

from croissant_recipes.cli import main
from croissant_recipes.progress import Silent
from docs.error_examples import EXAMPLES, real_example
from docs.opening_table import croissant_table, data_tables

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES_WITH_OUTPUT = ("README.md", "docs/library.md")
CLI_PAGE = "docs/cli.md"
ERRORS_PAGE = "docs/errors.md"
OPENING_PAGE = "docs/opening.md"
SHOWN_PLACE = "/path/to/croissant-recipes"

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$(\n\n)?", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^### (CR\d+)$(?:(?!^```|^#).*\n)+?^```text\n((?:(?!^```).*\n)+)", re.MULTILINE)
_MADE = re.compile(r"^(<!-- (\w+): .*? -->\n)(?:.*?)^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
_LEFT_OUT = shutil.ignore_patterns("Croissant", ".croissant-recipe.lock", "build")


def copy_recipes(folder: Path) -> None:
    """Put the recipes into a folder as a fresh checkout has them."""
    shutil.copytree(REPOSITORY / "recipes", folder / "recipes", ignore=_LEFT_OUT)
    shutil.copytree(REPOSITORY / "recipes/published", folder / "recipes/published", dirs_exist_ok=True)


def with_real_output(page: str, folder: Path) -> str:
    """The page with what its commands and Python blocks really print.

    Args:
        page: Markdown.
        folder: An empty folder to run in.
    """
    copy_recipes(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    printed: list[str] = []

    def refreshed(block: re.Match[str]) -> str:
        kind, body, gap = block.group(1), block.group(2), block.group(3) or ""
        before, printed[:] = "".join(printed), []
        if kind == "console":
            body = "".join(_run(line, folder) for line in body.splitlines() if line.startswith("$ "))
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(compile(body, "a Python block", "exec"), names)
            printed[:] = [stdout.getvalue().replace(str(folder), SHOWN_PLACE)]
        elif kind == "text" and before:
            body = before
        return f"```{kind}\n{body}```{gap}"

    with _moved_to(folder):
        return FENCE.sub(refreshed, page)


@contextlib.contextmanager
def _moved_to(folder: Path) -> Iterator[None]:
    environment = {"CROISSANT_RECIPE_CACHE_DIR": str(folder / ".cache")}
    back = Path.cwd()
    os.chdir(folder)
    try:
        # On a terminal, bars of progress are gone when a command has ended.
        with mock.patch.dict(os.environ, environment), mock.patch("croissant_recipes.terminal.progress_for", _silent):
            yield
    finally:
        os.chdir(back)


def _silent(_stream: object) -> Silent:
    return Silent()


def _run(line: str, folder: Path) -> str:
    command = line.removeprefix("$ ")
    words = shlex.split(command)
    if words[0] == "cd":
        os.chdir(words[1])
        output = ""
    elif words[0] == "croissant-recipe":
        output = CliRunner().invoke(main, words[1:], catch_exceptions=False).output
    else:
        shell = ["bash", "-ec", command]
        output = subprocess.run(shell, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return f"{line}\n{output.replace(str(folder), SHOWN_PLACE)}"


def cli_reference() -> str:
    """The command line as Markdown."""
    lines = [
        "# The command line",
        "",
        "Made from the command itself by `python -m docs.generate`. What it reports is in [errors.md](errors.md), and "
        "what it returns in [exit-codes.md](exit-codes.md).",
        "",
        *_section("croissant-recipe", main, "COMMAND"),
    ]
    for name, command in main.commands.items():
        arguments = [p.metavar or p.name.upper() for p in command.params if isinstance(p, click.Argument) and p.name]
        lines += _section(f"croissant-recipe {name}", command, *arguments)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, command: click.Command, *arguments: str) -> list[str]:
    options = [p for p in command.get_params(click.Context(command)) if isinstance(p, click.Option)]
    rows = [f"| {_spelling(option)} | {option.help} |" for option in options if "--help" not in option.opts]
    usage = " ".join([name, *(["[OPTIONS]"] if rows else []), *arguments])
    text = inspect.cleandoc(command.help or "")
    return [
        f"## {name}",
        "",
        text,
        "",
        f"    {usage}",
        "",
        *(["| option | |", "| --- | --- |", *rows, ""] if rows else []),
        *_example(command),
    ]


def _example(command: click.Command) -> list[str]:
    """What the help ends with: a line that says what it is, then commands."""
    _, title, *commands = (command.epilog or "").splitlines()
    return [title, "", *(f"  {line}" for line in commands), ""]


def _spelling(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.metavar or _choices(option)}"
    return ", ".join(f"`{name}{value}`" for name in option.opts)


def _choices(option: click.Option) -> str:
    assert isinstance(option.type, click.Choice)
    return "\\|".join(option.type.choices)


def with_real_errors(page: str, folder: Path) -> str:
    """The page of errors with real examples, made below ``folder``: those that only check a recipe in one place, which
    that leaves as it is, and each other in a place of its own."""
    made: set[Path] = set()

    def refreshed(section: re.Match[str]) -> str:
        code = section.group(1)
        if code not in EXAMPLES:
            return section.group(0)
        alone = EXAMPLES[code].run != "check" or EXAMPLES[code].prepare is not None
        place = folder / (code if alone else "checked")
        if place not in made:
            made.add(place)
            copy_recipes(place)
        with _moved_to(place / "recipes"):
            return f"{section.group(0)[: -len(section.group(2))]}{real_example(code, place / 'recipes')}"

    return _SECTION.sub(refreshed, page)


def with_opening_tables(page: str) -> str:
    """The page of what opens where, with its tables."""
    made = {"data": data_tables, "croissants": croissant_table}
    return _MADE.sub(lambda m: f"{m.group(1)}\n{made[m.group(2)]()}\n\n{m.group(3)}", page)


def write() -> None:
    """Bring every page up to date."""
    (REPOSITORY / CLI_PAGE).write_text(cli_reference(), encoding="utf-8")
    opening = REPOSITORY / OPENING_PAGE
    opening.write_text(with_opening_tables(opening.read_text(encoding="utf-8")), encoding="utf-8")
    for name in (*PAGES_WITH_OUTPUT, ERRORS_PAGE):
        page = REPOSITORY / name
        renew = with_real_errors if name == ERRORS_PAGE else with_real_output
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(renew(page.read_text(encoding="utf-8"), Path(folder).resolve()), encoding="utf-8")


if __name__ == "__main__":
    write()
    print("up to date:", CLI_PAGE, ERRORS_PAGE, OPENING_PAGE, *PAGES_WITH_OUTPUT, file=sys.stderr)
