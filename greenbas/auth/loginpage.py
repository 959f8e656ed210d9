"""The login page of forms that have no page of their own."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from html import escape
from pathlib import Path

from greenbas.auth.authinfo import AuthInfo

__all__ = ["login_page"]

_FOLDER = Path(__file__).parent
_FIELD = re.compile(r"\{\{(\w+)\}\}")


def login_page(info: AuthInfo, *, hashed: bool, host: str, nonce: str) -> str:
    """The page as HTML.

    Args:
        info: what to say.
        hashed: the browser sends a hash instead of the password.
        host: which site it is of.
        nonce: by which the browser knows style and script as ours.
    """
    values = {
        "realm": escape(info.realm),
        "host": escape(host),
        "nonce": escape(nonce),
        "message": _message(info),
        "username": escape(info.username or ""),
        "name_focus": "" if info.username else " autofocus",
        "password_focus": " autofocus" if info.username else "",
        "password_name": "" if hashed else ' name="ba_password"',
        "off": " disabled" if info.denied and info.retry_after else "",
        "hashing": _hashing(info, nonce) if hashed else "",
    }
    return _FIELD.sub(lambda match: values[match[1]], _template("login.html"))


def _message(info: AuthInfo) -> str:
    if info.retry_after:
        minutes = math.ceil(info.retry_after / 60)
        when = f"in {minutes} minute{'s' if minutes > 1 else ''}"
        text = f'Too many logins have failed. <a href="">Try again</a> {when}.'
    elif info.denied:
        text = "You are logged in too often. Log out elsewhere first."
    elif info.username is not None:
        text = "The name or the password is wrong."
    else:
        return ""
    return f'<p class="message" role="alert">{text}</p>'


def _hashing(info: AuthInfo, nonce: str) -> str:
    seed, key = escape(info.seed or ""), escape(info.seedkey or "")
    return (
        f'<input type="hidden" name="ba_seed" value="{seed}"><input type="hidden" name="ba_seedkey" value="{key}">'
        f'<input type="hidden" name="ba_password"><input type="hidden" name="ba_ha1">'
        f'<noscript><p class="message">JavaScript is off: without it your password would be readable on its way.</p>'
        f'</noscript><script nonce="{escape(nonce)}">{_template("login.js")}</script>'
    )


@lru_cache
def _template(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
