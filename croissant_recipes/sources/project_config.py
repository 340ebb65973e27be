"""copick's JSON configs: read, checked as copick checks them, and told apart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from croissant_recipes import intake
from croissant_recipes.access import read_bytes, reading
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.intake import TODAY, Files
from croissant_recipes.location import Location
from croissant_recipes.schema import PROJECT_KEYS


@dataclass(frozen=True)
class ProjectConfig:
    """A config file.

    Attributes:
        source: The source's name, for messages.
        location: Of the file.
        config_type: As it says, whether anybody knows it or not.
        values: The file's content. It may hold credentials.
    """

    source: str
    location: Location
    config_type: str
    values: Mapping[str, Any] = field(repr=False)

    @property
    def shown(self) -> str:
        """How messages name the file."""
        return f"source {self.source!r}: copick config {self.location}"

    def place(self, key: str) -> Location | None:
        """The absolute local path or URL that a key gives, ``None`` where it gives none. Relative ones, ``local://``
        too, start at the config's folder."""
        value = self.values.get(key)
        return Location.parse(value, self.location.parent) if value else None

    def place_of(self, key: str) -> Location:
        """As ``place``, of a key that copick cannot do without.

        Raises:
            DiagnosticError: ``CONFIG`` if it gives none.
        """
        found = self.place(key)
        if found is None:
            raise self.refuse([(f"{key} is empty", None)])
        return found

    def fs_args(self, key: str) -> Mapping[str, Any]:
        return self.values.get(key) or {}

    def refuse(self, problems: Sequence[tuple[str, str | None]]) -> DiagnosticError:
        """The error that tells of problems with the file (each with a hint)."""
        return DiagnosticError(*(Diagnostic(Code.CONFIG, f"{self.shown}: {p}", hint=h) for p, h in problems))


def load_config(source: str, value: str, folder: Path, files: Files = TODAY) -> ProjectConfig:
    """Reads a config, without checking what it says.

    Args:
        source: The source's name.
        value: Path relative to ``folder``, or a URL.
        folder: The recipe's folder.
        files: Where one of this machine is read.

    Raises:
        DiagnosticError: ``UNREACHABLE`` if it cannot be read, ``CONFIG`` if it is no config.
    """
    location = Location.parse(value, folder)
    with reading(f"source {source!r}: copick config", location, {}):
        limit = intake.DOCUMENT_BYTES
        data = files.read(location.path, limit) if location.is_local else read_bytes(location, {}, limit)
    unread = ProjectConfig(source, location, "", {})
    try:
        values = intake.parse_json(data)
    except ValueError as error:
        raise unread.refuse([(str(error), "write it anew as JSON, as copick takes it")]) from None
    if not isinstance(values, dict):
        raise unread.refuse([("it is no JSON object", "a copick config holds pickable_objects and overlay_root")])
    if "@context" in values and "config_type" not in values:
        hint = "a Croissant is another kind of source: write `croissant: {url: …}` instead of `copick: {config: …}`"
        raise unread.refuse([("it is a Croissant, and no copick config", hint)])
    # As copick takes it.
    return ProjectConfig(source, location, str(values.get("config_type", "filesystem")), values)


def checked_by(config: ProjectConfig, model: Any) -> Any:
    """The config as copick's model of its type.

    Raises:
        DiagnosticError: ``CONFIG``, one for each thing that copick refuses.
    """
    from pydantic import ValidationError

    try:
        with warnings.catch_warnings():
            # copick warns of each name that it then refuses.
            warnings.simplefilter("ignore")
            made = model.model_validate(dict(config.values))
    except ValidationError as error:
        raise refused_by_copick(config, error) from None
    if config.values.get("overlay_root") == "":
        raise config.refuse([("overlay_root is empty", "write '.' for the folder of the config")])
    names = [o.name for o in made.pickable_objects]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise config.refuse([(f"pickable object {n!r} stands there twice", "remove one of them") for n in twice])
    return made


def refused_by_copick(config: ProjectConfig, error: Any) -> DiagnosticError:
    """The error that tells what copick's model (a pydantic ``ValidationError``) refuses of a config."""
    return config.refuse([_problem(e) for e in error.errors(include_url=False, include_input=False)])


def plain_objects(objects: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
    """copick's ``PickableObject`` values as plain JSON values."""
    return tuple(o.model_dump(mode="json") for o in objects)


def facts(model: Any) -> dict[str, Any]:
    """What an inventory tells of a config."""
    return {key: getattr(model, key) for key in PROJECT_KEYS}


def _problem(error: Mapping[str, Any]) -> tuple[str, str | None]:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{where} is missing", None
    text = str(error["msg"]).removeprefix("Assertion failed, ").removeprefix("Value error, ")
    return f"{where}: {text}" if where else text, None
