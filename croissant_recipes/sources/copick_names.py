"""The names that copick gives files and folders of a project, and what it makes of names that somebody else gave.

copick lists a folder, takes names apart, and builds each path anew from the parts when it opens the artifact. A name is
good when it comes out of that as it went in; every other one is a ``BadName``, with the name that would be good.
"""

from __future__ import annotations

import math

from croissant_recipes.schema import MULTILABEL_MARK, SEGMENTATION_FOLDERS, SPACING_PREFIX

ZARR = ".zarr"

_FEATURES = "features"
_FEATURES_END = f"_{_FEATURES}{ZARR}"
_PATTERN_SIGNS = frozenset("*?[")


class BadNameError(ValueError):
    """A name that copick cannot read back: why, and what name would be good."""

    def __init__(self, problem: str, hint: str | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def is_hidden(name: str) -> bool:
    return name.startswith(".")


def is_writable(name: str) -> bool:
    """Whether a name is text: a file system may hold bytes that are no UTF-8, which Python gives as surrogates."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name as a message can show it, whatever bytes it holds."""
    return name if is_writable(name) else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def pattern_sign(name: str) -> str | None:
    """The first character that makes copick take a name for a pattern when it looks inside."""
    return next((c for c in name if c in _PATTERN_SIGNS), None)


def parse_file(name: str, ending: str) -> tuple[str, str, str]:
    """User, session and object of a picks file (``.json``) or a mesh (``.glb``).

    Raises:
        BadNameError: copick would crash on the name, or look for another file.
    """
    stem = name[: -len(ending)]
    parts = stem.split("_")
    if len(parts) == 3 and ending not in stem and all(parts):
        return parts[0], parts[1], parts[2]
    if ending in stem:
        good = stem.replace(ending, "") + ending
        raise BadNameError(f"copick takes every {ending!r} out of the name", f"name it {good!r}")
    if len(parts) != 3:
        many = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
        hint = f"name it <user>_<session>_<object>{ending}"
        if len(parts) > 3 and all(parts):
            hint = f"name it {'_'.join([*parts[:2], '-'.join(parts[2:])]) + ending!r}, say"
        raise BadNameError(f"its name has {many} between underscores, and copick reads user_session_object", hint)
    raise BadNameError(
        "a part of user_session_object in its name is empty", f"name it <user>_<session>_<object>{ending}"
    )


def parse_spacing(name: str) -> float:
    """The voxel size (Å) of a ``VoxelSpacing…`` folder.

    Raises:
        BadNameError: It is no number above 0, or copick looks for it under another name.
    """
    text = name[len(SPACING_PREFIX) :]
    size = _voxel_size(text, f"name it after the voxel size in Å, such as '{SPACING_PREFIX}10.000'")
    good = f"{SPACING_PREFIX}{size:.3f}"
    if good != name:
        raise BadNameError(f"copick looks for voxel size {size:g} in {good!r}", f"name it {good!r}")
    return size


def parse_segmentation(name: str, folder: str) -> tuple[float, str, str, str, str]:
    """Voxel size (Å), user, session, name and type of a segmentation store in one of ``SEGMENTATION_FOLDERS``.

    Raises:
        BadNameError: copick does not list it, or looks for it under another name.
    """
    hint = "name it <voxel size>_<user>_<session>_<name>.zarr, such as '10.000_alice_1_membrane.zarr'"
    parts = name[: -len(ZARR)].split("_", 3)
    if len(parts) != 4:
        raise BadNameError("copick reads voxelsize_user_session_name, and its name has too few parts", hint)
    kind, label = SEGMENTATION_FOLDERS[folder], parts[3]
    if folder == "Segmentations" and label.endswith(MULTILABEL_MARK):
        kind, label = "multilabel", label[: -len(MULTILABEL_MARK)]
    if not (parts[1] and parts[2] and label):
        raise BadNameError("a part of voxelsize_user_session_name in its name is empty", hint)
    size = _voxel_size(parts[0], hint)
    good = f"{size:.3f}_{'_'.join(parts[1:])}{ZARR}"
    if good != name:
        raise BadNameError(f"copick looks for it as {good!r}", f"name it {good!r}")
    return size, parts[1], parts[2], label, kind


def is_feature(name: str) -> bool:
    """Whether a zarr store beside tomograms is one of features, or at least no tomogram for copick."""
    return _FEATURES in name[: -len(ZARR)]


def parse_tomogram(name: str) -> str:
    """The type of a tomogram.

    Raises:
        BadNameError: copick looks for another file.
    """
    stem = name[: -len(ZARR)]
    _refuse_second_zarr(name, stem)
    return stem


def parse_features(name: str, tomo_types: frozenset[str], folder: str) -> list[tuple[str, str]]:
    """Tomogram and feature type of a store of features. There are several when the name of one tomogram goes on where
    another's ends: copick lists the features with each.

    Args:
        name: The name of the store.
        tomo_types: The tomograms of the same voxel size.
        folder: The folder of that voxel size, for messages.

    Raises:
        BadNameError: copick lists it with no tomogram.
    """
    if not name.endswith(_FEATURES_END):
        raise BadNameError(
            f"copick takes no name that holds {_FEATURES!r} for a tomogram",
            f"give the tomogram a name without {_FEATURES!r}; features end in {_FEATURES_END!r}",
        )
    stem = name[: -len(_FEATURES_END)]
    _refuse_second_zarr(name, stem)
    splits = [(stem[:at], stem[at + 1 :]) for at, c in enumerate(stem) if c == "_"]
    found = [(t, f) for t, f in splits if t in tomo_types and f and not is_hidden(f) and pattern_sign(t) is None]
    if not found:
        raise BadNameError(
            f"copick lists features only with their tomogram, and no tomogram in {folder} has the name it starts with",
            f"name it <tomogram>_<feature>{_FEATURES_END}",
        )
    return found


def _refuse_second_zarr(name: str, stem: str) -> None:
    if ZARR in stem:
        good = name.replace(ZARR, "") + ZARR
        raise BadNameError(f"copick takes every {ZARR!r} out of the name", f"name it {good!r}")


def _voxel_size(text: str, hint: str) -> float:
    try:
        size = float(text)
    except ValueError:
        raise BadNameError(f"{text!r} in its name is no voxel size", hint) from None
    if not (math.isfinite(size) and size > 0):
        raise BadNameError(f"{text!r} in its name is no voxel size", hint)
    return size
