"""Data formats: JSON, network byte order."""

from greenbas.codec.byteorder import fh2n, fn2h, h2n, n2h
from greenbas.codec.json import encode as encode_json

__all__ = ["encode_json", "fh2n", "fn2h", "h2n", "n2h"]
