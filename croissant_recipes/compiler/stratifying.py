"""Stratified splits: every split gets its share of each object, as near as whole runs, or groups of them, allow.

Runs are dealt out by iterative stratification (K. Sechidis, G. Tsoumakas and I. Vlahavas, On the Stratification of
Multi-Label Data, ECML PKDD 2011): the rarest object first, each run to the split that lacks most of it. What that
leaves is then mended by moving and exchanging runs while the squares of what is too much or too little come down.
Everything is counted in whole numbers, and ties go by a hash of seed and name, so that the result is the same on every
machine and in every order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

Rows = Mapping[str, int]
"""How many rows there are, by object."""

RUNS = ""
"""Stands for the runs themselves beside the objects, none of which is called so."""

_ONE = 2**20
"""A whole share. Its square times the number of objects and splits is far from the end of 64 bits."""

_EXCHANGED = 300
"""With more units than this none are exchanged, which takes their square in time and memory: each is then a small part
of any share, and to move them does."""


def total(counts: Iterable[Rows]) -> dict[str, int]:
    """The sum of counts."""
    found: dict[str, int] = {}
    for rows in counts:
        for name, n in rows.items():
            found[name] = found.get(name, 0) + n
    return found


def stratified(
    units: Mapping[str, Rows], shares: Mapping[str, float], held: Mapping[str, Rows], seed: int
) -> dict[str, str]:
    """The split of each unit.

    Args:
        units: By name, the rows of each, and under ``RUNS`` how many runs it is.
        shares: Of the splits.
        held: What splits have already. It counts towards their shares.
        seed: For ties.
    """
    if not units:
        return {}
    wanted = _whole({split: share for split, share in shares.items() if share > 0})
    held = {split: rows for split, rows in held.items() if split in wanted}
    # In the order of their hashes, so that neither names nor the order of listings favour a run.
    ordered = {name: units[name] for name in sorted(units, key=lambda name: _hash(seed, name))}
    return _mended(ordered, _dealt(ordered, wanted, held, seed), wanted, held)


def _whole(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares as whole numbers of one proportion, by split in order: as they are written, not as floats have them."""
    if len(set(shares.values())) == 1:
        return dict.fromkeys(sorted(shares), 1)
    exact = {split: Fraction(repr(shares[split])).limit_denominator(10**9) for split in sorted(shares)}
    common = lcm(*(share.denominator for share in exact.values()))
    return {split: int(share * common) for split, share in exact.items()}


def _dealt(units: Mapping[str, Rows], wanted: Rows, held: Mapping[str, Rows], seed: int) -> dict[str, str]:
    whole = sum(wanted.values())
    there = total([*units.values(), *held.values()])
    lacking = {
        name: {split: wanted[split] * n - whole * held.get(split, {}).get(name, 0) for split in wanted}
        for name, n in there.items()
    }
    rest = dict(units)
    dealt: dict[str, str] = {}

    def deal(unit: str, name: str) -> None:
        of, size = lacking[name], lacking[RUNS]
        split = max(wanted, key=lambda s: (of[s], size[s], _hash(seed, unit, s)))
        dealt[unit] = split
        for other, n in rest.pop(unit).items():
            lacking[other][split] -= whole * n

    while rest:
        having = total(dict.fromkeys(rows, 1) for rows in rest.values())
        rarest = min((name for name in having if name != RUNS), key=lambda name: (having[name], name), default=RUNS)
        # The largest first: what is small fills up better what they leave.
        for unit in sorted((u for u in rest if rarest in rest[u]), key=lambda u: -rest[u][rarest]):
            deal(unit, rarest)
    return dealt


def _mended(
    units: Mapping[str, Rows], dealt: Mapping[str, str], wanted: Rows, held: Mapping[str, Rows]
) -> dict[str, str]:
    """The same, with units moved and exchanged as long as that helps most of all that could be."""
    splits, whole = list(wanted), sum(wanted.values())
    there = total([*units.values(), *held.values()])
    names = sorted(there)

    def parts(rows: Rows) -> list[int]:
        return [rows.get(name, 0) * _ONE // there[name] for name in names]

    size = np.array([parts(rows) for rows in units.values()], dtype=np.int64)
    at = np.array([splits.index(dealt[unit]) for unit in units], dtype=np.intp)
    over = np.array([parts(held.get(s, {})) for s in splits], dtype=np.int64)
    over -= np.array([[wanted[s] * _ONE // whole] for s in splits], dtype=np.int64)
    np.add.at(over, at, size)
    squares = (size * size).sum(axis=1)
    pairs = size @ size.T if len(units) <= _EXCHANGED else None
    everyone = np.arange(len(units))
    while True:
        # Half of what the sum of squares changes by. No multiplication of floats: its last bits differ by machine.
        drawn_to = size @ over.T
        own = drawn_to[everyone, at]
        moving = drawn_to - own[:, None] + squares[:, None]
        moving[everyone, at] = 0
        gains = [int(moving.min())]
        exchanging: npt.NDArray[np.int64] | None = None
        if pairs is not None:
            other = drawn_to[:, at]
            exchanging = other + other.T - own[:, None] - own[None, :] + squares[:, None] + squares[None, :] - 2 * pairs
            exchanging[at[:, None] == at[None, :]] = 0
            gains.append(int(exchanging.min()))
        if min(gains) >= 0:
            return {unit: splits[k] for unit, k in zip(units, at.tolist(), strict=True)}
        if exchanging is None or gains[0] <= gains[-1]:
            unit, split = divmod(int(moving.argmin()), len(splits))
            over[at[unit]] -= size[unit]
            over[split] += size[unit]
            at[unit] = split
        else:
            one, two = divmod(int(exchanging.argmin()), len(units))
            difference = size[one] - size[two]
            over[at[one]] -= difference
            over[at[two]] += difference
            at[one], at[two] = at[two], at[one]


def _hash(seed: int, *names: str) -> bytes:
    return hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
