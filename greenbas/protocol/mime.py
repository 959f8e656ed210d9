"""Content types by file name, the same on every machine (BAS ``ba.mime``)."""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes

__all__ = ["compressible", "content_type", "guess_type"]

UNKNOWN = "application/octet-stream"

# What the standard library lacks, or names differently from one version to the next.
_OWN = {
    # RFC 9239 made text/javascript the only one.
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".cjs": "text/javascript",
    ".map": "application/json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".geojson": "application/geo+json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    # Not text/xml, whose charset parameter would overrule the encoding that the file declares (RFC 7303 3).
    ".xml": "application/xml",
    ".xsl": "application/xml",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".log": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".vtt": "text/vtt",
    ".ics": "text/calendar",
    ".vcf": "text/vcard",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".jxl": "image/jxl",
    ".ico": "image/vnd.microsoft.icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/opus",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".m4v": "video/mp4",
    ".ogv": "video/ogg",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    # The segments of HLS streams, as IANA registers it, and not TypeScript: a browser runs no TypeScript and loses
    # nothing, while a player refuses segments of another type.
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".epub": "application/epub+zip",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    # The standard library takes these for encodings of what is inside. A file is sent as it is, without
    # Content-Encoding, so the outside counts.
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".svgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
    ".7z": "application/x-7z-compressed",
}


def _table() -> dict[str, str]:
    # A MimeTypes of its own starts from the library's built-in table alone: neither /etc/mime.types nor what somebody
    # added to the shared one reaches it. A type makes a file static, so server pages must never have one.
    table = {**MimeTypes().types_map[True], **_OWN}
    table.pop(".psp", None)
    return table


def _with_charset(kind: str) -> str:
    # JSON is UTF-8 and has no such parameter (RFC 8259 11).
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


_TYPES = _table()
_HEADERS = {extension: _with_charset(kind) for extension, kind in _TYPES.items()}

_COMPRESSIBLE = frozenset(
    {
        "application/dash+xml",
        "application/javascript",
        "application/json",
        "application/jsonl",
        "application/toml",
        "application/vnd.apple.mpegurl",
        "application/wasm",
        "application/x-javascript",
        "application/xml",
        "application/yaml",
        # WOFF is compressed already, these are not.
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
    }
)


def _extension(name: str) -> str:
    """Return the extension in lower case; a "/" behind the last dot makes it one that no table holds."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot >= 0 else ""


def guess_type(name: str) -> tuple[str, bool]:
    """Guess what a file holds from its name (BAS ``ba.mime``).

    Args:
        name: a file name or path; an extension with its dot will do.

    Returns:
        The content type without parameters, and whether the extension is known. One that is not is
        ``application/octet-stream``; ``.psp`` is not known, so that pages are run instead of sent.
    """
    kind = _TYPES.get(_extension(name))
    return (UNKNOWN, False) if kind is None else (kind, True)


def content_type(name: str) -> str:
    """Guess the Content-Type field for a file.

    Args:
        name: a file name or path.

    Returns:
        The type, with ``; charset=utf-8`` for all text, JavaScript included.
    """
    return _HEADERS.get(_extension(name), UNKNOWN)


@lru_cache(256)
def compressible(kind: str) -> bool:
    """Say whether compression makes such a body smaller.

    Args:
        kind: a content type, with or without parameters.

    Returns:
        True for text and for formats made of text; images, audio, video and archives are compressed already.
    """
    bare = kind.partition(";")[0].strip().lower()
    return bare.startswith("text/") or bare in _COMPRESSIBLE or bare.endswith(("+json", "+xml"))
