"""Two versions that somebody names: Croissants, recipes, and all recipes between two git revisions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from croissant_recipes import intake, planning, saved_plans
from croissant_recipes.access import reading
from croissant_recipes.codes import Code
from croissant_recipes.comparing import ALIKE, ENDINGS, at, content, likeness_of, side_of
from croissant_recipes.croissant import drift, keyed_records, standing
from croissant_recipes.croissant.content import METADATA
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, errors, in_order, joined
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.location import Location, is_url
from croissant_recipes.options import Options
from croissant_recipes.planning import Outcome
from croissant_recipes.review import version_notes
from croissant_recipes.review.reviewing import Review, review
from croissant_recipes.review.side import Side
from croissant_recipes.revisions import FilesAt, Repository
from croissant_recipes.schema import RECORD_SETS
from croissant_recipes.sources.base import Progress
from croissant_recipes.tables import records
from croissant_recipes.work import Workers

_RANGE = re.compile(r"(?P<before>.*?)(?P<dots>\.{2,3})(?P<after>.*)", re.DOTALL)
_TELLS_RECIPE = re.compile(rb"^[\"']?recipe[\"']?\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Compared:
    """Two versions of one result.

    Attributes:
        path: What was named: a recipe, or the second of two Croissants.
        before, after: What is compared, as it was named.
        review: What differs and what that means; ``None`` where it could not be said.
        diagnostics: Everything found.
        output_name: What ``outputs`` of the recipe calls it, ``None`` for the one ``output`` and for a Croissant.
    """

    path: str
    before: str
    after: str
    review: Review | None
    diagnostics: tuple[Diagnostic, ...]
    output_name: str | None = None

    @property
    def ok(self) -> bool:
        return not any(errors(self.diagnostics))

    @property
    def name(self) -> str:
        """The name of what is compared: the recipe's, else the dataset's."""
        sides = [side for side in (self.review.after, self.review.before) if side] if self.review else []
        named = [str(side.making.recipe if side.making else side.manifest.get("name") or "") for side in sides]
        return next((name for name in named if name), "")


@dataclass(frozen=True)
class _Version:
    """One of two versions.

    Attributes:
        named: As somebody named it.
        recipe: A recipe, where it is one.
        sides: What a Croissant holds, or a saved plan would write, by the name of the result, which may be ``None``.
        found: What was found of it.
    """

    named: str
    recipe: CheckedRecipe | None = None
    sides: Mapping[str | None, Side] = field(default_factory=dict)
    found: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class _Pair:
    """Two versions; ``None`` of what was not there. ``path``: what it is called."""

    path: str
    before: _Version | None
    after: _Version | None
    names: tuple[str, str]


@dataclass
class _Noting:
    """Files, and which of them were asked for."""

    files: Files
    asked: set[Path] = field(default_factory=set)

    @property
    def revision(self) -> str:
        return self.files.revision

    def read(self, path: str | os.PathLike[str], limit: int) -> bytes:
        self.asked.add(Path(path))
        return self.files.read(path, limit)

    def mark(self, path: str | os.PathLike[str]) -> str:
        return self.files.mark(path)


def is_range(text: str) -> bool:
    """Whether a text is two git revisions, and no file or place."""
    return ".." in text and not is_url(text) and not os.path.lexists(text) and "/.." not in text and text[:3] != "../"


# Two of a kind


def of_two(
    before: str, after: str, options: Options, workers: Workers, progress: Progress
) -> tuple[list[Compared], tuple[Diagnostic, ...]]:
    """Compare two recipes or Croissants, or one of each, and say what of ``before`` and ``after`` cannot be read."""
    versions: list[_Version] = []
    problems: list[Diagnostic] = []
    for named in (before, after):
        try:
            version = _named(named, options.params, workers)
        except DiagnosticError as error:
            problems += error.diagnostics
            continue
        versions.append(version)
        problems += errors(version.found)
    problems += _unknown_params(versions, options.params)
    if problems:
        return [], in_order(problems)
    old, new = versions
    names = _shown(before), _shown(after)
    return _compared([_Pair(names[1], old, new, names)], options, workers, progress), ()


def _shown(named: str) -> str:
    """What somebody named, without the credentials that a URL may have."""
    return str(Location.parse(named)) if is_url(named) else named


def _named(named: str, params: Mapping[str, str], workers: Workers) -> _Version:
    if named.endswith(ENDINGS) and not is_url(named):
        recipe, found = at(Path(named), TODAY, params)
        return _Version(named, recipe, found=found)
    if (saved := _saved_plan(named)) is not None:
        return saved
    place = standing.metadata_of(named)
    existing = standing.existing_at(place, workers)
    others, told = keyed_records.read(existing.manifest, place)
    side = replace(Side.of_existing(existing, place.parent.parent.url), others=others)
    return _Version(named, sides={None: side}, found=in_order([*existing.left_out, *told]))


def _saved_plan(named: str) -> _Version | None:
    """What a saved plan would write, where a text names one."""
    if is_url(named) or not os.path.isfile(named) or os.path.basename(named) == METADATA:
        return None
    with reading("saved plan", Location.parse(named), {}):
        if not saved_plans.is_such(intake.read_file(named, intake.TABLE_BYTES)):
            return None
    sides, kept_back = {}, []
    for result in saved_plans.load(named).results:
        if not result.files:
            kept_back.append(result.output or "output")
        existing = drift.parse(result.contents, named)
        if existing is not None:
            sides[result.output] = Side.of_existing(existing)
    found: tuple[Diagnostic, ...] = ()
    if kept_back:
        message = f"{named} does not have the files of {joined(kept_back)}, which would show what another result hides"
        hint = "only the others are compared; compare the recipes, or what is built"
        found = (Diagnostic(Code.SAVED_PLAN, message, Severity.WARNING, hint),)
    return _Version(named, sides=sides, found=found)


def _unknown_params(versions: Sequence[_Version], params: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Parameters that no recipe has. One that only one of them has is given to that."""
    recipes = [v.recipe for v in versions if v.recipe is not None]
    known = {str(name) for recipe in recipes for name in recipe.recipe.params}
    for name in params:
        if name not in known and len(recipes) == sum(not v.sides for v in versions):
            message = f"--set names parameter {name!r}, which neither of the two declares"
            yield Diagnostic(Code.PARAM_UNKNOWN, message, hint="declare it under `params:` with its default")


# Between two revisions


def of_range(
    text: str, paths: Sequence[str], options: Options, workers: Workers, progress: Progress
) -> tuple[list[Compared], tuple[Diagnostic, ...]]:
    """Compare the recipes that changed between two revisions, over the sources of today, and plan no others.

    Args:
        text: ``REV..REV``, or ``REV...REV`` for what the second did since they parted; ``HEAD`` where one is left out.
        paths: Of recipes, as they are called after or before; none for all of the repository.
        options: Of the plans.
        workers, progress: As of ``planning.make_plans``.

    Raises:
        DiagnosticError: There is no repository, or not these revisions in it (``REVISION``).
    """
    found = _RANGE.fullmatch(text)
    assert found is not None
    repository = Repository.of(Path(paths[0]).parent if paths else Path.cwd())
    first, last = found["before"] or "HEAD", found["after"] or "HEAD"
    if found["dots"] == "...":
        first = repository.meeting(first, last)
    before, after = repository.at(first), repository.at(last)
    names = (found["before"] or "HEAD", last)
    pairs, problems = _changed_recipes(before, after, paths, options.params, names)
    return _compared(pairs, options, workers, progress), tuple(problems)


def _changed_recipes(
    before: FilesAt, after: FilesAt, paths: Sequence[str], params: Mapping[str, str], names: tuple[str, str]
) -> tuple[list[_Pair], list[Diagnostic]]:
    changed = before.differing(after)
    wanted, problems = _wanted(before, after, paths)
    old = {n for n in _recipes(before) if wanted is None or n in wanted or n not in after.entries}
    new = {n for n in _recipes(after) if wanted is None or n in wanted}
    if not changed:
        return [], problems
    earlier = {name: name for name in old & new}
    earlier |= _renamed(before, sorted(old - new), after, sorted(new - old))
    gone = sorted(old - {*earlier.values()})
    pairs = [_pair(before, earlier.get(name), after, name, changed, params, names) for name in sorted(new)]
    pairs += [
        _pair(before, name, after, None, changed, params, names) for name in gone if wanted is None or name in wanted
    ]
    return [pair for pair in pairs if pair is not None], problems


def _renamed(before: FilesAt, gone: Sequence[str], after: FilesAt, new: Sequence[str]) -> dict[str, str]:
    """By the path of a recipe, the path that it had before: of those of one name, then of those that are most alike."""
    found: dict[str, str] = {}
    was = {name: content(before.path(name), before).get("name") for name in gone}
    for name in new:
        called = content(after.path(name), after).get("name")
        same = [old for old in gone if was[old] == called and old not in found.values()]
        if len(same) == 1:
            found[name] = same[0]
    likeness = []
    for name in [each for each in new if each not in found]:
        lines = after.read(after.path(name), intake.RECIPE_BYTES).decode(errors="replace").splitlines()
        likeness += [
            (-likeness_of(lines, before.read(before.path(old), intake.RECIPE_BYTES)), name, old) for old in gone
        ]
    for less, name, old in sorted(likeness):
        if -less >= ALIKE and name not in found and old not in found.values():
            found[name] = old
    return found


def _wanted(before: FilesAt, after: FilesAt, paths: Sequence[str]) -> tuple[frozenset[str] | None, list[Diagnostic]]:
    """The names in the repository of the recipes that are asked for; ``None`` for all."""
    if not paths:
        return None, []
    found, problems = set(), []
    for path in paths:
        name = after.name(path) or before.name(path)
        if name is not None:
            found.add(name)
            continue
        message = f"{path} is no file of {after.repository.root.name} at {before.revision} or {after.revision}"
        problems.append(
            Diagnostic(Code.REVISION, message, hint="give the path of a recipe that is there, or none for all")
        )
    return frozenset(found), problems


def _recipes(files: FilesAt) -> set[str]:
    """The files of a revision that say that they are recipes."""
    names = [name for name in sorted(files.entries) if name.endswith(ENDINGS)]
    files.take_in(names, intake.RECIPE_BYTES)
    return {name for name in names if _is_recipe(name, files)}


def _is_recipe(name: str, files: FilesAt) -> bool:
    path = files.path(name)
    try:
        data = files.read(path, intake.RECIPE_BYTES)
    except OSError:
        return False
    return bool(_TELLS_RECIPE.search(data)) and "recipe" in content(path, files)


def _pair(
    before: FilesAt,
    old: str | None,
    after: FilesAt,
    new: str | None,
    changed: frozenset[str],
    params: Mapping[str, str],
    names: tuple[str, str],
) -> _Pair | None:
    """A recipe at two revisions, ``None`` where it and what it names is the same."""
    versions: list[_Version | None] = []
    asked: set[str | None] = set()
    for files, name in ((before, old), (after, new)):
        if name is None:
            versions.append(None)
            continue
        path = Path(os.path.relpath(files.path(name)))
        read = files
        if new is not None and name != new:
            read, path = files.beside(Path(os.path.relpath(after.path(new))), name)
        noting = _Noting(read)
        recipe, found = at(path, noting, params)
        versions.append(_Version(name, recipe, found=found))
        asked |= {read.name(each) for each in (*noting.asked, *(_configs(recipe) if recipe else ()))}
    if old == new and not asked & changed:
        return None
    shown = Path(os.path.relpath(after.path(new or old or ""))).as_posix()
    return _Pair(shown, versions[0], versions[1], names)


def _configs(recipe: CheckedRecipe) -> Iterator[Path]:
    """The copick configs of this machine that a recipe names."""
    for source in recipe.recipe.sources.values():
        value = getattr(source.spec, source.kind.place) if source.kind.place else ""
        if source.kind.place_is_config and not is_url(value):
            yield recipe.folder / value


# Comparing


def _compared(pairs: Sequence[_Pair], options: Options, workers: Workers, progress: Progress) -> list[Compared]:
    """All pairs, their recipes planned together: sources that they share are read once."""
    versions = [v for pair in pairs for v in (pair.before, pair.after) if v is not None and v.recipe is not None]
    recipes = [(v.recipe, v.found) for v in versions if v.recipe is not None]
    outcomes = planning.make_plans(recipes, options, workers, progress) if recipes else []
    planned: dict[int, dict[str | None, Outcome]] = {}
    for outcome in outcomes:
        planned.setdefault(id(outcome.checked), {})[outcome.spec.name] = outcome
    return [compared for pair in pairs for compared in _of_pair(pair, planned, options)]


def _of_pair(pair: _Pair, planned: Mapping[int, Mapping[str | None, Outcome]], options: Options) -> Iterator[Compared]:
    old, new = ({} if v is None or v.recipe is None else planned[id(v.recipe)] for v in (pair.before, pair.after))
    before_names, after_names = _results(pair.before, old), _results(pair.after, new)
    both = (
        [*after_names, *(before_names if None not in (*before_names, *after_names) else ())] or before_names or [None]
    )
    for name in dict.fromkeys(both):
        before, after = _of(pair.before, name, old), _of(pair.after, name, new)
        yield _result(pair, name, before, after, options)


def _results(version: _Version | None, outcomes: Mapping[str | None, Outcome]) -> list[str | None]:
    """The names of what a version makes."""
    return [] if version is None else [*(outcomes or version.sides)]


def _of(
    version: _Version | None, name: str | None, outcomes: Mapping[str | None, Outcome]
) -> _Version | Outcome | None:
    """What a version has of a result. Where one of two has one result, that is it, whatever the other calls its own."""
    if version is None:
        return None
    if version.recipe is None:
        sides = version.sides
        if not sides or name in sides:
            return replace(version, sides={None: sides[name]} if sides else {})
        # The only one of a version, or the first, is what has no name of its own.
        first = next(iter(sides))
        return replace(version, sides={None: sides[first]}) if name is None or first is None else None
    if name in outcomes:
        return outcomes[name]
    if None in outcomes:
        return outcomes[None]
    if name is None:
        return outcomes[planning.speaks_for_all(version.recipe).name]
    return None


def _result(
    pair: _Pair, name: str | None, before: _Version | Outcome | None, after: _Version | Outcome | None, options: Options
) -> Compared:
    found: list[Diagnostic] = []
    sides: list[Side | None] = []
    for of, version in (("before", before), ("after", after)):
        side, told = _side(version)
        sides.append(side)
        if of == "after":
            found += told
        elif version is not None and side is None:
            problem = next(errors(told))
            message = f"{_called(version, pair)} at {pair.names[0]} cannot be planned: {problem.message}"
            hint = "all of the other is shown as new"
            found.append(Diagnostic(Code.BEFORE_UNPLANNED, message, Severity.WARNING, hint))
    old, new = sides
    if new is None and after is None and old is not None:
        new = Side({name: records(name) for name in RECORD_SETS}, {})
    reviewed = review(old, new, options.allow) if new is not None else None
    if reviewed is not None and isinstance(after, Outcome) and not any(errors(found)):
        found += version_notes.find(reviewed.version, after.checked.document)
    return Compared(pair.path, *pair.names, reviewed, in_order(found), name)


def _called(version: _Version | Outcome, pair: _Pair) -> str:
    return version.named if isinstance(version, _Version) else pair.before.named if pair.before else pair.path


def _side(version: _Version | Outcome | None) -> tuple[Side | None, tuple[Diagnostic, ...]]:
    """A version as it is compared, ``None`` where there is none, and what was found of it."""
    if version is None:
        return None, ()
    if isinstance(version, _Version):
        return next(iter(version.sides.values()), None), version.found
    if version.plan is None:
        return None, version.diagnostics
    try:
        return side_of(version.plan, version.output), version.diagnostics
    except DiagnosticError as error:
        return None, in_order([*version.diagnostics, *error.diagnostics])
