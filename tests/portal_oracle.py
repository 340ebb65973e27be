"""What copick's own portal backend makes of a portal: the oracle for everything that reads portals here."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cryoet_data_portal._client as portal_client
import gql
from copick.impl.cryoet_data_portal import CopickConfigCDP, CopickRootCDP
from copick.ops.croissant import append_croissant, export_croissant
from copick.util.portal import objects_from_datasets

from tests.portal_server.catalog import catalog

RecordTables = dict[str, list[dict[str, str]]]


def copick_portal_root(url: str, dataset_ids: Sequence[int], tmp_path: Path) -> CopickRootCDP:
    """A copick root over the datasets of another portal endpoint, everything fetched and nothing cached on disk.

    Args:
        url: The GraphQL endpoint.
        dataset_ids: The portal datasets.
        tmp_path: Folder of the root's overlay.
    """
    # copick always asks the official client's default endpoint; there is no setting for another.
    with mock.patch.object(portal_client, "DEFAULT_URL", url), mock.patch.object(portal_client, "GQLClient", _client):
        return CopickRootCDP(
            CopickConfigCDP(
                name="Portal stand-in",
                description="Datasets of a stand-in portal.",
                version="1.0.0",
                pickable_objects=objects_from_datasets(list(dataset_ids)),
                overlay_root=str(tmp_path / "overlay"),
                overlay_fs_args={"auto_mkdir": True},
                dataset_ids=list(dataset_ids),
                portal_cache=False,
            )
        )


def _client(**arguments: Any) -> gql.Client:
    """A GraphQL client over the schema that is parsed already: copick makes a new one for each thing that it asks."""
    return gql.Client(**{**arguments, "schema": catalog().schema})


def copick_export(root: CopickRootCDP, out: Path, **filters: Any) -> RecordTables:
    """copick's export of ``root`` to ``out/Croissant``, as the rows of each CSV by record set name.

    ``filters`` are keyword arguments of ``export_croissant``. Portal files are not read for their sha256.
    """
    export_croissant(
        root,
        str(out),
        dataset_name="Portal stand-in",
        description="Exported by copick.",
        license="CC0-1.0",
        date_published="2025-01-01",
        validate=False,
        compute_file_sha256=False,
        force=True,
        **filters,
    )
    return read_records(out)


def copick_append(root: CopickRootCDP, out: Path, **filters: Any) -> RecordTables:
    """copick's append of ``root`` to the Croissant that ``copick_export`` wrote, and the rows that there are then."""
    append_croissant(str(out / "Croissant" / "metadata.json"), root, compute_file_sha256=False, **filters)
    return read_records(out)


def read_records(out: Path) -> RecordTables:
    """The rows of every CSV in ``out/Croissant``, all text as it is written."""
    tables = {}
    for path in sorted((out / "Croissant").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables
