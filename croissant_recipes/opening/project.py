# mypy: disable-error-code="misc"
# (copick is untyped, and its root is subclassed)
"""Opening a Croissant as a copick project.

copick reads the CSVs through mlcroissant, and so through pandas, which makes ``42`` of a run ``0042`` and nothing of a
session ``NA``. The root made here is copick's own in what it lists and where it writes. It opens every artifact by the
URL of its row, needs no place for a temporary file, checks the CSVs against the manifest, reads a remote Croissant that
a build is replacing, and finds the rows of a run without going through those of all others.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import cached_property
from reprlib import repr as shortened
from typing import Any

from croissant_recipes.location import Location
from croissant_recipes.opening import copick_adapter as adapter
from croissant_recipes.opening.artifacts import DensityMap, Run
from croissant_recipes.opening.row_index import RowIndex
from croissant_recipes.schema import PROJECT_KEYS, unreadable_split


def from_croissant(
    croissant_url: str,
    overlay_root: str | None = None,
    croissant_base_url: str | None = None,
    overlay_fs_args: dict[str, Any] | None = None,
    croissant_fs_args: dict[str, Any] | None = None,
    static_fs_args: dict[str, Any] | None = None,
    output_path: str | None = None,
) -> CroissantProject:
    """A copick root over a Croissant; the arguments are those of ``copick.from_croissant``.

    Args:
        croissant_url: Path or URL of ``metadata.json``.
        overlay_root: Where to write. Without it, writes go to the project and to its Croissant.
        croissant_base_url: Where the data lies, instead of ``copick:baseUrl``.
        overlay_fs_args: fsspec keyword arguments for ``overlay_root``.
        croissant_fs_args: fsspec keyword arguments for the manifest and the CSVs.
        static_fs_args: fsspec keyword arguments for the data.
        output_path: Where to write the copick config that opens this Croissant, if anywhere.

    Raises:
        FileNotFoundError: If the manifest, or a CSV that it names, is not there.
        ValueError: If the manifest is not JSON, a CSV cannot be read, or its SHA-256 is not the manifest's.
    """
    config = adapter.CopickConfigMLCroissant(
        pickable_objects=[],
        croissant_url=croissant_url,
        croissant_base_url=croissant_base_url,
        overlay_root=overlay_root,
        overlay_fs_args=overlay_fs_args or {},
        croissant_fs_args=croissant_fs_args or {},
        static_fs_args=static_fs_args or {},
    )
    root = CroissantProject(config)
    if output_path:
        root.save_config(output_path)
    return root


class CroissantProject(adapter.AdaptedRoot):
    """copick's root of a Croissant, over exact rows."""

    run_class = Run
    object_class = DensityMap
    index: RowIndex

    def __init__(self, config: adapter.CopickConfigMLCroissant, index: RowIndex | None = None) -> None:
        """
        Args:
            config: How it is opened.
            index: Its rows, where they were read before.
        """
        self._given = config.model_copy(deep=True)
        index = index or _index(config)
        _configure(config, index.config_block)
        self._new: set[tuple[Any, ...]] = set()
        super().__init__(config, index)

    def overlay_args(self) -> dict[str, Any]:
        return {**_for_folders(self.config.overlay_root), **(self.config.overlay_fs_args or {})}

    def fs_for_project(self) -> Any:
        local = _for_folders(self.index.base_url)
        return self.index.places.open(self.index.base_url, **{**local, **self.index.static_fs_args} if local else {})[0]

    # Being sent to other processes

    def __reduce__(self) -> tuple[Any, ...]:
        """What opens it again, and what was changed in its config since. What a batch has not written is not there."""
        return _reopened, (type(self), self._given, self.index.version), {"config": self.config}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.config = state["config"]

    # Saving

    @property
    def place_to_write(self) -> str:
        """What is in front of the path of everything that is saved."""
        return str(self.overlay_base_url or self.index.base_url)

    def saved_at(self, url: str) -> str:
        """The URL or path of what is saved at a relative URL."""
        if self.mode == "A":
            return self.index.places.absolute(url)
        return f"{Location.parse(self.config.overlay_root).uri}/{url}"

    def places_of(self, url: str) -> list[str]:
        """Where data is that is saved at a relative URL: there, and where in the project that links to."""
        place = self.saved_at(url)
        target = Location.parse(place).real.relative_to(Location.parse(self.index.base_url).real)
        return [place] if target is None else list(dict.fromkeys([place, self.index.places.absolute(target)]))

    def assert_inside(self, url: str) -> None:
        """Raises ``PermissionError`` if a relative URL leads out of the project or the overlay: names of runs may."""
        if ".." in url.split("/"):
            raise PermissionError(f"{url} leads out of the project, to {Location.parse(self.saved_at(url))}")

    @cached_property
    def reason_against_data(self) -> str | None:
        """Without an overlay: why no data can be saved, in words, if so."""
        base = Location.parse(self.index.base_url)
        use = "open the Croissant with an overlay_root"
        if not self.index.writable:
            return f"{self._unwritable}: {use}" if not self.index.staged else self._unwritable
        if base.is_web or self.index.places.arguments(base).get("anon"):
            return f"the project's data is in {base}, which is read-only: {use}"
        if base.is_local and os.path.exists(base.path) and not os.access(base.path, os.W_OK):
            return f"there is no permission to write in {base}: {use}"
        return None

    @property
    def _unwritable(self) -> str:
        """Why the Croissant cannot be written to, where it cannot."""
        croissant = f"the Croissant {Location.parse(self.config.croissant_url)}"
        if self.index.staged:
            return f"{croissant} was being built: open it again once that build, or the next one, is done"
        return f"{croissant} cannot be written to"

    def assert_writable(self) -> None:
        """Raises ``PermissionError`` if no data can be saved."""
        if self.mode == "A" and self.reason_against_data is not None:
            raise PermissionError(f"nothing can be saved: {self.reason_against_data}")

    def assert_unused(self, folder: str, but: Mapping[str, Any]) -> None:
        """Raises ``PermissionError`` if a folder that is to be deleted is outside, or has data of others.

        Args:
            folder: The folder, relative to the project or the overlay.
            but: What rows have that are no others.
        """
        self.assert_inside(folder)
        for record_set, row in self.index.below(self.saved_at(folder)):
            if any(row.get(k) != v for k, v in but.items()):
                raise PermissionError(f"{folder} cannot be deleted: a row of {record_set} has its data in {row['url']}")

    def take_for_new(self, artifact: Any) -> Any:
        """Notes that an artifact was made with this root: its store may be made whenever it is asked for."""
        self._new.add(_name(artifact))
        return artifact

    def is_new(self, artifact: Any) -> bool:
        return _name(artifact) in self._new

    def forget(self, artifact: Any) -> None:
        """Notes that an artifact was deleted."""
        self._new.discard(_name(artifact))

    def new_run(self, *args: Any, **kwargs: Any) -> Any:
        return self.making("runs", super().new_run, *args, **kwargs)

    def new_object(self, *args: Any, **kwargs: Any) -> Any:
        return self.take_for_new(super().new_object(*args, **kwargs))

    # Splits

    def set_splits(self, mapping: Mapping[str, Iterable[str]], *, clear_existing: bool = False) -> None:
        """Puts runs into splits, all or none of them.

        Args:
            mapping: The runs of each split.
            clear_existing: Whether all other runs leave their splits.

        Raises:
            KeyError: If the Croissant does not have a run.
            TypeError: If it is not texts by which splits and runs are named, or one text where a list of runs is meant.
            ValueError: If a run is in two splits, or a split's name is one that other readers take for something else.
            PermissionError: If the Croissant cannot be written to.
        """
        if not isinstance(mapping, Mapping):
            raise TypeError(f"splits are given as a mapping of each split to its runs, not as {shortened(mapping)}")
        splits: dict[str, str] = {}
        for split, runs in mapping.items():
            for run in _names(runs):
                if splits.setdefault(run, split) != split:
                    raise ValueError(f"run {run!r} is in the splits {splits[run]!r} and {split!r}")
        cleared = dict.fromkeys(self.index.runs_by_name, "") if clear_existing else {}
        self.assign_splits({**cleared, **splits})

    def clear_splits(self, runs: Iterable[str] | None = None) -> None:
        """Takes runs, or all runs, out of their splits. Raises as ``set_splits``."""
        self.assign_splits(dict.fromkeys(self.index.runs_by_name if runs is None else _names(runs), ""))

    def assign_splits(self, splits: Mapping[str, str | None]) -> None:
        """Gives each run a split, ``None`` or the empty one being none. Raises as ``set_splits``."""
        if self.mode == "B":
            raise PermissionError("the splits are of the Croissant, which is read-only beside an overlay")
        if not self.index.writable:
            raise PermissionError(self._unwritable)
        self.index.assign_splits({run: _split_name(split) for run, split in splits.items()})


def _names(runs: Iterable[str]) -> list[str]:
    """Names of runs that were given: one text would be taken for its letters."""
    if isinstance(runs, str | bytes) or not isinstance(runs, Iterable):
        raise TypeError(f"runs are given as a list of their names, not as {shortened(runs)}")
    names = list(runs)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a run is given by its name, a text, not by {shortened(name)}")
    return names


def _split_name(name: str | None) -> str:
    if name is None:
        return ""
    if not isinstance(name, str):
        raise TypeError(f"a split is named by a text, not by {shortened(name)}")
    if name and (not name.strip() or not name.isprintable()):
        raise ValueError(f"{name!r} is no name for a split")
    taken_for = unreadable_split(name)
    if taken_for is not None:
        raise ValueError(f"split name {name!r} reads as {taken_for}, and copick cannot open a Croissant that has it")
    return name


def _index(config: adapter.CopickConfigMLCroissant) -> RowIndex:
    return RowIndex.from_url(
        config.croissant_url,
        base_url_override=config.croissant_base_url,
        fs_args=config.croissant_fs_args or {},
        static_fs_args=config.static_fs_args or {},
    )


_KEPT = 2
_kept: OrderedDict[str, RowIndex] = OrderedDict()
"""Rows that were read for roots from other processes: each task that a worker gets may bring its own root."""


def _reopened(
    project: type[CroissantProject], given: adapter.CopickConfigMLCroissant, version: str
) -> CroissantProject:
    key = f"{version} {given!r}"
    index = _kept.get(key) or _index(given)
    _kept[key] = index
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
    return project(given.model_copy(deep=True), index)


def _name(artifact: Any) -> tuple[Any, ...]:
    return (artifact.record_set, *artifact.key.values())


def _for_folders(place: str) -> dict[str, Any]:
    """Zarr stores need the folders of their chunks made, which only the local file system has to be told."""
    return {"auto_mkdir": True} if Location.parse(place).is_local else {}


def _configure(config: adapter.CopickConfigMLCroissant, block: Mapping[str, Any]) -> None:
    """What the Croissant says of the project, over what the config says, except for objects that the config lists."""
    for key in PROJECT_KEYS:
        if block.get(key) is not None:
            setattr(config, key, block[key])
    if not config.pickable_objects:
        config.pickable_objects = [adapter.PickableObject(**each) for each in block.get("pickable_objects", [])]
