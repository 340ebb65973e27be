"""The voxel size at the head of a picks file, without parsing its points.

copick writes a picks file's plain facts before its points, so that the voxel size stands in the first lines of what may
be thousands. It is taken from there only where nothing can make that a different answer than parsing the whole would
give: every member before it is a plain text, number, flag or null, its name stands nowhere else in what was read, and
the file ends as an object does. A file that is cut short is therefore parsed, and found to be broken; damage in the
middle of the points is not looked for.
"""

from __future__ import annotations

import math
import re

_SCALAR = rb'(?:"[^"\\]*"|-?[0-9][0-9.eE+-]*|null|true|false)'
_HEAD = re.compile(
    rb'\s*\{(?:\s*"[^"\\]*"\s*:\s*' + _SCALAR + rb'\s*,)*?\s*"voxel_spacing"\s*:\s*(-?[0-9][0-9.eE+-]*|null)\s*,'
)
_NAME = b'"voxel_spacing"'


def stated_voxel_size(data: bytes) -> float | None:
    """The voxel size (Å) that the head states, NaN for null; ``None`` where only parsing the file can tell.

    Args:
        data: A whole file, or its first and its last bytes.
    """
    match = _HEAD.match(data)
    if match is None or data.count(_NAME) != 1 or not data[-64:].rstrip().endswith(b"}"):
        return None
    if match.group(1) == b"null":
        return math.nan
    try:
        return float(match.group(1))
    except ValueError:
        return None
