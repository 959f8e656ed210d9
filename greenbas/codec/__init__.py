"""Data formats: JSON."""

from greenbas.codec.json import encode as encode_json

__all__ = ["encode_json"]
