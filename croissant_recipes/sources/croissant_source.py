"""The source ``croissant``: an existing Croissant, its rows as artifact tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from croissant_recipes import tables
from croissant_recipes.croissant.reader import StoredCroissant, read_croissant, without_secrets
from croissant_recipes.language import source_kinds
from croissant_recipes.language.checked import LayerSpec
from croissant_recipes.location import URL, Location
from croissant_recipes.progress import Silent
from croissant_recipes.schema import ARTIFACTS, PROJECT_KEYS, SEGMENTATION_RECORD_SETS
from croissant_recipes.sources.base import Inventory, Means, Progress, Root
from croissant_recipes.sources.file_facts import FileRoot
from croissant_recipes.sources.identity import digest
from croissant_recipes.sources.rooted_files import RootedFiles

ROOT = "croissant"


class CroissantSource(RootedFiles):
    """An existing Croissant. Nothing is read before it is asked for.

    Args:
        name: The source's name in the recipe.
        spec: What the recipe says of it.
        means: What it works with.
    """

    def __init__(self, name: str, spec: source_kinds.CroissantSource, means: Means) -> None:
        super().__init__(means.workers)
        self._name = name
        self._spec = spec
        self._folder = means.folder
        self._base: Location | None = None
        self._digest = ""

    def read(self, progress: Progress) -> StoredCroissant:
        """The Croissant as it is.

        Raises:
            DiagnosticError: See ``read_croissant``.
        """
        location = Location.parse(self._spec.url, self._folder)
        with progress.task(f"reading {self._name}", 1) as task:
            existing = without_secrets(read_croissant(location, self._spec.fs_args, self._workers))
            task.advance()
        self._base = self._place_of(existing)
        self._digest = existing.digest
        return existing

    def inventory(self, existing: StoredCroissant) -> Inventory:
        """What a Croissant holds, as a source holds it."""
        return Inventory(
            tables=artifact_tables(existing.tables),
            roots={ROOT: root_at(self._place_of(existing))},
            objects=tuple(existing.config.get("pickable_objects", ())),
            config={key: existing.config[key] for key in PROJECT_KEYS if existing.config.get(key) is not None},
            manifest=existing.manifest,
            diagnostics=existing.diagnostics,
        )

    def scan(self, layers: Sequence[LayerSpec], progress: Progress) -> Sequence[Inventory]:
        """One inventory for all layers.

        Raises:
            DiagnosticError: See ``read_croissant``.
        """
        return [self.inventory(self.read(progress))] * len(layers)

    def _file_roots(self) -> Mapping[str, FileRoot]:
        return {ROOT: FileRoot(self._base or self._place_of(self.read(Silent())), self._spec.fs_args)}

    def identity(self, layers: Sequence[LayerSpec], files: Sequence[tuple[str, str]]) -> str:  # noqa: ARG002
        """See ``Source``: the digest of the manifest and the CSVs, whatever layers take of them. The manifest says the
        version, and the CSVs the checksums of files."""
        assert self._digest, "a Croissant has an identity once it was read"
        return digest(self._digest)

    def _place_of(self, existing: StoredCroissant) -> Location:
        return Location.parse(self._spec.base_url, self._folder) if self._spec.base_url else existing.base


def open_croissant(name: str, spec: source_kinds.CroissantSource, means: Means) -> CroissantSource:
    """The source of a recipe's entry. Nothing is read yet."""
    return CroissantSource(name, spec, means)


def root_at(place: Location) -> Root:
    """The root of rows with relative URLs. A URL is the same wherever the Croissant is read; a local path is not."""
    return Root(place.public, base_url=None if place.is_local else str(place))


def artifact_tables(records: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Record tables as artifact tables, sorted by key."""
    found = {}
    for artifact, described in ARTIFACTS.items():
        table = _segmentations(records) if artifact == "segmentations" else records[artifact]
        if artifact != "runs":
            table = _placed(table)
        found[artifact] = tables.sort_by(table[list(described.columns)], described.key)
    return found


def _segmentations(records: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    flagged = records["segmentations"]
    kinds = flagged["is_multilabel"].map({True: "multilabel", False: "binary"}).astype("str")
    parts = [flagged.assign(segmentation_type=kinds)]
    for kind in ("instance", "panoptic"):
        table = records[SEGMENTATION_RECORD_SETS[kind]]
        parts.append(table.assign(segmentation_type=pd.Series(kind, index=table.index, dtype="str")))
    return tables.concat(parts)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """With ``root`` and ``path`` for ``url``. copick joins what has no protocol to the base, leading slash or not."""
    urls = table["url"]
    absolute = urls.str.match(URL)
    root = absolute.map({True: "", False: ROOT}).astype("str")
    return table.assign(root=root, path=urls.where(absolute, urls.str.lstrip("/")).astype("str"))
