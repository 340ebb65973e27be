"""The datasets that ``tests.portal_tables`` makes, and what is in each run of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_GIVEN = ("Ana", "Björn", "Chloé", "Đorđe", "Emiko", "Fatıma", "Gašper", "Højrun", "Íñigo", "João", "Kateřina", "Łucja")
_FAMILY = (
    "Åkesson",
    "Brâncuși",
    "Castillo-Núñez",
    "de la Peña",
    "Eßer",
    "Fitzgerald",
    "Gauß",
    "Hernández Ruiz",
    "İnan",
    "Jørgensen",
    "O'Keeffe",
    "Lefèvre, Jr.",
    "王",
)


def _people(first: int, count: int) -> tuple[str, ...]:
    """Names that are different for every number below ``12 * 13``."""
    return tuple(f"{_GIVEN[n % len(_GIVEN)]} {_FAMILY[n % len(_FAMILY)]}" for n in range(first, first + count))


@dataclass(frozen=True)
class Object:
    """Something annotated in the runs of a dataset, ``every`` so many runs."""

    name: str
    id: str
    shapes: tuple[str, ...]
    method_type: str
    authors: tuple[str, ...]
    method: str
    software: str | None = None
    publication: str | None = None
    state: str | None = None
    description: str | None = None
    ground_truth: bool | None = True
    deposition: int | None = None
    copies: int = 1
    every: int = 1
    second_spacing: bool = False


@dataclass(frozen=True)
class Tomogram:
    """A reconstruction. ``twice_every`` and ``bare_every`` say in which runs it is there twice, or without a zarr."""

    spacing: float
    processing: str
    software: str | None = None
    ctf_corrected: bool = False
    method: str = "WBP"
    twice_every: int = 0
    bare_every: int = 0


@dataclass(frozen=True)
class Dataset:
    id: int
    title: str
    deposition: int
    share: int
    authors: tuple[str, ...]
    objects: tuple[Object, ...]
    tomograms: tuple[Tomogram, ...]


_POMBE_AUTHORS = ("Sara Goetz", *_people(0, 13))
_SECOND_PARTY = _people(30, 9)
_CHALLENGE_AUTHORS = _people(40, 18)
_ALGA_AUTHORS = _people(60, 18)
_POMBE_PUBLICATION = "EMPIAR-10988, EMD-14412, EMD-14413, 10.1101/2022.04.12.488077"


def _pombe_mask(name: str, identifier: str, **other: Any) -> Object:
    return Object(
        name,
        identifier,
        ("SegmentationMask",),
        "hybrid",
        _POMBE_AUTHORS[1:],
        "2D CNN prediction and manual correction",
        "Keras + AMIRA",
        _POMBE_PUBLICATION,
        **other,
    )


def _challenge_point(name: str, identifier: str, publication: str, state: str | None = None) -> Object:
    return Object(
        name,
        identifier,
        ("Point",),
        "hybrid",
        _CHALLENGE_AUTHORS,
        "Template matching and manual curation",
        "pytom-match-pick 0.6.0 + ChimeraX",
        publication,
        state,
    )


PROFILES = {
    10000: Dataset(
        10000,
        "S. pombe cells with defocus",
        10000,
        10,
        _POMBE_AUTHORS,
        (
            Object(
                "fatty acid synthase complex",
                "GO:0005835",
                ("Point",),
                "hybrid",
                _POMBE_AUTHORS,
                "Template matching and manual addition",
                "pyTOM + Keras",
                _POMBE_PUBLICATION,
            ),
            Object(
                "cytosolic ribosome",
                "GO:0022626",
                ("OrientedPoint",),
                "hybrid",
                _POMBE_AUTHORS,
                "Template matching and manual addition",
                "pyTOM + Keras",
                _POMBE_PUBLICATION,
            ),
            Object(
                "cytosolic ribosome",
                "GO:0022626",
                ("Point",),
                "automated",
                _SECOND_PARTY,
                "3D CNN prediction",
                "DeePiCt",
                _POMBE_PUBLICATION,
                ground_truth=False,
                deposition=10351,
                every=2,
            ),
            _pombe_mask("cytoplasm", "GO:0005737"),
            _pombe_mask("mitochondrion", "GO:0005739", every=2),
            _pombe_mask("vesicle", "GO:0031982"),
            _pombe_mask("microtubule", "GO:0005874"),
            _pombe_mask("endoplasmic reticulum", "GO:0005783"),
            _pombe_mask("nuclear envelope", "GO:0005635"),
            _pombe_mask("nucleus", "GO:0005634"),
            _pombe_mask("vacuole", "GO:0005773"),
            _pombe_mask("lipid droplet", "GO:0005811"),
            _pombe_mask("Golgi apparatus", "GO:0005794"),
            _pombe_mask("multivesicular body", "GO:0005771"),
            Object(
                "membrane-enclosed lumen",
                "GO:0031974",
                ("SegmentationMask",),
                "manual",
                _SECOND_PARTY,
                "Manual tracing",
                ground_truth=None,
                deposition=10351,
            ),
            _pombe_mask("membrane", "GO:0016020"),
        ),
        (
            Tomogram(13.48, "raw"),
            Tomogram(13.48, "denoised", "cryo-CARE"),
            Tomogram(7.84, "filtered_even", method="Fourier_Space"),
        ),
    ),
    10440: Dataset(
        10440,
        "Object identification challenge, training data",
        10310,
        492,
        _CHALLENGE_AUTHORS,
        (
            _challenge_point("ferritin complex", "GO:0070288", "10.1101/2024.11.04.621686, EMD-41923", "apo"),
            _challenge_point("Beta-amylase", "UniProtKB:P10537", "EMD-30405, PDB-1FA2", "tetrameric"),
            _challenge_point("Beta-galactosidase", "UniProtKB:P00722", "EMD-0153, PDB-6CVM", "tetrameric"),
            _challenge_point("cytosolic ribosome", "GO:0022626", "EMD-3883"),
            _challenge_point("Thyroglobulin", "UniProtKB:P01267", "EMD-24181", "dimeric"),
            _challenge_point("virus-like capsid", "GO:0170047", "EMD-41917, PDB-8U5O"),
            Object(
                "membrane",
                "GO:0016020",
                ("SegmentationMask",),
                "automated",
                _CHALLENGE_AUTHORS,
                "Neural network prediction",
                "membrain-seg 0.0.1",
                "10.1101/2024.01.05.574336",
                ground_truth=False,
                second_spacing=True,
            ),
        ),
        (
            Tomogram(10.012, "denoised", "DenoisET", ctf_corrected=True, twice_every=5),
            Tomogram(10.012, "filtered", ctf_corrected=True),
            Tomogram(4.99, "denoised", "DenoisET", ctf_corrected=True),
            Tomogram(4.99, "filtered", ctf_corrected=True),
        ),
    ),
    10301: Dataset(
        10301,
        "Chlamydomonas reinhardtii (cc4533), lamellae",
        10301,
        500,
        _ALGA_AUTHORS,
        (
            Object(
                "F1-F0 ATP synthase (dimer), mitochondrial",
                "GO:0045259",
                ("OrientedPoint",),
                "automated",
                _ALGA_AUTHORS,
                "Template matching, two independent runs",
                "pytom-match-pick 0.6.0",
                "EMD-51789",
                copies=2,
            ),
            Object(
                "RuBisCO, large and small chains",
                "UniProtKB:P00877",
                ("Point", "OrientedPoint"),
                "hybrid",
                _ALGA_AUTHORS,
                "Template matching and manual curation",
                "STOPGAP",
                "EMD-22401, PDB-1GK8",
                "inhibited (CABP-bound)",
                "Hexadecamer of the pyrenoid matrix",
            ),
            Object(
                "chlorophyll a",
                "CHEBI:18230",
                ("SegmentationMask",),
                "simulated",
                _ALGA_AUTHORS[:3],
                "Simulation",
                ground_truth=True,
                every=2,
            ),
            Object(
                "nucleosome",
                "PDB-1KX5",
                ("Point", "InstanceSegmentation"),
                "manual",
                _ALGA_AUTHORS[4:],
                "Manual picking",
                every=2,
            ),
            Object(
                "membrane",
                "GO:0016020",
                ("SegmentationMask",),
                "automated",
                _ALGA_AUTHORS,
                "Neural network prediction",
                "membrain-seg 0.0.1",
                ground_truth=False,
            ),
            Object(
                "thylakoid membrane",
                "GO:0042651",
                ("InstanceSegmentationMask", "Mesh"),
                "hybrid",
                _ALGA_AUTHORS,
                "Neural network prediction and manual correction",
                "membrain-seg 0.0.1 + AMIRA",
            ),
        ),
        (
            Tomogram(7.84, "raw", ctf_corrected=True, bare_every=7),
            Tomogram(7.84, "denoised", "cryo-CARE + IsoNet", ctf_corrected=True, method="SIRT"),
        ),
    ),
}
