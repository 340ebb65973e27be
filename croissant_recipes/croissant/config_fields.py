"""What ``copick:config`` of a manifest has to be, so that copick and all that is done with it here can go on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class _Open(BaseModel):
    """Other keys are nobody's business here."""

    model_config = ConfigDict(extra="allow")


class _Object(_Open):
    """The fields of copick's ``PickableObject``, of the types that it takes."""

    name: str
    is_particle: bool = False
    label: int | None = None
    color: tuple[int, int, int, int] | None = None
    emdb_id: str | None = None
    pdb_id: str | None = None
    identifier: str | None = None
    map_threshold: float | None = None
    radius: float | None = None
    metadata: dict[str, Any] | None = None


class _Config(_Open):
    name: str | None = None
    description: str | None = None
    version: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    pickable_objects: tuple[_Object, ...] = ()


def problem(config: object) -> str | None:
    """The first thing that is wrong with ``copick:config``, ``None`` where there is nothing."""
    try:
        _Config.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(["copick:config", *(str(part) for part in first["loc"])])
        return f"{where}: {first['msg']}"
    return None
