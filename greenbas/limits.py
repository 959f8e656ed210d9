"""Limits of the process."""

from __future__ import annotations

import resource

__all__ = ["raise_descriptor_limit"]


def raise_descriptor_limit() -> int:
    """Allow as many open descriptors as the system lets this process have; returns the number.

    The soft limit is often 1024 for the sake of programs that use select(2); this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
        except (ValueError, OSError):
            pass  # an unlimited hard limit that the kernel caps: what there is must do
    return soft
