"""`HttpScheme`: Basic and Digest, where the client asks its user and sends the answer with each request."""

from __future__ import annotations

import hmac
import logging
import secrets

from greenbas.auth.authinfo import AuthInfo, ResponseHandler
from greenbas.auth.cookieless import Cookieless
from greenbas.auth.nonces import Nonce, NonceLogin, Nonces
from greenbas.auth.password import NOBODY_PLAIN, StoredPassword
from greenbas.auth.passwordcheck import PasswordCheck
from greenbas.auth.scheme import Attempt, Scheme, Verdict, may_send_passwords
from greenbas.auth.user import User, UserDb
from greenbas.http import Request, Session, SessionUser, error_page
from greenbas.protocol.authorization import BasicClaim, DigestClaim, parse_authorization
from greenbas.protocol.digest import authentication_info, digest_challenge, expected_response
from greenbas.protocol.headers import quoted

__all__ = ["HttpScheme"]

_NOBODY = {"MD5": secrets.token_hex(16), "SHA-256": secrets.token_hex(32)}

_log = logging.getLogger("greenbas.auth")


class HttpScheme(Scheme):
    """Basic (RFC 7617), Digest (RFC 7616), or the choice of both.

    Basic, which sends the password as it is, is neither offered nor accepted where somebody may listen.

    Args:
        users: the database; it says which digest algorithms are offered.
        realm: printable ASCII.
        handler: writes the body of a refusal.
        kinds: "digest", "basic" or both.
        md5: offer MD5 also where the database does not need it.
        insecure_basic: Basic on any connection.
        domains: names may come as "DOMAIN\\name", as Windows sends them.
    """

    def __init__(
        self,
        users: UserDb,
        realm: str,
        handler: ResponseHandler | None,
        *,
        kinds: tuple[str, ...],
        md5: bool = False,
        insecure_basic: bool = False,
        domains: bool = False,
    ) -> None:
        self.type = kinds[0]
        self.realm = realm
        self.nonces = Nonces()
        self.programs = Cookieless()
        self.users = users
        self._handler = handler
        self._kinds = kinds
        self._md5 = md5
        self._insecure_basic = insecure_basic
        self._domains = domains

    def attempt(self, request: Request) -> Attempt | None:
        """What the Authorization field says, if it is one alone and is as the challenges ask for it."""
        fields = request.message.fields
        value = fields.last.get(b"authorization")
        if value is None or (len(fields.last) != len(fields.pairs) and fields.count(b"authorization") > 1):
            return None
        claim = parse_authorization(value)
        if isinstance(claim, BasicClaim):
            return BasicAttempt(request, claim, self) if self._offers_basic(request) else None
        if not isinstance(claim, DigestClaim) or "digest" not in self._kinds or claim.realm != self.realm:
            return None
        if not _is_target(claim.uri, request):
            return None
        name = claim.name.rpartition("\\")[2] if self._domains else claim.name
        return DigestAttempt(request, name, claim, self)

    def ask(self, request: Request, info: AuthInfo, attempt: Attempt | None, verdict: Verdict | None) -> None:
        """401 with a challenge for each that the client may use, the best first."""
        response = request.response
        if self._kinds == ("basic",) and not self._offers_basic(request):
            response.send_error(403, "A secure connection is required: passwords are not sent over this one.")
            return
        response.set_status(401)
        stale = verdict is Verdict.STALE
        for challenge in self._challenges(request, stale, isinstance(attempt, DigestAttempt) and attempt.needs_md5):
            response.add_header("WWW-Authenticate", challenge)
        self._answer(request, info, "The name or the password is wrong." if attempt else "Log in to see this.")

    def refuse(self, request: Request, info: AuthInfo) -> None:
        """403, with the time after which to try again."""
        request.response.set_status(403)
        if info.retry_after:
            request.response.set_header("Retry-After", str(int(info.retry_after) + 1))
        why = "Too many logins have failed. Try again later." if info.retry_after else "You are logged in too often."
        self._answer(request, info, why)

    def algorithms(self) -> tuple[str, ...]:
        """The digest algorithms that are offered, the best first."""
        offered = self.users.algorithms()
        return (*offered, "MD5") if self._md5 and "MD5" not in offered else offered

    def _challenges(self, request: Request, stale: bool, only_md5: bool) -> list[str]:
        made = []
        if "digest" in self._kinds:
            nonce = self.nonces.issue()
            algorithms = ("MD5",) if only_md5 else self.algorithms()
            made = [digest_challenge(self.realm, nonce, one, stale or only_md5) for one in algorithms]
        if self._offers_basic(request):
            made.append(f'Basic realm={quoted(self.realm)}, charset="UTF-8"')
        return made

    def _offers_basic(self, request: Request) -> bool:
        return "basic" in self._kinds and (self._insecure_basic or may_send_passwords(request))

    def _answer(self, request: Request, info: AuthInfo, sentence: str) -> None:
        response = request.response
        if self._handler is not None:
            response.set_default_headers()
            self._handler(request, response, info)
        else:
            response.send_error_page(response.status, error_page(response.status, sentence))


class BasicAttempt(Attempt):
    """Name and password as they are."""

    __slots__ = ("_scheme",)

    type = "basic"

    def __init__(self, request: Request, claim: BasicClaim, scheme: HttpScheme) -> None:
        super().__init__(request, claim.name, claim.password)
        self._scheme = scheme

    def prove(self, user: User | None, check: PasswordCheck) -> Verdict:
        """Programs do so with each request, so what was right is remembered for a while."""
        assert self.password is not None
        right = check.matches(self.request, user, self.name, self.password, remember=True)
        return Verdict.RIGHT if right else Verdict.WRONG

    def resume(self) -> Session | None:
        """The session that the same program had with its last request."""
        request = self.request
        return None if request.session() is not None else self._scheme.programs.find(request, self.name)

    def welcome(self, session: Session) -> bool:
        """The next requests of this program go on with this session."""
        self._scheme.programs.note(self.request, self.name, session)
        return True


class DigestAttempt(Attempt):
    """A hash of name, password, nonce and request.

    Attributes:
        needs_md5: the user can use MD5 only, and has not.
    """

    __slots__ = ("_claim", "_nonce", "_scheme", "_secret", "_user", "needs_md5")

    type = "digest"

    def __init__(self, request: Request, name: str, claim: DigestClaim, scheme: HttpScheme) -> None:
        super().__init__(request, name, None)
        self.needs_md5 = False
        self._claim = claim
        self._scheme = scheme
        self._secret = ""
        self._user: User | None = None
        self._nonce: Nonce | None = None  # once its count has been taken

    def go_on(self) -> SessionUser | None:
        """One more request with a nonce that has logged somebody in: all that is to be done is to compare.

        That the server knows the password as well has been proved then (RFC 7616 3.5 leaves it to the server when).
        """
        claim, scheme = self._claim, self._scheme
        nonce = scheme.nonces.find(claim.nonce)
        login = None if nonce is None else nonce.login
        if nonce is None or login is None or nonce.name != claim.name or login.algorithm != claim.algorithm:
            return None
        if scheme.users.get(self.name) is not login.user:
            return None
        if not hmac.compare_digest(expected_response(login.secret, self.request.method, claim), claim.response):
            return None
        if not scheme.nonces.use_again(nonce, claim.nc):
            return None
        self._secret, self._nonce = login.secret, nonce
        session = self.resume()
        return None if session is None else session.user()

    def prove(self, user: User | None, check: PasswordCheck) -> Verdict:
        """Compare hashes; then see whether the nonce is ours and the count new (RFC 7616 3.3, 5.5)."""
        claim = self._claim
        stored = None if user is None else user.password
        if stored is not None:
            self._explain(stored)
        # Nobody's takes as long to make as somebody's.
        secret = (stored or NOBODY_PLAIN).secret(claim.algorithm, claim.name, claim.realm)
        if stored is None or (claim.algorithm not in self._scheme.algorithms() and not _needs_md5(stored)):
            secret = None  # nobody's, or MD5, though the challenge has not offered it
        expected = expected_response(secret or _NOBODY[claim.algorithm], self.request.method, claim)
        if not hmac.compare_digest(expected, claim.response) or secret is None:
            return Verdict.STALE if self.needs_md5 else Verdict.WRONG
        self._secret, self._user = secret, user
        if self._nonce is None:
            self._nonce = self._scheme.nonces.use(claim.nonce, claim.nc, claim.name)
        return Verdict.STALE if self._nonce is None else Verdict.RIGHT

    def resume(self) -> Session | None:
        """The session that the first request with this nonce has begun."""
        nonce = self._nonce
        request = self.request
        if nonce is None or nonce.login is None or request.used_session is not None:
            return None  # a session that the client has a cookie of becomes its user's
        session = request.sessions.resume(nonce.login.session, nonce.login.token, self.name, request)
        if session is not None and (following := self._scheme.nonces.next_nonce(nonce)) is not None:
            self._prove_back(following)
        return session

    def welcome(self, session: Session) -> bool:
        """The nonce belongs to this session from here on."""
        assert self._nonce is not None and self._user is not None
        number, token = int(session.id()), str(session.id(True))
        self._nonce.login = NonceLogin(number, token, self._user, self._claim.algorithm, self._secret)
        self._prove_back(self._scheme.nonces.next_nonce(self._nonce))
        return True

    def _prove_back(self, following: str | None) -> None:
        # As bytes at once: of all that is in it, every character has been checked.
        info = authentication_info(self._secret, self._claim, following)
        self.request.response.adopt_lines({"authentication-info": f"Authentication-Info: {info}\r\n".encode()})

    def _explain(self, stored: StoredPassword) -> None:
        self.needs_md5 = self._claim.algorithm != "MD5" and _needs_md5(stored)
        if stored.plain is None and not stored.ha1:
            _log.warning(
                "%r cannot log in by digest: only a scrypt hash is stored; add HA1 hashes, or use a form or Basic",
                self.name,
            )


def _needs_md5(stored: StoredPassword) -> bool:
    return stored.plain is None and list(stored.ha1) == ["MD5"]


def _is_target(uri: str, request: Request) -> bool:
    # RFC 7616 3.4.6: it may have become absolute on its way, or the target may have.
    target = request.target
    return uri == target or _path_of(uri) == _path_of(target)


def _path_of(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return target
    return f"/{rest.partition('/')[2]}"
