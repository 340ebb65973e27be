"""What a change comes to in a few words. All renderings say it alike."""

from __future__ import annotations

from croissant_recipes.croissant.diff import Changes
from croissant_recipes.diagnostics import errors, joined
from croissant_recipes.render.findings import count
from croissant_recipes.report import Report, Verdict
from croissant_recipes.review.causes import Cause
from croissant_recipes.review.groups import Group
from croissant_recipes.review.versions import Version
from croissant_recipes.review.wording import counted

_DEPOSITIONS = 3


def word(report: Report) -> str:
    """The verdict in a word: ``breaking``, ``new``, ``no changes``, ``stopped``."""
    if report.verdict is Verdict.STOPPED:
        return "stopped"
    if report.verdict is Verdict.NEW:
        return "new"
    if report.verdict is Verdict.UP_TO_DATE or report.review is None:
        return "no changes"
    return report.review.change_class.value


def verdict(report: Report) -> str:
    """The verdict, and what stands against it: ``breaking, 2 risks to allow``."""
    review = report.review
    parts = [word(report)]
    if report.verdict is Verdict.STOPPED:
        parts[0] += f" by {count(sum(1 for _ in errors(report.findings)), 'error')}"
    if review is not None and review.changes.exists and review.change_class.needs_approval:
        if report.verdict is Verdict.STOPPED:
            parts.append(review.change_class.value)
        allowed = all(risk.allowed for risk in review.risks if not risk.standing)
        against = len(review.against)
        parts.append("all of it allowed" if allowed else f"{count(against, 'risk')} to allow")
    return ", ".join(parts)


def numbers(changes: Changes) -> str:
    """``+50 ~2 -50, 48 renamed, 1 split move`` of all record sets."""
    tables = changes.tables.values()
    added, changed, removed, renamed = (
        sum(len(getattr(table, part)) for table in tables) for part in ("added", "after", "removed", "renamed_after")
    )
    parts = [f"+{added:,} ~{changed:,} -{removed:,}"]
    parts += [f"{renamed:,} renamed"] if renamed else []
    parts += [count(len(changes.split_moves), "split move")] if len(changes.split_moves) else []
    parts += [count(len(changes.objects), "object")] if changes.objects and changes.exists else []
    return ", ".join(parts)


def line(report: Report) -> str:
    """``+50 ~2 -50, 48 renamed, 1 split move: breaking``."""
    if report.changes is None or report.verdict is Verdict.UP_TO_DATE:
        return verdict(report)
    if report.verdict is Verdict.STOPPED and report.review is not None:
        return f"{numbers(report.changes)}: {report.review.change_class}, stopped"
    return f"{numbers(report.changes)}: {word(report)}"


def since_build(report: Report) -> str:
    """What the sources, the tool and others did since the last build, beside what a branch does; nothing where they did
    nothing, or that is not told apart."""
    since = report.against.since if report.against is not None else None
    if since is None or not since.changes:
        return ""
    return f"not of this branch, but since the last build: {numbers(since.changes)}: {since.change_class}"


def version(of: Version) -> str:
    """The two versions, and what the change asks for; nothing where no version is said."""
    if of.after is None:
        return ""
    if of.before is None:
        return f"version {of.after}"
    moved = of.after if of.before == of.after else f"{of.before} -> {of.after}"
    if of.asked is None:
        return f"version {moved}"
    if of.enough:
        return f"version {moved}: the change asks for a {of.step} step"
    return f"version {moved} is too low: a {of.step} step asks for {of.asked}"


def place(cause: Cause) -> str:
    """``recipe.yaml:12``; nothing where a cause has no place."""
    if cause.file is None:
        return ""
    return f"{cause.file}:{cause.line}" if cause.line is not None else cause.file


def depositions(cause: Cause) -> str:
    """``depositions 10301 and 10302``; nothing where there are none."""
    ids = [str(i) for i in cause.depositions[:_DEPOSITIONS]]
    more = len(cause.depositions) - len(ids)
    if not ids:
        return ""
    told = joined([*ids, *([f"{more:,} more"] if more else [])])
    return f"deposition{'s' * (len(cause.depositions) > 1)} {told}"


def sentence(cause: Cause) -> str:
    """What a cause says, without its place. Depositions that it does not name itself follow."""
    of = depositions(cause)
    named = not of or all(str(i) in cause.what for i in cause.depositions)
    return cause.what if named else f"{cause.what} ({of})"


def why(cause: Cause) -> str:
    """``recipe.yaml:12: 'ribosome' does not select these``."""
    at = place(cause)
    return f"{at}: {sentence(cause)}" if at else sentence(cause)


def origin(cause: Cause) -> str:
    """Who or what it is, and where: ``recipe.yaml:12``, ``source lab, recipe.yaml:8``, ``others``."""
    who = f"source {cause.source}" if cause.source else str(cause.kind)
    parts = [*([] if cause.kind == "recipe" and cause.file else [who]), *([place(cause)] if cause.file else [])]
    return ", ".join(parts)


def group(of: Group, *, is_new: bool = False) -> str:
    """``50 picks removed (breaking)``, ``12 picks changed (metadata; url, sha256)``. That rows are renamed the recipe
    declares, or it is inferred from what they have in common."""
    what = f"{counted(len(of.rows), of.record_set)} {of.kind}"
    if is_new:
        return what
    about = [of.change_class.value]
    if of.kind == "renamed":
        about.append("declared" if of.declared else "inferred")
    about += [", ".join(of.fields)] if of.fields else []
    return f"{what} ({'; '.join(about)})"


def worst_first(groups: tuple[Group, ...]) -> list[Group]:
    """Groups in the order in which people look for them."""
    return sorted(groups, key=lambda each: (-each.change_class.rank, -len(each.rows)))
