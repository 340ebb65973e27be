"""The library: check, plan, build, each in one call. The command uses nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import (
    Diagnostic,
    DiagnosticError,
    Severity,
    as_yaml,
    did_you_mean,
    errors,
    exit_code,
    in_order,
)
from croissant_recipes.language import checks, recipe, recipe_fields
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.location import Location
from croissant_recipes.options import Options
from croissant_recipes.progress import Silent

if TYPE_CHECKING:
    from croissant_recipes.building import Prepared
    from croissant_recipes.comparing import Against, AsItWas
    from croissant_recipes.compiler.labels import Row
    from croissant_recipes.compiler.planner import Plan
    from croissant_recipes.diffing import Compared
    from croissant_recipes.planning import Outcome
    from croissant_recipes.report import Report
    from croissant_recipes.review.reviewing import Review
    from croissant_recipes.saved_plans import Made, SavedPlan
    from croissant_recipes.sources.base import Progress
    from croissant_recipes.stores import Output

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Checked:
    """What ``check`` found of one recipe.

    Attributes:
        path: The recipe file, as given.
        recipe: The checked recipe, ``None`` when it has an error.
        diagnostics: Everything found, in file order.
    """

    path: str
    recipe: CheckedRecipe | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(errors(self.diagnostics))


@dataclass(frozen=True)
class Planned:
    """What ``plan`` or ``build`` made of one result of a recipe.

    Attributes:
        path: The recipe file, as given.
        plan: The plan, ``None`` when there is none because of an error.
        prepared: The files and how they differ from what is there, ``None`` without a plan.
        output: Where it is or would be written.
        written: Whether any file was: not by a plan, with an error, or where all is as it should be (see ``ok``).
        diagnostics: Everything found. What all results of a recipe share is told of one of them, but errors of each.
        output_name: What ``outputs`` calls the result, ``None`` for the one ``output``.
        against: What differs from what the recipe made at a git revision, where that was asked for.
    """

    path: str
    plan: Plan | None
    prepared: Prepared | None
    output: Output | None
    written: bool
    diagnostics: tuple[Diagnostic, ...]
    output_name: str | None = None
    against: Against | None = None

    @property
    def review(self) -> Review | None:
        """What differs from what is there, or from what the recipe made at a revision, and what that means."""
        if self.against is not None:
            return self.against.review
        return self.prepared.review if self.prepared else None

    @property
    def ok(self) -> bool:
        return not any(errors(self.diagnostics))

    @property
    def metadata_url(self) -> str | None:
        """Where ``metadata.json`` lies, for ``from_croissant``."""
        return self.output.metadata.url if self.output else None

    @property
    def report(self) -> Report:
        """What there is to say of it."""
        from croissant_recipes import report

        found = self.diagnostics
        return report.make(
            self.path,
            self.plan,
            self.prepared,
            self.output,
            found,
            written=self.written,
            output_name=self.output_name,
            against=self.against,
        )


def check(*recipes: PathLike, params: Mapping[str, str] | None = None) -> tuple[Checked, ...]:
    """Find everything that is wrong with recipes and can be seen without their sources. No network is touched."""
    checked = []
    for path in recipes:
        recipe, found = checks.check_recipe(path, params)
        checked.append(Checked(os.fspath(path), recipe, found))
    return tuple(checked)


def load_recipe(path: PathLike, params: Mapping[str, str] | None = None) -> CheckedRecipe:
    """Load one recipe.

    Raises:
        DiagnosticError: The recipe has an error; ``diagnostics`` holds everything found. It is a ``ValueError``.
    """
    recipe, found = checks.check_recipe(path, params)
    if recipe is None:
        raise DiagnosticError(*errors(found))
    return recipe


def plan(
    *recipes: PathLike,
    options: Options | None = None,
    progress: Progress | None = None,
    against: str | None = None,
) -> tuple[Planned, ...]:
    """Work out what a build would write, and write nothing. Sources that recipes share are read once.

    Args:
        recipes: The recipes.
        options: How to plan.
        progress: Where long work is reported.
        against: A git revision. What the recipes do is compared with what they did there, over the sources of today;
            otherwise with what is at their outputs.
    """
    return _run(recipes, options or Options(), progress or Silent(), write=False, against=against)


def build(
    *recipes: PathLike,
    options: Options | None = None,
    progress: Progress | None = None,
    saved: PathLike | None = None,
) -> tuple[Planned, ...]:
    """Build recipes. Nothing of any of them is written when one of them has an error.

    Args:
        recipes: The recipes.
        options: How to build.
        progress: Where long work is reported.
        saved: A plan of the one recipe that ``saved_plan`` made: exactly that is built, or nothing.
    """
    return _run(recipes, options or Options(), progress or Silent(), write=True, saved=saved)


def saved_plan(results: Sequence[Planned], options: Options | None = None) -> bytes:
    """A file that keeps the plan of one recipe, for ``build``.

    Args:
        results: What ``plan`` made of it: all its results, none with an error.
        options: Those of the plan.

    Raises:
        ValueError: Some result has an error.
    """
    from croissant_recipes import saved_plans

    return saved_plans.of(_made(results), options or Options()).as_bytes()


def _made(results: Sequence[Planned]) -> list[Made]:
    made = [(r.plan, r.prepared, r.output) for r in results if r.ok and r.plan and r.prepared and r.output]
    if len(made) < len(results) or not made:
        raise ValueError("a plan with an error cannot be kept")
    return made


@dataclass(frozen=True)
class Diff:
    """What ``diff`` found.

    Attributes:
        compared: Each pair of versions.
        diagnostics: What kept versions from being compared at all.
    """

    compared: tuple[Compared, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(errors(self.diagnostics)) and all(c.ok for c in self.compared)

    @property
    def reports(self) -> tuple[Report, ...]:
        """What there is to say of each pair."""
        from croissant_recipes import report

        return tuple(report.of_compared(compared) for compared in self.compared)


def diff(*versions: PathLike, options: Options | None = None, progress: Progress | None = None) -> Diff:
    """What differs between two versions, and what that means. Nothing is written.

    Args:
        versions: Two recipes, saved plans or Croissants (a ``metadata.json``, the folder or project of one, or a URL);
            or ``REV..REV`` and any number of recipes: those of them, or of all, that changed between two revisions.
        options: How to plan, and what is allowed.
        progress: Where long work is reported.

    Raises:
        ValueError: There are not two versions.
    """
    from croissant_recipes import diffing
    from croissant_recipes.work import Workers

    named = [os.fspath(version) for version in versions]
    options, progress = options or Options(), progress or Silent()
    ranged = bool(named) and diffing.is_range(named[0])
    if not ranged and len(named) != _PAIR:
        raise ValueError("diff takes two versions, or REV..REV and recipes")
    with Workers(options.jobs, options.executor) as workers:
        try:
            if ranged:
                compared, found = diffing.of_range(named[0], named[1:], options, workers, progress)
            else:
                compared, found = diffing.of_two(named[0], named[1], options, workers, progress)
        except DiagnosticError as error:
            return Diff((), error.diagnostics)
        if options.points is not None:
            from croissant_recipes import changed_points

            compared = [
                replace(c, review=changed_points.with_geometry(c.review, options.points, workers, progress))
                if c.review is not None
                else c
                for c in compared
            ]
    reviews = [c.review for c in compared if c.review is not None]
    unused = _unused_words(reviews, options, lambda word: any(r.uses(word) for r in reviews))
    return Diff(tuple(compared), in_order([*found, *(unused if len(reviews) == len(compared) else ())]))


_PAIR = 2


@dataclass(frozen=True)
class Adopted:
    """What ``adopt`` did, or would do.

    Attributes:
        path: The recipe file, as given.
        text: What the recipe says afterwards, ``None`` where it stays as it is.
        before: What it said.
        folder: The folder of the Croissant with the adopted rows, ``None`` where there are none.
        written: Whether it was done.
        left: Changes of others that the recipe cannot say, one a line.
        diagnostics: Everything found.
    """

    path: str
    text: str | None
    before: str
    folder: str | None
    written: bool
    left: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


def adopt(
    path: PathLike, *, options: Options | None = None, progress: Progress | None = None, dry_run: bool = False
) -> Adopted:
    """Turn changes that others made to a built Croissant into something that its recipe says. Nothing is written where
    the recipe would not check or could not be built afterwards."""
    options, shown = options or Options(), os.fspath(path)
    results = plan(path, options=options, progress=progress)
    others = _besides_drift(results)
    planned = next((r for r in results if _can_be_adopted(r)), results[0])
    prepared = planned.prepared
    if any(errors(others)) or prepared is None or not _can_be_adopted(planned):
        drifted = in_order(d for result in results for d in result.diagnostics)
        return Adopted(shown, None, "", None, False, _undecided(results), drifted)
    from croissant_recipes import adopting
    from croissant_recipes.language import recipe_edits

    assert planned.plan is not None
    assert planned.output is not None
    try:
        proposal = adopting.proposal(planned.plan.checked, prepared, planned.output)
        before = Path(shown).read_text(encoding="utf-8")
        edits = proposal.edits
        while True:
            text = recipe_edits.edited(before, edits)
            with adopting.on_trial(Path(shown), text, proposal) as recipe:
                tried = plan(recipe, options=options, progress=progress)
            found = _besides_drift(tried)
            if any(errors(found)):
                if not edits.moved:
                    return Adopted(shown, None, before, None, False, (), found)
                edits = edits.without_splits()
            elif futile := edits.moved & _moved_still(tried):
                edits = edits.without_runs(futile)
            else:
                break
        notes = _undecided(tried)
        if edits and not dry_run:
            adopting.write(Path(shown), text, proposal)
    except DiagnosticError as error:
        return Adopted(shown, None, "", None, False, (), in_order([*others, *error.diagnostics]))
    changed = text if text != before or proposal.files else None
    folder = str(proposal.folder) if proposal.files else None
    return Adopted(shown, changed, before, folder, changed is not None and not dry_run, notes, others)


def _besides_drift(results: Sequence[Planned]) -> tuple[Diagnostic, ...]:
    return in_order(d for result in results for d in result.diagnostics if d.code is not Code.DRIFT)


def _can_be_adopted(result: Planned) -> bool:
    """Whether others changed what a recipe can say. What they do to a result that hides something is about masked runs,
    or else would come into all results."""
    drifted = result.prepared is not None and result.prepared.undecided is not None
    return drifted and result.plan is not None and not result.plan.target.spec.hides


def _moved_still(results: Sequence[Planned]) -> set[str]:
    """The runs whose split somebody changed, and of which the recipe says something else all the same."""
    undecided = [
        r.prepared.undecided[1] for r in results if r.prepared is not None and r.prepared.undecided is not None
    ]
    return {str(name) for found in undecided if "runs" in found.tables for name in found.tables["runs"].changed["name"]}


def _undecided(results: Sequence[Planned]) -> tuple[str, ...]:
    """What others changed and nobody decided about."""
    from croissant_recipes.croissant import drift_notes

    lines = []
    for result in results:
        if result.plan is None or result.prepared is None or result.prepared.undecided is None:
            continue
        existing, found = result.prepared.undecided
        of = f"{result.output_name}: " if result.output_name else ""
        lines += [f"{of}{note}" for note in drift_notes.notes(found, existing, result.plan.content)]
    return tuple(lines)


def output_names(path: PathLike, params: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What ``outputs`` of a recipe calls its results; nothing where it has one ``output``, or an error."""
    recipe, _ = checks.check_recipe(path, params)
    return tuple(spec.name for spec in recipe.outputs if spec.name is not None) if recipe else ()


@dataclass(frozen=True)
class Labels:
    """The labels of a recipe's objects.

    Attributes:
        path: The recipe file, as given.
        rows: Every object of the result by its label, then those that are there and not in the result.
        outputs: The Croissant folders that are compared with, as they can be shown.
        text: What the recipe says once labels are written, ``None`` where it gives them all, or none is to be written.
        before: What it said.
        written: Whether it was written.
        diagnostics: What stands against it.
    """

    path: str
    rows: tuple[Row, ...]
    outputs: tuple[str, ...]
    text: str | None
    before: str
    written: bool
    diagnostics: tuple[Diagnostic, ...]


def labels(
    path: PathLike, *, options: Options | None = None, progress: Progress | None = None, write: bool = False
) -> Labels:
    """The labels of a recipe's objects, and those that are at its output.

    Args:
        path: The recipe.
        options: As of ``plan``. What stops a build only until somebody decides about it is no obstacle here.
        progress: Where long work is reported.
        write: Whether to write into the recipe, for objects that it gives no label, those that are there and, for
            objects that are not there, those of the plan.
    """
    from croissant_recipes.stores import single_files

    shown = os.fspath(path)
    decided = replace(options or Options(), on_drift="keep", force=True, allow=frozenset({"labels"}))
    results = plan(path, options=decided, progress=progress)
    wrong = in_order(d for planned in results for d in errors(planned.diagnostics))
    against = tuple(d for d in wrong if d.code.exit_code is not ExitCode.BLOCKED)
    places = tuple(planned.output.place for planned in results if planned.output)
    # A result that hides something may list fewer.
    results = tuple(sorted(results, key=lambda planned: planned.plan is not None and planned.plan.target.spec.hides))
    compared = [planned.prepared.labels for planned in results if planned.prepared and planned.prepared.labels]
    if len(compared) < len(results) or not compared:
        return Labels(shown, (), places, None, "", False, against or wrong)
    from croissant_recipes.compiler.labels import together

    labelled = together(compared)
    found = Labels(shown, labelled.rows(), places, None, "", False, against)
    if not write or against or not labelled.to_write:
        return found
    from croissant_recipes.language import label_lines

    before = Path(shown).read_bytes().decode()
    try:
        after = label_lines.with_labels(before, labelled.to_write)
        single_files.write_file(shown, after.encode())
    except DiagnosticError as error:
        return replace(found, diagnostics=error.diagnostics)
    except ValueError as error:
        assert results[0].plan is not None
        document = results[0].plan.checked.document
        lines = tuple(f"  {as_yaml(name)}: {{label: {label}}}" for name, label in labelled.to_write.items())
        told = Diagnostic(
            Code.VALUE,
            f"`objects` of the recipe cannot be edited without changing more: {error}",
            hint="write these lines into it by hand",
            span=document.key_span("objects"),
            notes=("objects:", *lines),
        )
        return replace(found, diagnostics=(told,))
    return replace(found, text=after, before=before, written=True)


def results_exit_code(results: Sequence[Checked | Planned]) -> ExitCode:
    """The exit code for all results together."""
    return exit_code(d for result in results for d in result.diagnostics)


def diff_exit_code(found: Diff, *, changes: bool = False) -> ExitCode:
    """The exit code of a comparison; where ``changes`` is asked for, that something differs, or breaks, has one."""
    wrong = exit_code([*found.diagnostics, *(d for c in found.compared for d in c.diagnostics)])
    of_changes = (c.review.exit_code(writes=False) for c in found.compared if changes and c.ok and c.review)
    return ExitCode.first([wrong, *of_changes])


def change_exit_code(results: Sequence[Planned]) -> ExitCode:
    """The exit code for all results together where what would change, or breaks somebody, is to have one."""
    changed = (
        r.against.review.exit_code(writes=False) if r.against else r.prepared.exit_code
        for r in results
        if r.ok and r.prepared
    )
    return ExitCode.first([results_exit_code(results), *changed])


def _run(
    recipes: Sequence[PathLike],
    options: Options,
    progress: Progress,
    *,
    write: bool,
    against: str | None = None,
    saved: PathLike | None = None,
) -> tuple[Planned, ...]:
    # The compiler needs pandas, copick and mlcroissant; `check` must not wait for them.
    checked = check(*recipes, params=options.params)
    options, problems = _with_base_url(options)
    if problems or not all(c.ok for c in checked):
        return tuple(Planned(c.path, None, None, None, False, in_order([*c.diagnostics, *problems])) for c in checked)

    from croissant_recipes import planning
    from croissant_recipes.work import Workers

    loaded = [(c.recipe, c.diagnostics) for c in checked if c.recipe]
    shared = _shared_outputs(checked, options)
    if shared:
        return tuple(
            Planned(
                c.path,
                None,
                None,
                planning.output_of(c.recipe, spec, options),
                False,
                in_order([*c.diagnostics, *shared.get(c.path, ())]),
                spec.name,
            )
            for c in checked
            if c.recipe
            for spec in c.recipe.outputs
        )
    kept: SavedPlan | None = None
    if saved is not None:
        from croissant_recipes import saved_plans

        try:
            kept = saved_plans.load(os.fspath(saved))
        except DiagnosticError as error:
            return tuple(
                Planned(c.path, None, None, None, False, in_order([*c.diagnostics, *error.diagnostics]))
                for c in checked
            )
        # What was approved with the plan is approved.
        options = replace(options, allow=options.allow | frozenset(kept.allow))
    earlier: list[AsItWas] = []
    if against is not None:
        from croissant_recipes import comparing

        try:
            earlier = comparing.as_they_were([recipe for recipe, _ in loaded], against, options.params)
        except DiagnosticError as error:
            return tuple(
                Planned(c.path, None, None, None, False, in_order([*c.diagnostics, *error.diagnostics]))
                for c in checked
            )
    with Workers(options.jobs, options.executor) as workers:
        then = [(was.recipe, ()) for was in earlier if was.recipe]
        outcomes = planning.make_plans([*loaded, *then], options, workers, progress)
    paths = [c.path for c in checked if c.recipe for _ in c.recipe.outputs]
    outcomes, others = outcomes[: len(paths)], outcomes[len(paths) :]
    previews = [_preview(path, outcome, options) for path, outcome in zip(paths, outcomes, strict=True)]
    if against is not None:
        by_path = {recipe.path: was for (recipe, _), was in zip(loaded, earlier, strict=True)}
        previews = _against(previews, outcomes, by_path, others, options)
    previews = _with_unused_words(previews, options)
    if options.points is not None and not write:
        previews = _with_points(previews, options.points, options, progress)
    made = [(p.plan, p.prepared, p.output) for p in previews if p.plan and p.prepared and p.output]
    if kept is not None and len(made) == len(previews):
        # What stands against a build now may well be what moved.
        moved = saved_plans.stale(kept, os.fspath(saved or ""), made, options, fine=all(p.ok for p in previews))
        if moved is not None:
            first, *rest = previews
            previews = [replace(first, diagnostics=in_order([*first.diagnostics, moved])), *rest]
    if not write or not all(p.ok for p in previews):
        return tuple(previews)
    return _write_all(previews, outcomes, options, exactly=kept is not None)


def _against(
    previews: Sequence[Planned],
    outcomes: Sequence[Outcome],
    earlier: Mapping[Path, AsItWas],
    others: Sequence[Outcome],
    options: Options,
) -> list[Planned]:
    """Previews beside what their recipes made at a revision."""
    from croissant_recipes import comparing

    found = []
    for preview, outcome in zip(previews, outcomes, strict=True):
        was = earlier[outcome.checked.path]
        same = (o for o in others if o.checked is was.recipe and o.spec.name == outcome.spec.name)
        if preview.plan is None or preview.prepared is None:
            found.append(preview)
            continue
        try:
            compared, told = comparing.against(
                was, next(same, None), preview.plan, preview.prepared, outcome.output, options
            )
        except DiagnosticError as error:
            found.append(replace(preview, diagnostics=in_order([*preview.diagnostics, *error.diagnostics])))
            continue
        found.append(replace(preview, against=compared, diagnostics=told))
    return found


def _with_points(previews: Sequence[Planned], distance: float, options: Options, progress: Progress) -> list[Planned]:
    """Previews that say how the points of changed picks change."""
    from croissant_recipes import changed_points
    from croissant_recipes.work import Workers

    found = []
    with Workers(options.jobs, options.executor) as workers:
        for p in previews:
            if p.against is not None:
                reviewed = changed_points.with_geometry(p.against.review, distance, workers, progress)
                found.append(replace(p, against=replace(p.against, review=reviewed)))
            elif p.prepared is not None:
                reviewed = changed_points.with_geometry(p.prepared.review, distance, workers, progress)
                found.append(replace(p, prepared=replace(p.prepared, review=reviewed)))
            else:
                found.append(p)
    return found


def _with_unused_words(previews: Sequence[Planned], options: Options) -> list[Planned]:
    """Tells of words of ``--allow`` that allow nothing of any result: with the first of them, as they are no one's."""
    reviews = [p.review for p in previews if p.review is not None]
    if len(reviews) < len(previews):
        return [*previews]
    found = _unused_words(reviews, options, lambda word: any(_uses(p, word) for p in previews))
    if not found:
        return [*previews]
    first, *others = previews
    assert first.prepared is not None
    told = in_order([*first.diagnostics, *found])
    return [replace(first, diagnostics=told, prepared=replace(first.prepared, diagnostics=told)), *others]


def _unused_words(reviews: Sequence[Review], options: Options, uses: Callable[[str], bool]) -> list[Diagnostic]:
    """What to tell of words of ``--allow`` that allow nothing."""
    words = {risk.word for review in reviews for risk in review.risks if not risk.allowed}
    found = []
    for word in sorted(word for word in options.allow if not uses(word)):
        hint = did_you_mean(word, words, what="what is to be allowed is") or "leave it out: nothing is to be allowed"
        message = f"--allow {word} allows nothing of this change"
        found.append(Diagnostic(Code.ALLOWED_NOTHING, message, Severity.WARNING, hint))
    return found


def _uses(planned: Planned, word: str) -> bool:
    """Whether a word of ``--allow`` allows something of a result."""
    review, prepared = planned.review, planned.prepared
    return (review is not None and review.uses(word)) or (prepared is not None and prepared.lets_move(word))


def _write_all(
    previews: Sequence[Planned], outcomes: Sequence[Outcome], options: Options, *, exactly: bool
) -> tuple[Planned, ...]:
    """Nothing is written before every place is known to be one that can be written."""
    from croissant_recipes import stores

    with ExitStack() as held:
        refused: dict[int, tuple[Diagnostic, ...]] = {}
        # In one order, so that two builds of the same places do not wait for each other.
        for at in sorted(range(len(previews)), key=lambda at: str(_output_of(previews[at]).project_root.real)):
            try:
                held.enter_context(stores.locked(_output_of(previews[at])))
            except DiagnosticError as error:
                refused[at] = error.diagnostics
        if refused:
            return tuple(
                replace(p, diagnostics=in_order([*p.diagnostics, *refused.get(at, ())]))
                for at, p in enumerate(previews)
            )
        written = _write_each(previews, outcomes, options, exactly=exactly)
        try:
            held.close()
        except DiagnosticError as error:
            # What is written is there: that its lock cannot be given back is told with the last.
            *others, last = written
            return (*others, replace(last, diagnostics=in_order([*last.diagnostics, *error.diagnostics])))
        return written


def _write_each(
    previews: Sequence[Planned], outcomes: Sequence[Outcome], options: Options, *, exactly: bool
) -> tuple[Planned, ...]:
    """Writes results, of each recipe those first that hide nothing: names that nobody remembers are not published."""
    written: dict[int, Planned] = {}
    failed: dict[int, Planned] = {}
    for at in sorted(range(len(previews)), key=lambda at: outcomes[at].spec.hides):
        preview, recipe = previews[at], id(outcomes[at].checked)
        if recipe in failed:
            message = f"{_place(preview)} was not written, as {_place(failed[recipe])} could not be"
            found = Diagnostic(Code.NOT_WRITABLE, message, hint="build again once that is put right")
            written[at] = replace(preview, diagnostics=in_order([*preview.diagnostics, found]))
            continue
        written[at] = _write(preview, outcomes[at], options, exactly=exactly)
        if not written[at].ok:
            failed[recipe] = written[at]
    return tuple(written[at] for at in range(len(previews)))


def _place(planned: Planned) -> str:
    return _output_of(planned).place


def _output_of(planned: Planned) -> Output:
    assert planned.output is not None
    return planned.output


def _with_base_url(options: Options) -> tuple[Options, tuple[Diagnostic, ...]]:
    """The options with their base URL as a recipe would have it, and what a recipe would be told of it."""
    from pydantic_core import PydanticCustomError

    if options.base_url is None:
        return options, ()
    try:
        return replace(options, base_url=recipe_fields.base_url(options.base_url)), ()
    except PydanticCustomError as error:
        told = error.context or {}
        return options, (Diagnostic(Code.VALUE, f"--base-url: {told['message']}", hint=told["hint"]),)


def _preview(path: str, outcome: Outcome, options: Options) -> Planned:
    from croissant_recipes import building

    bare = Planned(path, outcome.plan, None, outcome.output, False, outcome.diagnostics, outcome.spec.name)
    if outcome.plan is None:
        return bare
    try:
        prepared = building.preview(outcome.plan, outcome.diagnostics, outcome.output, options)
    except DiagnosticError as error:
        return replace(bare, diagnostics=in_order([*outcome.diagnostics, *error.diagnostics]))
    return replace(bare, prepared=prepared, diagnostics=prepared.diagnostics)


def _write(preview: Planned, outcome: Outcome, options: Options, *, exactly: bool) -> Planned:
    from croissant_recipes import building

    assert preview.plan is not None
    assert preview.prepared is not None
    assert preview.output is not None
    try:
        prepared = building.commit(
            preview.prepared, preview.plan, outcome.diagnostics, preview.output, options, exactly=exactly
        )
    except DiagnosticError as error:
        return replace(preview, diagnostics=in_order([*preview.diagnostics, *error.diagnostics]))
    written = not any(errors(prepared.diagnostics)) and bool(prepared.touched)
    return replace(preview, prepared=prepared, written=written, diagnostics=prepared.diagnostics)


def _shared_outputs(checked: Sequence[Checked], options: Options) -> dict[str, list[Diagnostic]]:
    """Recipes of one call that would write the same Croissant."""
    from croissant_recipes import planning

    first: dict[Location, str] = {}
    found: dict[str, list[Diagnostic]] = {}
    for result in checked:
        assert result.recipe is not None
        twice = [c.path for c in checked].count(result.path) > 1
        for spec in result.recipe.outputs:
            earlier = first.setdefault(planning.output_of(result.recipe, spec, options).project_root.real, result.path)
            if earlier != result.path or twice:
                span = result.recipe.document.value_span(*spec.path, "project_root")
                message = f"{earlier} is built into the same project_root"
                found.setdefault(result.path, []).append(
                    Diagnostic(Code.VALUE, message, span=span, hint="give each recipe an output of its own")
                )
    return found


def diagnostics_exit_code(found: Sequence[Diagnostic]) -> ExitCode:
    """The exit code of some findings."""
    return exit_code(found)


def schema_text(*, fragment: bool = False) -> str:
    """The JSON Schema of the recipe format, or that of fragments, as text."""
    document = recipe.fragment_json_schema() if fragment else recipe.json_schema()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def saved_plan_schema_text() -> str:
    """The JSON Schema of saved plans, as text."""
    from croissant_recipes import saved_plans

    return json.dumps(saved_plans.json_schema(), indent=2, ensure_ascii=False) + "\n"


def plan_schema_text() -> str:
    """The JSON Schema of what ``plan --format json`` prints, as text."""
    return resources.files("croissant_recipes.render").joinpath("plan.schema.json").read_text(encoding="utf-8")


def starter_recipe(
    *,
    config: str | None = None,
    datasets: Sequence[int] = (),
    depositions: Sequence[int] = (),
    portal_url: str | None = None,
    folder: Path | None = None,
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """A commented starter recipe from what a copick project (``config``) or datasets of the portal hold.

    Args:
        config: A copick JSON config.
        datasets: Dataset ids of the CryoET Data Portal.
        depositions: Deposition ids: the datasets in which one has a tomogram or an annotation.
        portal_url: Another GraphQL endpoint than the portal's own.
        folder: Where the recipe will lie; relative paths in it start there.

    Returns:
        The recipe's text, ``None`` when the source cannot be read, and what was found.
    """
    from croissant_recipes import starter
    from croissant_recipes.language.source_kinds import PortalSource

    try:
        if config is not None:
            return starter.from_config(config, folder or Path.cwd())
        # What is no URL gives no answer, and is told to.
        spec = PortalSource.model_construct(
            datasets=tuple(datasets), depositions=tuple(depositions), until=None, url=portal_url
        )
        return starter.from_portal(spec)
    except DiagnosticError as error:
        return None, error.diagnostics
