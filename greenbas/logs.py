"""Logging for launchers: text or JSON on standard error."""

from __future__ import annotations

import logging
import sys

from greenbas.http import JsonFormatter, TextFormatter

__all__ = ["LOG_STYLES", "configure_logging"]

LOG_STYLES = ("text", "json", "none")


def configure_logging(style: str) -> None:
    """Send greenbas's logs to standard error, unless the program has set up logging itself.

    Args:
        style: one of `LOG_STYLES`; "none" leaves warnings and errors, and switches access records off.
    """
    logger = logging.getLogger("greenbas")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if style == "none" else logging.INFO)
