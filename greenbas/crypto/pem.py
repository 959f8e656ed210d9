"""The blocks of a PEM file (RFC 7468), with the headers that old encrypted keys have (RFC 1421)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

__all__ = ["Block", "labels", "read_blocks", "to_bytes"]

# Both lines are matched wherever they stand: text around blocks is explanation (RFC 7468 section 2).
_BLOCK = re.compile(rb"-----BEGIN ([^\r\n-]+)-----(.*?)(?:-----END \1-----|(?=-----BEGIN )|\Z)", re.DOTALL)
_HEADER = re.compile(r"([!-9;-~]+):[ \t]*(.*)")


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        label: what it says it is, such as CERTIFICATE.
        headers: such as DEK-Info, of an encrypted key.
        data: what the base64 text stands for; None when it is none.
        complete: whether its END line is there.
        pem: the block as it was.
    """

    label: str
    headers: dict[str, str]
    data: bytes | None
    complete: bool
    pem: bytes


def read_blocks(data: bytes) -> list[Block]:
    """Find the blocks of a PEM file.

    Args:
        data: the file; text around blocks is skipped.

    Returns:
        The blocks in their order; none when this is no PEM.
    """
    return [_read_block(found) for found in _BLOCK.finditer(data)]


def _read_block(found: re.Match[bytes]) -> Block:
    headers: dict[str, str] = {}
    body: list[str] = []
    for line in found[2].decode("latin-1").splitlines():
        header = _HEADER.fullmatch(line)
        if header and not body:
            headers[header[1]] = header[2].strip()
        elif line.strip():
            body.append(line)
    pem = found[0]
    return Block(found[1].decode("latin-1"), headers, _decode("".join(body)), b"-----END " in pem, pem)


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def labels(blocks: list[Block]) -> str:
    """What blocks there are, for messages: "a PUBLIC KEY and a CERTIFICATE"."""
    return " and ".join(f"a {label}" for label in dict.fromkeys(block.label for block in blocks))


def to_bytes(data: bytes | str) -> bytes:
    """PEM as text or as bytes, as bytes."""
    # What is not ASCII can only be text around the blocks.
    return data.encode("utf-8", "replace") if isinstance(data, str) else bytes(data)
