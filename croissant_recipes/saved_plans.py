"""Plans as files: what a build would write, and what that was made of, so that exactly that is built or nothing.

Of a recipe that hides something, such a file must not say what is hidden, nor let guesses at it be tried. It has the
files of those results only that hide something themselves, which are what will be published; and all digests that the
hidden takes part in are keyed by one that is slow to compute, of the whole recipe with its ``mask_key``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
_BEGINNING = 2**16
_ROUNDS = 300_000
"""Of the slow digest: about a tenth of a second for each guess at a recipe."""

LIMIT = intake.TABLE_BYTES
"""How many bytes a saved plan can have: it holds a Croissant."""

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
        files: What is written; nothing where others are not to see it.
        sha256: That of every file that is written.
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
        sha256: Of all else, without the content of files.
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
    sha256: str = ""

    @property
    def own_sha256(self) -> str:
        """What ``sha256`` is to be."""
        document = self.model_dump(mode="json", exclude={"sha256": True, "results": {"__all__": {"files"}}})
        return _sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode())

    def as_bytes(self) -> bytes:
        """The file: the same for the same plan, whenever and wherever it is saved."""
        document = self.model_dump(mode="json", exclude_none=False) | {"sha256": self.own_sha256}
        for result in document["results"]:
            result["files"] = {n: {k: v for k, v in f.items() if v is not None} for n, f in result["files"].items()}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


Made = tuple[Plan, Prepared, Output]


@dataclass(frozen=True)
class _Seal:
    """Digests as they may be shown: as they are where ``key`` is empty, as nothing is hidden.

    Attributes:
        recipe: That of the recipe.
        key: What others are keyed by.
    """

    recipe: str
    key: bytes

    @classmethod
    def of(cls, checked: CheckedRecipe) -> _Seal:
        if not any(spec.hides for spec in checked.outputs):
            return cls(normal_form.digest(checked), b"")
        text = json.dumps(normal_form.normal_form(checked), sort_keys=True, ensure_ascii=False)
        slow = hashlib.pbkdf2_hmac("sha256", text.encode(), b"croissant-recipes", _ROUNDS, dklen=64)
        return cls(slow[:32].hex(), slow[32:])

    def __call__(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), key=self.key, digest_size=32).hexdigest() if self.key else text


def of(made: Sequence[Made], options: Options) -> SavedPlan:
    """The plan of a recipe to keep, of all its results."""
    plan, _, output = made[0]
    seal = _Seal.of(plan.checked)
    base = origin_of(plan, output).base
    return SavedPlan(
        format=FORMAT,
        kind=KIND,
        version=__version__,
        recipe=plan.checked.recipe.name,
        recipe_digest=seal.recipe,
        sources={name: seal(identity) for name, identity in plan.identities.items()},
        base=None if base is None else seal(base),
        file_sha256=options.file_sha256,
        base_url=without_credentials(options.base_url) if options.base_url else None,
        # Words name runs and objects.
        allow=[] if seal.key else sorted(options.allow),
        results=[_result(*each, seal) for each in made],
    )


def _result(plan: Plan, prepared: Prepared, output: Output, seal: _Seal) -> SavedResult:
    there, written = _digests({**prepared.there, **_aside(prepared)}), _digests(prepared.files)
    shown = not seal.key or plan.target.spec.hides
    if not shown:
        there, written = ({name: seal(digest) for name, digest in each.items()} for each in (there, written))
    return SavedResult(
        output=plan.target.spec.name,
        place=_place(plan.checked, output),
        there=there,
        files={name: SavedFile.of(data) for name, data in sorted(prepared.files.items())} if shown else {},
        sha256=written,
        removed=sorted(prepared.stale),
    )


def _aside(prepared: Prepared) -> dict[str, bytes]:
    """What a killed build left of what others saved, by names that no file beside it has."""
    return {f"{name}.aside": data for name, data in prepared.aside.items()}


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
        document = intake.parse_json(intake.read_file(path, LIMIT))
        plan = SavedPlan.model_validate(document)
        changed = [n for r in plan.results for n, f in r.contents.items() if r.sha256.get(n) != _sha256(f)]
        missing = [n for r in plan.results for n in r.sha256 if r.files and n not in r.files]
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
    if plan.sha256 != plan.own_sha256:
        message = f"{path} was edited: what it says does not have its `sha256`"
        raise DiagnosticError(Diagnostic(Code.SAVED_PLAN, message, hint=hint))
    return plan


def is_such(data: bytes) -> bool:
    """Whether a file is a saved plan, whole or cut off, which another may replace."""
    return data.startswith(b"{") and f'"kind": "{KIND}"'.encode() in data[:_BEGINNING]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SavedPlan.model_json_schema()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stale(saved: SavedPlan, path: str, made: Sequence[Made], options: Options, *, fine: bool) -> Diagnostic | None:
    """What moved since a plan was saved, ``None`` where nothing did and the same would be written.

    Args:
        saved: The plan.
        path: Its file.
        made: What the recipe makes now.
        options: Of that.
        fine: Whether it could be written. Else what would be is another matter.
    """
    now = of(made, options)
    sealed = any(plan.target.spec.hides for plan, _, _ in made)
    moved = list(_moved(saved, now, sealed=sealed)) or (list(_written_otherwise(saved, now)) if fine else [])
    if not moved:
        return None
    notes = [note for _, note in moved]
    return Diagnostic(
        Code.STALE_PLAN,
        f"{path} fits no more: {joined(list(dict.fromkeys(what for what, _ in moved)))} moved",
        notes=tuple(notes),
        hint=f"plan again, and look at it: `croissant-recipe plan --save {path} RECIPE`",
    )


def _moved(saved: SavedPlan, now: SavedPlan, *, sealed: bool) -> Iterator[tuple[str, str]]:
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
    if sealed and of_recipe[0] != of_recipe[1]:
        # By another recipe, all that it seals is another one.
        return
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
