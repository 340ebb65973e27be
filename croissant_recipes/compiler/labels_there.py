"""Labels of a plan beside those of the base and of the Croissant at the output, which others may have changed."""

from __future__ import annotations

from collections.abc import Iterator

from croissant_recipes.compiler import labels
from croissant_recipes.compiler.labels import Comparison
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.croissant import build_record
from croissant_recipes.croissant.content import Content
from croissant_recipes.croissant.drift import Existing
from croissant_recipes.diagnostics import Diagnostic
from croissant_recipes.options import Options


def compare(plan: Plan, content: Content, there: Existing | None, options: Options) -> Comparison:
    """The labels of the plan beside those that are there: in the base, and in the Croissant that would be replaced.

    Args:
        plan: The plan.
        content: What would be written: the plan's, and what others changed if that is kept.
        there: The Croissant at the output.
        options: What was decided about it.
    """
    base = plan.resolution.base
    known = labels.known(base.inventory.objects, of_base=True) if base else {}
    others: dict[str, int] = {}
    if there is not None and _is_replaced(plan, there, options):
        in_place = build_record.objects_of(there.manifest)
        written = build_record.objects_of({build_record.CONFIG: content.config})
        planned = build_record.objects_of({build_record.CONFIG: plan.content.config})
        theirs = labels.known(o for n, o in written.items() if o != planned.get(n, o))
        others = {name: entry.label for name, entry in theirs.items()}
        kept = options.on_drift == "keep"
        known |= labels.known(o for n, o in in_place.items() if kept or not _is_theirs(n, o, there, planned.get(n)))
    return labels.compare(plan.labelling, known, others)


def _is_replaced(plan: Plan, there: Existing, options: Options) -> bool:
    """Whether the Croissant that is there is one that this build may replace."""
    own = there.record is not None and there.record.recipe == plan.checked.recipe.name
    return own or options.force


def _is_theirs(name: str, entry: object, there: Existing, planned: object) -> bool:
    """Whether others added a pickable object, or changed it from what the build wrote and the recipe still says. That
    is drift, about which somebody decides."""
    record = there.record
    if record is None or record.objects.get(name) == build_record.digests_of({name: entry})[name]:
        return False
    return name not in record.objects or record.objects[name] == build_record.digests_of({name: planned})[name]


def findings(compared: Comparison, plan: Plan, place: str, options: Options) -> Iterator[Diagnostic]:
    """What to say of labels that would move.

    Args:
        compared: From ``compare``.
        plan: The plan.
        place: The Croissant that is there.
        options: Whether they may.
    """
    document = plan.checked.document
    span = document.key_span(*(("objects",) if document.existing(("objects",)) else plan.target.spec.path))
    recipe = plan.checked.path
    yield from labels.findings(compared, place, str(recipe), span, allowed=options.allow)
