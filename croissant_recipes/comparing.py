"""What a recipe makes beside what it made at a git revision, over the sources of today."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from croissant_recipes import intake
from croissant_recipes.building import Prepared, origin_of
from croissant_recipes.codes import Code
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import drift
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, errors, in_order
from croissant_recipes.language import checks, yaml_nodes
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.options import Options
from croissant_recipes.planning import Outcome
from croissant_recipes.review import version_notes
from croissant_recipes.review.reviewing import Review, review
from croissant_recipes.review.side import Side
from croissant_recipes.revisions import FilesAt, Repository
from croissant_recipes.stores import Output

ENDINGS = (".yaml", ".yml")
_SHOWN = 5
ALIKE = 0.5
"""From how much in common on a file is taken for another one that has a new name, as git does."""


@dataclass(frozen=True)
class AsItWas:
    """A recipe at a revision.

    Attributes:
        files: What there was.
        path: Where it was, below the root of its repository; ``None`` where there was none.
        recipe: The recipe, ``None`` where there was none, or none without an error.
        problems: Its errors.
    """

    files: FilesAt
    path: str | None
    recipe: CheckedRecipe | None
    problems: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Against:
    """What differs between a plan and what the recipe made at a revision.

    Attributes:
        revision: As it was named.
        commit: Its id.
        path: The recipe there, below the root of its repository; ``None`` where there was none.
        review: What the recipe does that it did not do: of the same sources.
        since: What the recipe as it was would change in the Croissant that it built: what its sources did, the tool,
            and others. ``None`` where there is none.
    """

    revision: str
    commit: str
    path: str | None
    review: Review
    since: Review | None

    def to_show(self) -> Against:
        """The same without credentials in URLs."""
        return replace(self, review=self.review.to_show(), since=self.since.to_show() if self.since else None)


def as_they_were(recipes: Sequence[CheckedRecipe], revision: str, params: Mapping[str, str]) -> list[AsItWas]:
    """Recipes at a revision, each of its own repository.

    Raises:
        DiagnosticError: There is no such revision (``REVISION``).
    """
    known: dict[Path, FilesAt] = {}
    found = []
    for recipe in recipes:
        root = Repository.of(recipe.path.parent).root
        if root not in known:
            known[root] = Repository(root).at(revision)
        found.append(_as_it_was(recipe, known[root], params))
    return found


def _as_it_was(recipe: CheckedRecipe, files: FilesAt, params: Mapping[str, str]) -> AsItWas:
    path = recipe.path if files.has(recipe.path) else _earlier_name(recipe, files)
    if path is None:
        return AsItWas(files, None, None)
    name = files.name(path)
    assert name is not None, "it is one of those that there were"
    read, path = (files, path) if path == recipe.path else files.beside(recipe.path, name)
    checked, found = at(path, read, params)
    return AsItWas(files, name, checked, tuple(errors(found)))


def at(
    path: Path, files: intake.Files, params: Mapping[str, str]
) -> tuple[CheckedRecipe | None, tuple[Diagnostic, ...]]:
    """A recipe as it was, with those of some parameters that it has."""
    checked, found = checks.check_recipe(path, params, files)
    if checked is None and params and any(d.code is Code.PARAM_UNKNOWN for d in found):
        return checks.check_recipe(path, {k: v for k, v in params.items() if k in _params(path, files)}, files)
    return checked, found


def _params(path: Path, files: intake.Files) -> Mapping[str, object]:
    value = content(path, files)
    declared = value.get("params")
    return declared if isinstance(declared, dict) else {}


def content(path: Path, files: intake.Files) -> Mapping[str, object]:
    """What a recipe says, as far as it is YAML."""
    try:
        text, _ = yaml_nodes.decoded(files.read(path, intake.RECIPE_BYTES), str(path), Code.FILE)
    except OSError:
        return {}
    document = yaml_nodes.parse(text, str(path))[0] if text is not None else None
    return document.value if document is not None and isinstance(document.value, dict) else {}


def _earlier_name(recipe: CheckedRecipe, files: FilesAt) -> Path | None:
    """Where a recipe was that has another path now, of what is where nothing is any more."""
    names = [n for n in sorted(files.entries) if n.endswith(ENDINGS) and not files.path(n).exists()]
    files.take_in(names, intake.RECIPE_BYTES)
    text = intake.read_file(recipe.path, intake.RECIPE_BYTES)
    return most_like(recipe.recipe.name, text, [files.path(name) for name in names], files)


def most_like(name: str, text: bytes, paths: Sequence[Path], files: intake.Files) -> Path | None:
    """The recipe of some that another one was: the one of its name, else the one that is most like it.

    Args:
        name, text: Of the other one.
        paths: Of files that may be recipes.
        files: Where they are read.
    """
    said = {path: content(path, files) for path in paths}
    recipes = [path for path, value in said.items() if "recipe" in value]
    of_name = [path for path in recipes if said[path].get("name") == name]
    if len(of_name) == 1:
        return of_name[0]
    lines = text.decode(errors="replace").splitlines()
    likeness = {path: likeness_of(lines, files.read(path, intake.RECIPE_BYTES)) for path in of_name or recipes}
    best = max(likeness, key=lambda path: likeness[path], default=None)
    return best if best is not None and likeness[best] >= ALIKE else None


def likeness_of(lines: Sequence[str], text: bytes) -> float:
    """How much of what two files say is the same, from 0 to 1."""
    earlier = text.decode(errors="replace").splitlines()
    return difflib.SequenceMatcher(None, earlier, lines, autojunk=False).ratio()


def side_of(plan: Plan, output: Output) -> Side:
    """What a plan makes, as one of two versions.

    Raises:
        DiagnosticError: It makes no Croissant.
    """
    manifest = json.loads(plan.content.files()[METADATA])
    return Side.of_plan(plan, plan.content.tables, manifest, origin_of(plan, output))


def against(
    was: AsItWas, earlier: Outcome | None, plan: Plan, prepared: Prepared, output: Output, options: Options
) -> tuple[Against, tuple[Diagnostic, ...]]:
    """Compare a plan with that of the recipe as it was.

    Args:
        was: The recipe as it was.
        earlier: What planning its result came to, ``None`` where it had no such result.
        plan: The plan of today.
        prepared: What a build would write.
        output: Where.
        options: Of the plan.

    Returns:
        The comparison, and everything that is found of the plan then.
    """
    found = [d for d in prepared.diagnostics if d.code is not Code.VERSION_STEP]
    before = None
    try:
        before = side_of(earlier.plan, earlier.output) if earlier is not None and earlier.plan is not None else None
        problems = was.problems or (tuple(errors(earlier.diagnostics)) if earlier and before is None else ())
    except DiagnosticError as error:
        problems = error.diagnostics
    if problems:
        found.append(_unplanned(was, problems, plan))
    reviewed = review(before, side_of(plan, output), options.allow)
    if not any(errors(found)):
        found += version_notes.find(reviewed.version, plan.checked.document)
    since = _since(before, prepared, plan, output) if before is not None else None
    compared = Against(was.files.revision, was.files.commit, was.path, reviewed, since)
    return compared, in_order(found)


def _since(before: Side, prepared: Prepared, plan: Plan, output: Output) -> Review | None:
    try:
        there = drift.parse(prepared.there, output.place)
    except DiagnosticError:
        return None
    if there is None or there.record is None or there.record.recipe != plan.checked.recipe.name:
        return None
    return review(Side.of_existing(there), before)


def _unplanned(was: AsItWas, problems: Sequence[Diagnostic], plan: Plan) -> Diagnostic:
    return Diagnostic(
        Code.BEFORE_UNPLANNED,
        f"{was.path} at {was.files.revision} cannot be planned: {problems[0].message}",
        Severity.WARNING,
        hint="all of today's plan is shown as new",
        span=plan.checked.document.key_span("recipe"),
        notes=tuple(f"{d.code.value}: {d.message}" for d in problems[1:_SHOWN]),
    )
