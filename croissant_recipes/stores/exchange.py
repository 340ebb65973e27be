"""Swapping two directories in one step, which the standard library cannot."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # <linux/fs.h>
_RENAME_SWAP = 2  # <sys/stdio.h> of macOS
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def exchange(first: str, second: str) -> bool:
    """Swaps two paths on one file system atomically. False, with nothing done, where that does not exist.

    Raises:
        OSError: If the system can, but refuses.
    """
    swap = _swap()
    if swap is None:
        return False
    # A call through ctypes is invisible to audit hooks; this rename is to be seen as any other is.
    sys.audit("os.rename", first, second, -1, -1)
    if swap(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), first, None, second)


@functools.cache
def _swap() -> Callable[[bytes, bytes], int] | None:
    if sys.platform == "linux":
        renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # absent from older C libraries
        if renameat2 is not None:
            renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
            return lambda a, b: int(renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _RENAME_EXCHANGE))
    if sys.platform == "darwin":
        renamex_np = getattr(ctypes.CDLL(None, use_errno=True), "renamex_np", None)
        if renamex_np is not None:
            renamex_np.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda a, b: int(renamex_np(a, b, _RENAME_SWAP))
    return None
