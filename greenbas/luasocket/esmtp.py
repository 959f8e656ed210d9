"""Extensions of SMTP: what a server offers, and what a mail asks for (RFC 1870, 6152, 2852, 3461, 6531)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from greenbas.luasocket.tp import line_safe

__all__ = ["keywords", "mail_options", "path", "rcpt_options"]

Keywords = Mapping[str, bool | int | str]

# RFC 3461 4: what stands for itself in an xtext.
_NO_XTEXT = re.compile(rb"[^!-*,-<>-~]")
_SPACE = re.compile(rb"[\s]")


def keywords(greeting: str) -> dict[str, bool | int | str]:
    """Read the extensions out of a reply to EHLO (RFC 5321 4.1.1.1).

    Args:
        greeting: the reply, its lines joined by LF.

    Returns:
        Keywords in upper case: True, or the number behind it, or what else stands there.
    """
    found: dict[str, bool | int | str] = {}
    for line in greeting.split("\n")[1:]:
        # Old servers write AUTH=LOGIN.
        keyword, _, rest = line[4:].strip().replace("=", " ", 1).partition(" ")
        rest = rest.strip()
        if keyword:
            found[keyword.upper()] = (int(rest) if rest.isascii() and rest.isdigit() else rest) if rest else True
    return found


def path(address: str | bytes, function: str) -> bytes:
    """Take an address for MAIL or RCPT.

    Args:
        address: as in ``<a@b>``; brackets are added where they lack.
        function: for the message.

    Raises:
        ValueError: it holds CR, LF or NUL.
    """
    octets = line_safe(address, function, 1).strip()
    return octets if octets.startswith(b"<") else b"<%b>" % octets


def mail_options(address: bytes, options: Mapping[str, Any], ext: Keywords) -> bytes:
    """Put together what stands behind the sender.

    Args:
        address: the sender.
        options: the fields of a mail.
        ext: what the server offers; the rest is left away.

    Raises:
        ValueError: a field cannot be sent.
    """
    words: list[bytes] = []
    if "SIZE" in ext and options.get("size"):
        words.append(b"SIZE=%d" % int(options["size"]))
    if "8BITMIME" in ext and options.get("8bit"):
        words.append(b"BODY=8BITMIME")
    if "DELIVERBY" in ext and options.get("deliverby"):
        by = options["deliverby"]
        # Seconds alone: return the mail when it cannot be delivered in time.
        words.append(_word(b"BY=", f"{by};R" if isinstance(by, int) else by))
    dsn = options.get("dsn")
    if "DSN" in ext and dsn:
        if dsn.get("ret"):
            words.append(_word(b"RET=", dsn["ret"]))
        if dsn.get("id"):
            words.append(
                b"ENVID=" + _NO_XTEXT.sub(lambda match: b"+%02X" % match[0][0], line_safe(dsn["id"], "dsn", 1))
            )
    if "SMTPUTF8" in ext and not address.isascii():
        words.append(b"SMTPUTF8")
    return b"".join(b" " + word for word in words)


def rcpt_options(options: Mapping[str, Any], ext: Keywords) -> bytes:
    """Put together what stands behind a recipient.

    Args:
        options: the fields of a mail.
        ext: what the server offers.

    Raises:
        ValueError: a field cannot be sent.
    """
    notify = (options.get("dsn") or {}).get("notify")
    if "DSN" not in ext or not notify:
        return b""
    return b" " + _word(b"NOTIFY=", ",".join(notify) if isinstance(notify, list | tuple) else notify)


def _word(name: bytes, value: Any) -> bytes:
    octets = line_safe(value, name.decode().rstrip("=").lower(), 1)
    if _SPACE.search(octets):
        raise ValueError(f"{name.decode()}{octets.decode('utf-8', 'replace')!r}: no space is allowed there")
    return name + octets
