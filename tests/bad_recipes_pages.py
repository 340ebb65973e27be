"""Reads and writes the pages of ``tests/bad_recipes``, and runs a case of theirs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import croissant_recipes
from croissant_recipes import Diagnostic, Span

PAGES = Path(__file__).parent / "bad_recipes"

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Case:
    """A recipe that is wrong.

    Attributes:
        page, title: Where it stands.
        recipe: The text of the recipe.
        files: Files beside it, by name.
        settings: The parameters that the command sets.
        output, marked: What is expected of ``check``.
    """

    page: str
    title: str
    recipe: str
    files: dict[str, str]
    settings: dict[str, str]
    output: str
    marked: str

    def check(self, folder: Path) -> tuple[Diagnostic, ...]:
        """What ``check`` says, run in a folder that is the working directory."""
        config = {"config_type": "filesystem", "name": "lab", "pickable_objects": []}
        for name, text in {**self.files, "lab.json": json.dumps(config), "recipe.yaml": self.recipe}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(text.encode())
        (checked,) = croissant_recipes.check("recipe.yaml", params=self.settings)
        return checked.diagnostics


def cases() -> Iterator[Case]:
    """All cases, page by page."""
    for page in sorted(PAGES.glob("*.md")):
        if page.name != "README.md":
            for section in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
                yield _case(page.stem, section)


def _case(page: str, section: str) -> Case:
    blocks: dict[str, str] = dict(_FENCE.findall(section))
    recipe = blocks["yaml whole"] if "yaml whole" in blocks else _framed(blocks["yaml"])
    named = {info.partition(" ")[2]: body for info, body in blocks.items() if info.startswith(("csv ", "yaml "))}
    files = {name: body for name, body in named.items() if name != "whole"}
    words = shlex.split(blocks.get("sh", ""))
    settings = dict(w.split("=", 1) for flag, w in pairwise(words) if flag == "--set")
    title = section.partition("\n")[0]
    return Case(page, title, recipe, files, settings, blocks.get("text", ""), blocks.get("marked", ""))


def _framed(recipe: str) -> str:
    ((_, frame),) = _FENCE.findall((PAGES / "README.md").read_text(encoding="utf-8"))
    keys = re.findall(r"^[\"']?(\w+)[\"']?\s*:", recipe, re.MULTILINE)
    return recipe + "".join(line for line in frame.splitlines(keepends=True) if line.split(":")[0] not in keys)


def output(found: tuple[Diagnostic, ...]) -> str:
    return "".join(f"{d}\n" for d in found)


def marked(found: tuple[Diagnostic, ...]) -> str:
    """The text under each span that has an end, a line each."""
    spans = [d.span for d in found if d.span is not None and d.span.end_line is not None]
    return "".join(f"{under(span, Path(span.file).read_text(encoding='utf-8'))}\n" for span in spans)


def under(span: Span, text: str) -> str:
    """The text that a span covers; of several lines the first, with ``…``."""
    line = text.split("\n")[span.line - 1]
    if span.end_line != span.line:
        return f"{line[span.column - 1 :].rstrip()} …"
    assert span.end_column is not None
    return line[span.column - 1 : span.end_column - 1]


def rewrite(folder: Path) -> None:
    """Write what ``check`` says now into the pages."""
    done = iter(list(cases()))
    for page in sorted(PAGES.glob("*.md")):
        if page.name == "README.md":
            continue
        head, *sections = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        texts = [_rewritten(section, next(done), folder) for section in sections]
        page.write_text("".join([head, *texts]), encoding="utf-8")


def _rewritten(section: str, case: Case, folder: Path) -> str:
    found = case.check(folder)
    kept = re.sub(r"\n```(text|marked)\n.*?^```\n", "", section, flags=re.MULTILINE | re.DOTALL).rstrip("\n")
    blocks = [("text", output(found)), ("marked", marked(found))]
    return kept + "\n" + "".join(f"\n```{info}\n{body}```\n" for info, body in blocks if body) + "\n"
