"""Fixtures for all tests; helpers that are no fixtures are in support.py."""

from __future__ import annotations
