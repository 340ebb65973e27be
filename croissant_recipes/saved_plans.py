"""Plans as files: what a build would write, and what that was made of, so that exactly that is built or nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from croissant_recipes import __version__, intake
from croissant_recipes.building import Prepared, origin_of
from croissant_recipes.codes import Code
from croissant_recipes.compiler.planner import Plan
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError, joined, listing
from croissant_recipes.language import normal_form
from croissant_recipes.language.checked import CheckedRecipe
from croissant_recipes.location import without_credentials
from croissant_recipes.options import Options
from croissant_recipes.stores import Output

FORMAT = 1
KIND = "saved plan"

_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)
_DIGEST = "^[0-9a-f]{64}$"
_SHOWN = 5

Digest = Annotated[str, Field(pattern=_DIGEST)]


def _file_name(name: str) -> str:
    if os.path.basename(name) != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no file of a Croissant's folder")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]


class SavedFile(BaseModel):
    """The content of a file: as text where it is one."""

    model_config = _MODEL

    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, data: bytes) -> SavedFile:
        try:
            return cls(text=data.decode())
        except UnicodeDecodeError:
            return cls(base64=base64.b64encode(data).decode("ascii"))

    @property
    def data(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "", validate=True)


class SavedResult(BaseModel):
    """One result of a recipe.

    Attributes:
        output: What ``outputs`` calls it, ``None`` for the one ``output``.
        place: Where it is built: relative to the recipe's folder, or a URL without credentials.
        there: The sha256 of every file that was there.
        files: What is written.
        sha256: That of every one of ``files``.
        removed: Files of an earlier build that are removed.
    """

    model_config = _MODEL

    output: str | None
    place: str
    there: dict[FileName, Digest]
    files: dict[FileName, SavedFile]
    sha256: dict[FileName, Digest]
    removed: list[FileName]

    @property
    def contents(self) -> dict[str, bytes]:
        """The bytes of what is written."""
        return {name: file.data for name, file in self.files.items()}


class SavedPlan(BaseModel):
    """A plan.

    Attributes:
        format, kind: Of the file.
        version: Of croissant-recipes.
        recipe, recipe_digest: The name, and the digest of the normal form with its parameters.
        sources: What each source resolved to.
        base: What the base was, where there is one.
        file_sha256, base_url: The options of these names.
        allow: The words that the plan was allowed.
        results: Its results, in the recipe's order.
    """

    model_config = _MODEL

    format: Literal[1]
    kind: Literal["saved plan"]
    version: str
    recipe: str
    recipe_digest: Digest
    sources: dict[str, str]
    base: str | None
    file_sha256: bool
    base_url: str | None
    allow: list[str]
    results: list[SavedResult]

    def as_bytes(self) -> bytes:
        """The file: the same for the same plan, whenever and wherever it is saved."""
        document = self.model_dump(mode="json", exclude_none=False)
        for result in document["results"]:
            result["files"] = {n: {k: v for k, v in f.items() if v is not None} for n, f in result["files"].items()}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


Made = tuple[Plan, Prepared, Output]


def of(made: Sequence[Made], options: Options) -> SavedPlan:
    """The plan of a recipe to keep, of all its results."""
    plan, _, output = made[0]
    return SavedPlan(
        format=FORMAT,
        kind=KIND,
        version=__version__,
        recipe=plan.checked.recipe.name,
        recipe_digest=normal_form.digest(plan.checked),
        sources=dict(plan.identities),
        base=origin_of(plan, output).base,
        file_sha256=options.file_sha256,
        base_url=without_credentials(options.base_url) if options.base_url else None,
        allow=sorted(options.allow),
        results=[_result(*each) for each in made],
    )


def _result(plan: Plan, prepared: Prepared, output: Output) -> SavedResult:
    return SavedResult(
        output=plan.target.spec.name,
        place=_place(plan.checked, output),
        there=_digests(prepared.there),
        files={name: SavedFile.of(data) for name, data in sorted(prepared.files.items())},
        sha256=_digests(prepared.files),
        removed=sorted(prepared.stale),
    )


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def _place(checked: CheckedRecipe, output: Output) -> str:
    place = output.project_root.real
    if not place.is_local:
        return without_credentials(place.url)
    return os.path.relpath(place.path, os.path.realpath(checked.folder)).replace(os.sep, "/")


def load(path: str) -> SavedPlan:
    """Read a saved plan.

    Raises:
        DiagnosticError: It cannot be read, or is none (``SAVED_PLAN``).
    """
    hint = "save it anew: `croissant-recipe plan --save FILE RECIPE`"
    try:
        document = intake.parse_json(intake.read_file(path, intake.TABLE_BYTES))
        plan = SavedPlan.model_validate(document)
        changed = [n for r in plan.results for n, f in r.contents.items() if r.sha256.get(n) != _sha256(f)]
        missing = [n for r in plan.results for n in r.sha256 if n not in r.files]
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise DiagnosticError(Diagnostic(Code.SAVED_PLAN, message, hint="give the path of a saved plan")) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        known = isinstance(document, dict) and document.get("kind") == KIND
        what = f"{where}: {first['msg']}" if known else f"it has no `kind: {KIND}`"
        raise DiagnosticError(Diagnostic(Code.SAVED_PLAN, f"{path} is no saved plan: {what}", hint=hint)) from None
    except ValueError as error:
        raise DiagnosticError(Diagnostic(Code.SAVED_PLAN, f"{path} is no saved plan: {error}", hint=hint)) from None
    if changed or missing:
        message = f"{path} was edited: {listing(sorted({*changed, *missing}))} is not what was planned"
        raise DiagnosticError(Diagnostic(Code.SAVED_PLAN, message, hint=hint))
    return plan


def is_such(data: bytes) -> bool:
    """Whether a file is a saved plan, which another may replace."""
    try:
        document = intake.parse_json(data)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stale(saved: SavedPlan, path: str, made: Sequence[Made], options: Options) -> Diagnostic | None:
    """What moved since a plan was saved, ``None`` where nothing did and the same would be written."""
    now = of(made, options)
    moved = list(_moved(saved, now)) or list(_written_otherwise(saved, now))
    if not moved:
        return None
    notes = [note for _, note in moved]
    return Diagnostic(
        Code.STALE_PLAN,
        f"{path} fits no more: {joined(list(dict.fromkeys(what for what, _ in moved)))} moved",
        notes=tuple(notes),
        hint=f"plan again, and look at it: `croissant-recipe plan --save {path} RECIPE`",
    )


def _moved(saved: SavedPlan, now: SavedPlan) -> Iterator[tuple[str, str]]:
    """What moved, in a word and in a line."""
    if saved.version != now.version:
        yield "the tool", f"the tool: it was croissant-recipes {saved.version}, and is {now.version}"
    of_recipe = (saved.recipe, saved.recipe_digest), (now.recipe, now.recipe_digest)
    if of_recipe[0] != of_recipe[1]:
        other = (
            f"it was {saved.recipe!r}, and is {now.recipe!r}"
            if saved.recipe != now.recipe
            else "it says something else"
        )
        yield "the recipe", f"the recipe: {other}, or has other parameters"
    if saved.file_sha256 != now.file_sha256:
        yield "an option", f"an option: --no-file-sha256 was {'not ' * saved.file_sha256}given"
    if saved.base_url != now.base_url:
        was, is_ = (f"{url}" if url else "not given" for url in (saved.base_url, now.base_url))
        yield "an option", f"an option: --base-url was {was}, and is {is_}"
    if of_recipe[0] == of_recipe[1] and saved.file_sha256 == now.file_sha256:
        # Sources are known by what is taken of them, which another recipe may not take.
        for name in sorted({*saved.sources, *now.sources}):
            if saved.sources.get(name) != now.sources.get(name):
                yield f"source {name!r}", f"source {name!r}: it resolves to something else"
        if saved.base != now.base:
            yield "the base", "the base: it resolves to something else"
    before, after = ({r.output: r for r in plan.results} for plan in (saved, now))
    if before.keys() != after.keys():
        yield "the recipe", "the recipe: it has other outputs"
    for output in [each for each in before if each in after]:
        yield from _moved_result(before[output], after[output], output)


def _written_otherwise(saved: SavedPlan, now: SavedPlan) -> Iterator[tuple[str, str]]:
    """Files that would have other bytes though nothing else moved."""
    for one, other in zip(saved.results, now.results, strict=True):
        names = _unlike(one.sha256, other.sha256)
        if names:
            yield "what is written", f"what is written: {listing(names, _SHOWN)} would have other bytes"


def _moved_result(before: SavedResult, after: SavedResult, name: str | None) -> Iterator[tuple[str, str]]:
    """Whether a destination is another one. Where the plan has been built already, that is no other."""
    of = f" of {name}" if name else ""
    if before.place != after.place:
        yield f"the destination{of}", f"the destination{of}: it was {before.place}, and is {after.place}"
    elif after.there not in (before.there, before.sha256):
        names = _unlike(before.there, after.there)
        yield f"the destination{of}", f"the destination{of}: {listing(names, _SHOWN)} changed in {before.place}"


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
