"""What the operating system's error numbers are called here, in one table."""

from __future__ import annotations

import errno
import os

from greenbas.errors import (
    Exists,
    InvalidName,
    IoError,
    IsDirectory,
    NoAccess,
    NoSpace,
    NotDirectory,
    NotEmpty,
    NotFound,
)

__all__ = ["from_os_error"]

_CLASSES: dict[int, type[IoError]] = {
    errno.ENOENT: NotFound,
    errno.ELOOP: NotFound,  # links in a circle lead nowhere
    errno.ENOTDIR: NotDirectory,
    errno.EISDIR: IsDirectory,
    errno.EEXIST: Exists,
    errno.ENOTEMPTY: NotEmpty,
    errno.EACCES: NoAccess,
    errno.EPERM: NoAccess,
    errno.EROFS: NoAccess,
    errno.ETXTBSY: NoAccess,
    errno.EBUSY: NoAccess,  # a mount point
    errno.ENXIO: NoAccess,  # a socket, or a FIFO that nobody reads
    errno.ENODEV: NoAccess,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EFBIG: NoSpace,
    errno.EMLINK: NoSpace,  # a directory cannot hold more directories
    errno.ENAMETOOLONG: InvalidName,
    errno.EINVAL: InvalidName,  # a directory moved into itself, or a name that the file system cannot hold
}


def from_os_error(error: OSError, path: str) -> IoError:
    """Translate an error of the operating system.

    Args:
        error: as caught; raise the result ``from None``, for its file name may be absolute.
        path: as the caller gave it.

    Returns:
        The error to raise, which names `path` only.
    """
    known = _CLASSES.get(error.errno or 0)
    if known is not None:
        return known(path)
    return IoError(path, f"I/O error {errno.errorcode.get(error.errno or 0, '?')}, {os.strerror(error.errno or 0)}")
