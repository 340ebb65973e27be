"""How what is reviewed is called."""

from __future__ import annotations

from croissant_recipes.schema import ARTIFACTS


def counted(n: int, record_set: str) -> str:
    """``1 mesh``, ``2,000 voxel spacings``."""
    one, many = _words(record_set)
    return f"{n:,} {one if n == 1 else many}"


def is_single(n: int, record_set: str) -> bool:
    """Whether a sentence over so many is about one thing: ``1 picks`` are several points."""
    one, many = _words(record_set)
    return n == 1 and one != many


def _words(record_set: str) -> tuple[str, str]:
    known = ARTIFACTS.get(record_set)
    many = known.many if known else record_set.replace("_", " ")
    return known.one if known else many.removesuffix("s"), many
