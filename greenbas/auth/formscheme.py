"""`FormScheme`: logging in by a form, whose password may come hashed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import urlsplit

from greenbas.auth.authinfo import AuthInfo, ResponseHandler
from greenbas.auth.loginpage import login_page
from greenbas.auth.password import NOBODY_PLAIN
from greenbas.auth.passwordcheck import PasswordCheck
from greenbas.auth.scheme import Attempt, Scheme, Verdict
from greenbas.auth.user import User
from greenbas.http import NO_STORE, Request, Session
from greenbas.protocol.target import parse_pairs

__all__ = ["FormScheme"]

MAX_FORM = 16 * 1024  # bytes; larger bodies are no login
SEED_SECONDS = 600.0  # to fill in the form
SEED_BITS = 127

_FORM = b"application/x-www-form-urlencoded"
_SEED = re.compile(r"[0-9]{1,40}")
_SEED_KEY = re.compile(r"([0-9]{1,12})-([0-9a-f]{32})")
_HASHES = {40: hashlib.sha1, 64: hashlib.sha256}


class FormScheme(Scheme):
    """A form (BAS types "form" and "sform").

    The form posts ``ba_username`` and ``ba_password`` to the URL that it is shown at, and the client is sent to that
    URL again. A page of another site that posts them gets the form, and its fields are not looked at.

    Instead of the password the form may send ``ba_seed`` and ``ba_seedkey`` of `AuthInfo`, and as ``ba_password`` the
    hexadecimal SHA-256 (or SHA-1) of the password with the seed behind it. For users of whom HA1 hashes are stored,
    that hash takes the password's place; it may also come as ``ba_ha1`` besides. A seed lasts ten minutes, and for one
    login.

    Args:
        realm: of the authenticator.
        handler: shows the login page; None for ours.
        hashed: a password itself is only accepted over TLS.
    """

    type = "form"

    def __init__(self, realm: str, handler: ResponseHandler | None, *, hashed: bool) -> None:
        self.realm = realm
        self._handler = handler
        self._hashed = hashed

    def attempt(self, request: Request) -> Attempt | None:
        """What the posted fields say."""
        fields = _posted(request)
        if "ba_username" not in fields or "ba_password" not in fields or is_cross_site(request):
            return None
        name, password = fields["ba_username"], fields["ba_password"]
        if "ba_seed" in fields:
            seed = checked_seed(request, fields["ba_seed"], fields.get("ba_seedkey", ""))
            proofs = [password, fields.get("ba_ha1", "")]
            return None if seed is None else HashedAttempt(request, name, seed, proofs)
        if self._hashed and not request.is_secure():
            return None
        return PlainAttempt(request, name, password)

    def ask(self, request: Request, info: AuthInfo, attempt: Attempt | None, verdict: Verdict | None) -> None:
        """Show the form."""
        info.seed, info.seedkey = new_seed(request)
        if self._handler is None:
            self._show(request, info)
            return
        request.response.set_default_headers()
        self._handler(request, request.response, info)

    def refuse(self, request: Request, info: AuthInfo) -> None:
        """Show the form, which says why."""
        self.ask(request, info, None, None)

    def _show(self, request: Request, info: AuthInfo) -> None:
        response = request.response
        nonce = secrets.token_urlsafe(12)
        page = login_page(info, hashed=self._hashed and not request.is_secure(), host=request.domain(), nonce=nonce)
        response.set_header("Cache-Control", NO_STORE)
        response.set_header("Content-Type", "text/html; charset=utf-8")
        response.set_header("Content-Security-Policy", _POLICY.format(nonce=nonce))
        response.set_header("X-Frame-Options", "DENY")
        response.set_header("X-Content-Type-Options", "nosniff")
        response.set_header("Referrer-Policy", "same-origin")
        response.write(page)


# Nothing from elsewhere, nothing to elsewhere, and in nobody's frame.
_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class FormAttempt(Attempt):
    """A form that was filled in."""

    type = "form"

    def welcome(self, session: Session) -> bool:
        """Have the browser ask for the same page again, so that reloading it posts nothing."""
        request = self.request
        query = f"?{request.query}" if request.query else ""
        request.response.send_redirect(request.url() + query, return2caller=True)
        return False


class PlainAttempt(FormAttempt):
    """With the password as it is."""

    def prove(self, user: User | None, check: PasswordCheck) -> Verdict:
        """Compare it."""
        assert self.password is not None
        right = check.matches(self.request, user, self.name, self.password)
        return Verdict.RIGHT if right else Verdict.WRONG


class HashedAttempt(FormAttempt):
    """With hashes of password and seed.

    Args:
        request: with which it came.
        name: of the user.
        seed: ours, and in time.
        proofs: hashes in hexadecimal, of which one has to be right.
    """

    def __init__(self, request: Request, name: str, seed: str, proofs: list[str]) -> None:
        super().__init__(request, name, None)
        self._seed = seed
        self._proofs = proofs

    def prove(self, user: User | None, check: PasswordCheck) -> Verdict:
        """Compare them; a seed that was good for a login before is good for none."""
        stored = None if user is None else user.password
        right = False
        for secret in (stored or NOBODY_PLAIN).secrets():
            for proof in self._proofs:
                made = _HASHES.get(len(proof))
                if made is not None:
                    expected = made((secret + self._seed).encode()).hexdigest()
                    right |= hmac.compare_digest(expected.encode(), proof.lower().encode())
        if not right or stored is None:
            return Verdict.WRONG
        store = self.request.sessions.store
        fresh = store.set_note(f"seed:{self._seed}", b"1", None, time.time() + SEED_SECONDS)
        return Verdict.RIGHT if fresh else Verdict.STALE


def new_seed(request: Request) -> tuple[str, str]:
    """A seed, and the key by which `checked_seed` knows that it is ours, and how old."""
    seed, now = str(secrets.randbits(SEED_BITS)), int(time.time())
    return seed, f"{now}-{request.sessions.sign(f'seed:{seed}:{now}')}"


def checked_seed(request: Request, seed: str, key: str) -> str | None:
    """The seed, if it is ours and in time."""
    match = _SEED_KEY.fullmatch(key)
    if match is None or not _SEED.fullmatch(seed):
        return None
    made, mark = int(match[1]), match[2]
    ours = hmac.compare_digest(mark, request.sessions.sign(f"seed:{seed}:{made}"))
    return seed if ours and 0 <= time.time() - made + 1 < SEED_SECONDS else None


def is_cross_site(request: Request) -> bool:
    """Whether a browser says that a page of another origin sends this request.

    Such a page could log its visitor in under a name of its choice. Clients that are no browsers say nothing, and have
    no visitors.
    """
    site = request.header("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    source = request.header("origin")
    if source is None:
        source = request.header("referer")
    if source is None:
        return False
    try:
        parts = urlsplit(source)
    except ValueError:
        return True
    # A proxy that we do not know may have taken the encryption off: https is as good as what we see, http is not.
    schemes = ("https",) if request.is_secure() else ("http", "https")
    return parts.scheme not in schemes or parts.netloc.lower() != request.host()


def _posted(request: Request) -> dict[str, str]:
    # The fields of the body alone: what stands in a URL ends in histories and logs.
    message = request.message
    kind = message.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if request.method != "POST" or kind != _FORM or not message.length or message.length > MAX_FORM:
        return {}
    pairs = list(request.datapairs())  # of the query first; somebody else may have read the body already
    return dict(pairs[len(parse_pairs(request.query)) :])
