"""How what is reviewed is called."""

from __future__ import annotations

from croissant_recipes.schema import ARTIFACTS


def counted(n: int, record_set: str) -> str:
    """``1 mesh``, ``2,000 voxel spacings``."""
    known = ARTIFACTS.get(record_set)
    many = known.many if known else record_set.replace("_", " ")
    one = known.one if known else many.removesuffix("s")
    return f"{n:,} {one if n == 1 else many}"
