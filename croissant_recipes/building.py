"""A plan to files: compares with what is there, decides about drift, and commits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from croissant_recipes import __version__, planning, stores
from croissant_recipes.allowing import covers
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.compiler import drawing, expectations, giveaways, labels_there, withholding
from croissant_recipes.compiler.labels import Comparison, word_of
from croissant_recipes.compiler.lineage import described, of_rows
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import build_record, drift, drift_notes
from croissant_recipes.croissant.build_record import RECORD_FILE, Origin
from croissant_recipes.croissant.content import METADATA, Content
from croissant_recipes.croissant.diff import Changes
from croissant_recipes.croissant.drift import Drift, Existing
from croissant_recipes.croissant.masked_names import NAMES_FILE
from croissant_recipes.croissant.row_record import ROWS_FILE
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, Severity, Span, errors, in_order, listing
from croissant_recipes.language import normal_form
from croissant_recipes.options import Options
from croissant_recipes.review import version_notes
from croissant_recipes.review.reviewing import Review, review
from croissant_recipes.review.side import Side
from croissant_recipes.stores import Output

_PATIENCE = 30.0
"""How long a build waits for a moment in which nobody saves, in seconds."""

_HALF_SAVED = 2.0
"""How long copick may take between a CSV and its manifest, in seconds."""


@dataclass(frozen=True)
class Prepared:
    """Everything a build would write, compared with what is there.

    Attributes:
        there: The files that are there now, by name.
        aside: Files that others saved while an earlier build worked, which was killed before it could put them back.
        content: What would be written, as values: the plan's, and what others changed if that is kept.
        files: Bytes by name, the build record included.
        stale: Files of an earlier build that would be removed.
        review: How it differs from what is there, and what that means.
        diagnostics: Everything found. With an error among them nothing is written.
        undecided: What is there, and what others changed in it that nobody decided about; ``None`` where they did not.
        labels: The labels of the result beside those that are there, ``None`` where it did not come to that.
        moves: Drawn runs that are in another split there, with the split there and the new one.
    """

    there: Mapping[str, bytes]
    aside: Mapping[str, bytes]
    content: Content
    files: Mapping[str, bytes]
    stale: tuple[str, ...]
    review: Review
    diagnostics: tuple[Diagnostic, ...]
    undecided: tuple[Existing, Drift] | None = None
    labels: Comparison | None = None
    moves: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def changes(self) -> Changes:
        return self.review.changes

    def lets_move(self, allowed: str) -> bool:
        """Whether a word of ``--allow`` lets a label of it move."""
        return any(covers(allowed, word_of(m)) for m in (self.labels.unasked if self.labels else ()))

    @property
    def exit_code(self) -> ExitCode:
        """What a caller ends with who asked for what would change."""
        return self.review.exit_code(writes=bool(self.touched))

    @property
    def touched(self) -> tuple[str, ...]:
        """The files that a build writes or removes, sorted. Those that are there with the same bytes stay."""
        written = (name for name, data in self.files.items() if self.there.get(name) != data)
        return tuple(sorted({*written, *self.stale}))


def preview(plan: Plan, found: Sequence[Diagnostic], output: Output, options: Options) -> Prepared:
    """Prepare without writing, locking or repairing anything."""
    return _prepare(plan, found, output, options, stores.peek(output), stores.set_aside(output))


def commit(
    prepared: Prepared,
    plan: Plan,
    found: Sequence[Diagnostic],
    output: Output,
    options: Options,
    *,
    exactly: bool = False,
) -> Prepared:
    """Write what ``preview`` prepared. If the Croissant that is there changed since, it is prepared anew, and not
    written when something stands against it now. For a caller that holds the output's lock.

    Args:
        exactly: Whether that is to be written or nothing.
    """
    there, aside = stores.read_existing(output), stores.set_aside(output)
    if (there, aside) != (prepared.there, prepared.aside):
        if exactly:
            return _overtaken(prepared, output)
        prepared = _prepare(plan, found, output, options, there, aside)
    return prepared if any(errors(prepared.diagnostics)) else _write(prepared, output, exactly=exactly)


def _overtaken(prepared: Prepared, output: Output) -> Prepared:
    message = f"the plan fits no more: the destination moved: {output.place} changed while it was worked on"
    moved = Diagnostic(Code.STALE_PLAN, message, hint="plan again, and look at it")
    return replace(prepared, diagnostics=in_order([*prepared.diagnostics, moved]))


def _write(prepared: Prepared, output: Output, *, exactly: bool) -> Prepared:
    """Writes, with what others saved after the reading of what was there; or, ``exactly``, nothing where they did."""
    read, told, waits = prepared.there, list[str](), True
    end = time.monotonic() + _PATIENCE
    while True:
        in_place = stores.commit(output, prepared.files, remove=prepared.stale, read=read)
        saved = stores.set_aside(output) if in_place else {}
        if in_place and not saved:
            kept = [drift_notes.put_back(told, output.place)] if told else []
            return replace(prepared, diagnostics=in_order([*prepared.diagnostics, *kept]))
        if exactly and not in_place:
            return _overtaken(prepared, output)
        there = {**read, **prepared.files} if in_place else stores.read_existing(output)
        if not in_place:
            ours = {*prepared.files, *prepared.stale} & there.keys()
            saved = {name: there[name] for name in ours if there[name] != read.get(name)}
        try:
            late = drift.saved_late(saved, _readable(prepared.there, output), output.place, read=True)
            if waits and drift.is_half_saved(late):
                waits = _manifest_changes(there, output)
                if not in_place:
                    continue
            prepared, notes = _with_late(prepared, late, output)
        except DiagnosticError as error:
            return _without_late(prepared, error.diagnostics[0].message, output, in_place=in_place)
        if time.monotonic() > end:
            return _without_late(prepared, "they kept saving", output, in_place=in_place)
        read = there
        told += notes


def _readable(there: Mapping[str, bytes], output: Output) -> Existing | None:
    try:
        return drift.parse(there, output.place)
    except DiagnosticError:
        return None


def _with_late(prepared: Prepared, late: Existing, output: Output) -> tuple[Prepared, list[str]]:
    """What to write so that what others saved is in it too, and what that is."""
    found = drift.unlike(drift.drift_of_late(late, output.place), late, prepared.content)
    content = drift.keep_drift(prepared.content, late, found)
    records = {name: prepared.files[name] for name in (RECORD_FILE, ROWS_FILE)}
    notes = list(drift_notes.notes(found, late, prepared.content))
    return replace(prepared, content=content, files={**records, **content.files()}), notes


def _without_late(prepared: Prepared, why: str, output: Output, *, in_place: bool) -> Prepared:
    told = (drift_notes.left_aside if in_place else drift_notes.left_in_place)(output.place, why)
    return replace(prepared, diagnostics=in_order([*prepared.diagnostics, told]))


def _manifest_changes(there: Mapping[str, bytes], output: Output) -> bool:
    """Waits until somebody who saved a CSV has written its manifest. Were that put beside our CSVs afterwards, it would
    not fit them. False if they never do."""
    end = time.monotonic() + _HALF_SAVED
    while stores.peek(output).get(METADATA) == there.get(METADATA):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _prepare(
    plan: Plan,
    found: Sequence[Diagnostic],
    output: Output,
    options: Options,
    there: Mapping[str, bytes],
    aside: Mapping[str, bytes],
) -> Prepared:
    diagnostics = list(found)
    content = plan.content
    there_now: Existing | None = None
    undecided: Drift | None = None
    try:
        there_now = drift.parse(there, output.place)
        if not any(errors(found)):
            diagnostics += _unexpected(plan, there_now, options)
        if there_now is not None and planning.starts_from_itself(plan.checked, output):
            diagnostics += _moved_on(plan, there_now, output)
        elif there_now is not None:
            content, more, undecided = _decide(plan, there_now, output, options)
            diagnostics += more
        if aside:
            content, more = _decide_late(content, aside, there_now, output, options)
            diagnostics += more
    except DiagnosticError as error:
        diagnostics += [d for d in error.diagnostics if not (options.force and d.code is Code.FOREIGN)]
    diagnostics += _names(plan, there, there_now, output)
    try:
        files = content.files()
    except DiagnosticError as error:
        nothing = review(None, Side(content.tables, {}))
        # What is refused is what the recipe says, or what it starts from.
        key = "base" if plan.checked.recipe.base is not None else "dataset"
        span = plan.checked.document.key_span(key)
        refused = [replace(d, span=d.span or span) for d in error.diagnostics]
        return Prepared(there, aside, content, {}, (), nothing, in_order([*diagnostics, *refused]))
    diagnostics += giveaways.find(plan, content, json.loads(files[METADATA]))
    diagnostics += withholding.shown_again(plan.target.spec, content, plan.checked)
    compared = labels_there.compare(plan, content, there_now, options)
    diagnostics += labels_there.findings(compared, plan, output.place, options)
    moves = _moved(plan, content, there_now)
    if moves:
        span = plan.checked.document.key_span("splits", "random")
        diagnostics.append(drawing.moves_diagnostic(moves, output.place, span))
    diagnostics += planning.reader_diagnostics(content, files, strict=options.strict)
    origin = origin_of(plan, output)
    reviewed = review(
        Side.of_existing(there_now, output.project_root.url) if there_now else None,
        Side.of_plan(plan, content.tables, json.loads(files[METADATA]), origin),
        options.allow,
    )
    if not any(errors(diagnostics)):
        diagnostics += version_notes.find(reviewed.version, plan.checked.document)
    stale = drift.stale_files(there_now, files)
    # Where rows are from would tell of those that are hidden, too.
    lineage = {} if plan.target.spec.hides else of_rows(plan.rows, plan.resolution.layers)
    ours = _own_files(plan.content, content, files)
    written = {**build_record.files_of(_noted(origin, plan), plan.content.tables, lineage, ours), **files}
    asked = (there_now, undecided) if there_now is not None and undecided else None
    return Prepared(
        there, aside, content, written, tuple(stale), reviewed, in_order(diagnostics), asked, compared, moves
    )


def _moved(plan: Plan, content: Content, there: Existing | None) -> dict[str, tuple[str, str]]:
    """Drawn runs that are in another split there."""
    if there is None or not plan.drawn:
        return {}
    before, after = (
        dict(zip(runs["name"], runs["split"], strict=True)) for runs in (there.tables["runs"], content.tables["runs"])
    )
    return drawing.moved(plan.drawn, before, after)


def _unexpected(plan: Plan, there: Existing | None, options: Options) -> list[Diagnostic]:
    """Counts of the plan that are not what the recipe expects of them beside those that are there. Expectations are of
    all that the recipe makes: what a result shows of it is compared only where no result has all."""
    checked = plan.checked
    if there is None or (plan.target.spec.hides and checked.whole_outputs):
        return []
    found = expectations.check(checked.recipe.expect, plan.content.tables, checked.document, there.tables)
    return expectations.strictly(found) if options.strict else found


def _own_files(planned: Content, written: Content, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The files as the recipe alone has them. Changes of others that are kept are not recorded as ours: the next build
    finds them again, and never takes them for rows that the recipe dropped."""
    return files if written is planned else planned.files()


def _decide(
    plan: Plan, there: Existing, output: Output, options: Options
) -> tuple[Content, list[Diagnostic], Drift | None]:
    """What to write, what to tell, and the drift that nobody decided about."""
    content, recipe = plan.content, plan.checked.recipe.name
    if there.record is None:
        return content, [] if options.force else [drift.foreign_diagnostic(there, output.place)], None
    if there.record.recipe != recipe and not options.force:
        return content, [drift.another_recipes(there.record.recipe, recipe, output.place)], None
    if options.on_drift == "discard":
        return content, drift_notes.decided(there, content, output.place, kept=False), None
    found = drift.drift(there, output.place)
    found = drift.unlike(found, there, content) if found else found
    if not found:
        return content, [], None
    if options.on_drift == "keep":
        kept = drift_notes.decided(there, content, output.place, kept=True)
        return drift.keep_drift(content, there, found), [*kept, *found.left_out], None
    return content, [drift_notes.stopping(found, there, content, output.place)], found


def _decide_late(
    content: Content, aside: Mapping[str, bytes], there: Existing | None, output: Output, options: Options
) -> tuple[Content, list[Diagnostic]]:
    try:
        late = drift.saved_late(aside, there, output.place, read=False)
        found = drift.unlike(drift.drift_of_late(late, output.place), late, content)
    except DiagnosticError as error:
        lost = options.on_drift == "discard"
        return content, [replace(d, severity=Severity.INFO) if lost else d for d in error.diagnostics]
    if not found:
        return content, []
    if options.on_drift == "keep":
        content = drift.keep_drift(content, late, found)
    return content, [drift_notes.left_by_a_killed_build(found, late, content, output.place, options.on_drift)]


def _names(plan: Plan, there: Mapping[str, bytes], there_now: Existing | None, output: Output) -> Iterator[Diagnostic]:
    """Whether the names of masked runs are still those that were published."""
    spec, target = plan.target.spec, plan.target
    if plan.content.beside and there.get(NAMES_FILE) != target.names_read:
        message = f"{output.place}/{NAMES_FILE} changed while it was worked on"
        yield Diagnostic(Code.MASKED_NAMES, message, hint="build again, to go on from the names that it holds now")
    if not spec.masks or there_now is None or there_now.record is None or there_now.record.rows is None:
        return
    known = {entry.name for entry in target.known.of(spec.name or "")} | set(
        plan.resolution.merged.tables["runs"]["name"]
    )
    written = there_now.record.rows.keys("runs")["name"]
    lost = [name for name in written if name not in known and any(mask.has(name) for mask in spec.masks.values())]
    if lost:
        message = f"{output.place} has names of masked runs, and no table says which runs they are of: {listing(lost)}"
        hint = f"restore {NAMES_FILE} of a result that hides nothing; or delete what is built there, to name runs anew"
        yield Diagnostic(Code.MASKED_NAMES, message, span=_span(plan, "mask_runs"), hint=hint)


def _span(plan: Plan, *key: str) -> Span:
    return plan.checked.document.key_span(*plan.target.spec.path, *key)


def origin_of(plan: Plan, output: Output) -> Origin:
    """How a build of a plan comes about."""
    base = plan.resolution.base
    return Origin(
        recipe=plan.checked.recipe.name,
        recipe_digest=normal_form.digest(plan.checked),
        version=__version__,
        # What a build itself replaces says nothing of what the next one starts from.
        base=base.identity if base and not planning.starts_from_itself(plan.checked, output) else None,
        sources=plan.identities,
        layers=[described(layer.spec) for layer in plan.resolution.layers.values()],
        parts=normal_form.parts(plan.checked),
    )


def _noted(origin: Origin, plan: Plan) -> Origin:
    """What a build record says of it."""
    if not plan.target.spec.hides:
        return origin
    # All else is of what is hidden, too, or lets a guess at it be tried out.
    return Origin(origin.recipe, "", origin.version, None, {}, [])


def _moved_on(plan: Plan, there: Existing, output: Output) -> list[Diagnostic]:
    """Whether others changed the base after it was read: the manifest, which names every file's digest, says so."""
    base = plan.resolution.base
    if base is None or base.inventory.manifest == there.manifest:
        return []
    message = f"{output.place} changed while it was worked on"
    return [Diagnostic(Code.DRIFT, message, hint="build again, to start from what it holds now")]
