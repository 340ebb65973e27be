"""What to say of a version that is too low for what changed."""

from __future__ import annotations

from collections.abc import Iterator

from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, Severity
from croissant_recipes.language.yaml_nodes import Document
from croissant_recipes.review.versions import Step, Version

_MEANT = {
    Step.MAJOR: "something that was there is gone or is something else",
    Step.MINOR: "there is more than there was",
    Step.PATCH: "all data stays, and what is told of it is other",
}


def find(version: Version, document: Document) -> Iterator[Diagnostic]:
    """A warning at the version of the recipe, where that is too low."""
    if version.enough:
        return
    there = "stays" if version.after == version.before else f"follows {version.before}"
    said = document.existing(("dataset",)) or not document.existing(("base",))
    yield Diagnostic(
        Code.VERSION_STEP,
        f"version {version.after} {there}, and {_MEANT[version.step]}",
        Severity.WARNING,
        hint=f"Croissant asks for a {version.step} step: write {version.asked} or higher",
        span=document.value_span(*(("dataset", "version") if said else ("base",))),
    )
