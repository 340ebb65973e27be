"""Generates tables of a portal in the shape and the proportions of the real one: ``generate(runs=1000)``.

Three datasets are made after real ones, whose sizes the portal's own have at 1,002 runs (6,600 annotations with 112,000
author rows). They hold what makes the portal awkward: run names that two datasets share, two annotations of one object
by one method in a run, tomograms of one type twice on a spacing or without a zarr, annotations with two shapes or with
files on two spacings, shapes that copick does not read, names with spaces, commas and parentheses.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.portal_profiles import PROFILES, Dataset, Object, Tomogram

BUCKET = "s3://cryoet-data-portal-public"
_HTTPS = "https://files.example.org"
_DATES = {
    "depositionDate": "2024-10-30T00:00:00+00:00",
    "releaseDate": "2024-11-06T00:00:00+00:00",
    "lastModifiedDate": "2025-02-25T00:00:00+00:00",
}

_ENTITIES = (
    "Dataset",
    "Run",
    "Annotation",
    "AnnotationAuthor",
    "AnnotationShape",
    "AnnotationFile",
    "TomogramVoxelSpacing",
    "Tomogram",
    "TomogramAuthor",
    "Deposition",
    "DatasetAuthor",
)

Tables = dict[str, list[dict[str, Any]]]


DATASETS = tuple(PROFILES)
"""The datasets that there are profiles of."""


def generate(runs: int, seed: int = 0, datasets: Sequence[int] = DATASETS) -> Tables:
    """Rows by GraphQL type name, as ``tests.portal_server.serve`` takes them; the same for the same arguments.

    ``runs`` are shared out over the datasets in the proportion that the real ones have, at least one to each.

    Raises:
        KeyError: For a dataset that there is no profile of.
        ValueError: For fewer runs than datasets.
    """
    profiles = [PROFILES[d] for d in datasets]
    counts = _shares(runs, profiles)
    maker = _Maker(random.Random(seed))
    for deposition in dict.fromkeys(d for p in profiles for d in _depositions(p)):
        maker.tables["Deposition"].append({"id": deposition, "title": f"Deposition {deposition}", **_DATES})
    for profile, count in zip(profiles, counts, strict=True):
        maker.dataset(profile, count)
    return maker.tables


def _shares(runs: int, profiles: Sequence[Dataset]) -> list[int]:
    if runs < len(profiles):
        raise ValueError(f"{runs} runs are not enough for {len(profiles)} datasets")
    whole = sum(p.share for p in profiles)
    counts = [max(1, runs * p.share // whole) for p in profiles]
    largest = max(range(len(profiles)), key=lambda i: counts[i])
    counts[largest] += runs - sum(counts)
    return counts


def _depositions(profile: Dataset) -> Iterator[int]:
    yield profile.deposition
    yield from (o.deposition for o in profile.objects if o.deposition)


def _tables() -> Tables:
    return {name: [] for name in _ENTITIES}


@dataclass
class _Maker:
    """Makes rows, with ids that no two types share so that one taken for another is noticed."""

    rng: random.Random
    tables: Tables = field(default_factory=_tables)
    ids: dict[str, itertools.count[int]] = field(default_factory=dict)

    def add(self, entity: str, **columns: Any) -> int:
        first = (_ENTITIES.index(entity) + 1) * 10_000_000
        identifier = next(self.ids.setdefault(entity, itertools.count(first + 1)))
        self.tables[entity].append({"id": identifier, **columns})
        return identifier

    def dataset(self, profile: Dataset, runs: int) -> None:
        self.tables["Dataset"].append(
            {
                "id": profile.id,
                "title": profile.title,
                "description": profile.title,
                "depositionId": profile.deposition,
                "s3Prefix": f"{BUCKET}/{profile.id}/",
                "httpsPrefix": f"{_HTTPS}/{profile.id}/",
                **_DATES,
            }
        )
        self.authors("DatasetAuthor", "datasetId", profile.id, profile.authors)
        for number in range(runs):
            self.run(profile, number)

    def run(self, profile: Dataset, number: int) -> None:
        name = f"TS_{number:04d}"
        folder = f"{profile.id}/{name}"
        run = self.add("Run", datasetId=profile.id, name=name, s3Prefix=f"{BUCKET}/{folder}/")
        spacings = {
            spacing: self.add(
                "TomogramVoxelSpacing",
                runId=run,
                voxelSpacing=spacing,
                s3Prefix=f"{BUCKET}/{folder}/Reconstructions/VoxelSpacing{spacing:.3f}/",
            )
            for spacing in dict.fromkeys(t.spacing for t in profile.tomograms)
        }
        for tomogram in profile.tomograms:
            there_twice = tomogram.twice_every and number % tomogram.twice_every == 0
            for _ in range(2 if there_twice else 1):
                self.tomogram(profile, tomogram, number, run, spacings[tomogram.spacing], name)
        for annotated in profile.objects:
            if number % annotated.every == 0:
                for _ in range(annotated.copies):
                    self.annotation(profile, annotated, run, spacings, folder)

    def tomogram(self, profile: Dataset, made: Tomogram, number: int, run: int, spacing: int, run_name: str) -> None:
        path = f"{profile.id}/{run_name}/Reconstructions/VoxelSpacing{made.spacing:.3f}/Tomograms"
        bare = bool(made.bare_every) and number % made.bare_every == made.bare_every - 1
        copy = len(self.tables["Tomogram"])
        stem = f"{path}/{copy}/{run_name}"
        tomogram = self.add(
            "Tomogram",
            runId=run,
            tomogramVoxelSpacingId=spacing,
            depositionId=profile.deposition,
            name=run_name,
            sizeX=630,
            sizeY=630,
            sizeZ=184 + number % 3,
            voxelSpacing=made.spacing,
            fiducialAlignmentStatus="NON_FIDUCIAL",
            reconstructionMethod=made.method,
            processing=made.processing,
            processingSoftware=made.software,
            reconstructionSoftware="AreTomo3 v2.0.10",
            ctfCorrected=made.ctf_corrected,
            isAuthorSubmitted=True,
            isPortalStandard=False,
            isVisualizationDefault=made is profile.tomograms[0],
            s3OmezarrDir=None if bare else f"{BUCKET}/{stem}.zarr",
            httpsOmezarrDir=None if bare else f"{_HTTPS}/{stem}.zarr",
            s3MrcFile=f"{BUCKET}/{stem}.mrc",
            httpsMrcFile=f"{_HTTPS}/{stem}.mrc",
            offsetX=0,
            offsetY=0,
            offsetZ=0,
            tomogramVersion=1.0,
            **_DATES,
        )
        self.authors("TomogramAuthor", "tomogramId", tomogram, profile.authors)

    def annotation(self, profile: Dataset, made: Object, run: int, spacings: dict[float, int], folder: str) -> None:
        spacing_id = next(iter(spacings.values()))
        annotation = self.add(
            "Annotation",
            runId=run,
            depositionId=made.deposition or profile.deposition,
            tomogramVoxelSpacingId=spacing_id,
            objectId=made.id,
            objectName=made.name,
            objectDescription=made.description,
            objectState=made.state,
            objectCount=self.rng.randrange(400),
            annotationMethod=made.method,
            annotationIngestId=f"{_slug(made.name)}-1",
            annotationPublication=made.publication,
            annotationSoftware=made.software,
            methodType=made.method_type,
            groundTruthStatus=made.ground_truth,
            isCuratorRecommended=self.rng.random() < 0.5,
            confidencePrecision=round(self.rng.random(), 3) if made.method_type == "automated" else None,
            s3MetadataPath=f"{BUCKET}/{folder}/annotations.json",
            httpsMetadataPath=f"{_HTTPS}/{folder}/annotations.json",
            **_DATES,
        )
        self.authors("AnnotationAuthor", "annotationId", annotation, self.some(made.authors))
        for shape in made.shapes:
            shape_id = self.add("AnnotationShape", annotationId=annotation, shapeType=shape)
            for at, at_id in list(spacings.items())[: 2 if made.second_spacing else 1]:
                stem = f"{folder}/Reconstructions/VoxelSpacing{at:.3f}/Annotations/{annotation}/{_slug(made.name)}-1.0"
                self.files(shape, shape_id, at_id, f"{stem}_{shape.lower()}")

    def some(self, authors: tuple[str, ...]) -> tuple[str, ...]:
        """The authors, in one annotation of eight without one of them."""
        if self.rng.random() >= 1 / 8:
            return authors
        missing = self.rng.randrange(len(authors))
        return authors[:missing] + authors[missing + 1 :]

    def files(self, shape: str, shape_id: int, spacing_id: int, stem: str) -> None:
        masks = ("mrc", "zarr")
        formats = {"SegmentationMask": masks, "InstanceSegmentationMask": masks, "Mesh": ("glb",)}
        for form in formats.get(shape, ("ndjson",)):
            self.add(
                "AnnotationFile",
                annotationShapeId=shape_id,
                tomogramVoxelSpacingId=spacing_id,
                format=form,
                fileSize=1234.0,
                source="dataset_author",
                isVisualizationDefault=True,
                s3Path=f"{BUCKET}/{stem}.{form}",
                httpsPath=f"{_HTTPS}/{stem}.{form}",
            )

    def authors(self, entity: str, owner: str, owner_id: int, names: Sequence[str]) -> None:
        for position, name in enumerate(names, 1):
            self.add(
                entity,
                **{owner: owner_id},
                name=name,
                orcid=None if position % 3 == 0 else f"0000-0002-1825-{position:04d}",
                authorListOrder=position,
                primaryAuthorStatus=position == 1,
                correspondingAuthorStatus=position == len(names),
            )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower())
