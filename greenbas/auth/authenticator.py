"""`Authenticator`: finds out who asks."""

from __future__ import annotations

import inspect
import logging
from contextlib import nullcontext
from typing import Any, Literal, get_args

from greenbas.auth.authinfo import AuthInfo, ResponseHandler
from greenbas.auth.formscheme import FormScheme
from greenbas.auth.httpscheme import HttpScheme
from greenbas.auth.passwordcheck import PasswordCheck
from greenbas.auth.scheme import Attempt, Scheme, Verdict
from greenbas.auth.user import User, UserDb
from greenbas.errors import Overloaded, SettingError
from greenbas.http import Request, Response, SessionUser, enter
from greenbas.protocol.authorization import is_name, is_password

__all__ = ["AuthType", "Authenticator"]

AuthType = Literal["digest", "basic", "form", "sform", "dav", "auth"]

RETRY_AFTER = 2  # seconds; a password takes a fifth of one
# Where people look, rather than programs: these get a page with a form.
_PAGES = (".html", ".htm", ".psp", ".lsp", ".csp")

_log = logging.getLogger("greenbas.auth")


class Authenticator:
    """Finds out who asks (BAS ``ba.create.authenticator``).

    Whoever has logged in has a session, and needs nothing else until that ends, wherever on this server he goes.

    Args:
        users: the database.
        type: "digest"; "basic"; "form"; "sform", a form that hashes the password where there is no TLS; "dav", Basic
            and Digest; "auth", whichever suits the client.
        realm: what clients show, and what HA1 hashes are made with; printable ASCII.
        response: called with request, response and `AuthInfo` to write the login page, or the body of a refusal.
            `request.env` has the last as "authinfo", for pages that it forwards to.
        tracker: ban those who fail too often; see `greenbas.http.LoginTracker`.
        md5: offer MD5 digests also where the database does not need them, for clients that know nothing better.
        insecure_basic: Basic without TLS also over a network, where everybody on the way can read the password.

    Raises:
        SettingError: an unknown type, or a realm that cannot be.
        TypeError: `users` is no database, or `response` cannot be called like that.
    """

    def __init__(
        self,
        users: UserDb,
        type: AuthType = "digest",
        *,
        realm: str = "greenbas",
        response: ResponseHandler | None = None,
        tracker: bool = False,
        md5: bool = False,
        insecure_basic: bool = False,
    ) -> None:
        if type not in get_args(AuthType):
            raise SettingError(f"authenticator type {type!r}: use {', '.join(get_args(AuthType))}")
        if not isinstance(realm, str) or not realm or not (realm.isascii() and realm.isprintable()):
            raise SettingError(f"realm {realm!r:.80}: use printable ASCII, which all clients hash alike")
        _check(users, response)
        self.type = type
        self.realm = realm
        self._users = users
        self._tracked = bool(tracker)
        self._check = PasswordCheck(users, realm)
        self._form = FormScheme(realm, response, hashed=type == "sform")
        handler = None if type == "dav" else response
        self._http = HttpScheme(
            users,
            realm,
            handler,
            kinds=_KINDS.get(type, ("digest",)),
            md5=md5,
            insecure_basic=insecure_basic,
            domains=type == "dav",
        )

    def __repr__(self) -> str:
        return f"<Authenticator {self.type} realm {self.realm!r} {self._users!r}>"

    def authenticate(self, request: Request, path: str = "") -> SessionUser | None:
        """Who asks (BAS ``authenticator:authenticate``).

        Args:
            request: the request.
            path: below the protected directory; for the type "auth", which gives pages a form.

        Returns:
            The user; None when the request has been answered: somebody has to log in, or has just done so by a form.

        Raises:
            StoreUnavailable: 503; nobody knows.
            Whatever the user database raises.
        """
        user = request.user()
        return self.identify(request, path) if user is None else user

    def identify(self, request: Request, path: str = "") -> SessionUser | None:
        """As `authenticate`, where it is known that the request has no session of a user."""
        scheme = self._scheme(request, path)
        attempt = scheme.attempt(request)
        if attempt is not None and (user := attempt.go_on()) is not None:
            return user
        info = AuthInfo(scheme.type, self.realm)
        if attempt is None:
            _ask(scheme, request, info, None, None)
            return None
        info.username, info.password = attempt.name, attempt.password
        if self._is_banned(request, info, attempt):
            _refuse(scheme, request, info)
            return None
        return self._try(request, scheme, info, attempt)

    def _scheme(self, request: Request, path: str) -> Scheme:
        if self.type in ("form", "sform"):
            return self._form
        if self.type != "auth" or request.header("authorization") or request.header("prefauth"):
            return self._http
        if (request.header("x-requested-with") or "").lower() == "xmlhttprequest":
            return self._http
        name = path.rpartition("/")[2].lower()
        return self._form if not name or name.endswith(_PAGES) else self._http

    def _try(self, request: Request, scheme: Scheme, info: AuthInfo, attempt: Attempt) -> SessionUser | None:
        response = request.response
        before = _state(response)
        valid = is_name(attempt.name) and (attempt.password is None or is_password(attempt.password))
        user = self._users.find(attempt.name, attempt.password, request) if valid else None
        if _state(response) != before:
            _log.info("the user database has answered the login of %r itself", attempt.name)
            return None
        try:
            verdict = attempt.prove(user, self._check) if valid else Verdict.WRONG
        except Overloaded:
            response.send_error(429, "Too many logins at once from your address. Try again in a moment.")
            response.set_header("Retry-After", str(RETRY_AFTER))
            return None
        # Others from the same address may have failed while this one waited: what was right does not count then. Nobody
        # has a turn between the look and the note, or many guesses at once would all come before the first ban.
        with request.tracker.turn(request) if self._tracked else nullcontext():
            banned = self._is_banned(request, info, attempt)
            if not banned and verdict is Verdict.WRONG:
                self._note_failure(request, info, attempt)
        if banned:
            _refuse(scheme, request, info)
        elif verdict is Verdict.RIGHT and user is not None:
            return self._log_in(request, scheme, info, attempt, user)
        else:
            _ask(scheme, request, info, attempt, verdict)
        return None

    def _log_in(
        self, request: Request, scheme: Scheme, info: AuthInfo, attempt: Attempt, user: User
    ) -> SessionUser | None:
        who = SessionUser(attempt.name, attempt.type, request.sessions.mark(user.identity) if user.password else "")
        session = attempt.resume()
        if session is not None and session.user() == who:  # else it is another password by now
            if self._tracked:
                request.tracker.succeeded(request, attempt.name)
            return who
        count = enter(request, who, user.max_users, user.recycle, user.inactive)
        if count is not None:
            info.denied = True
            info.max_users, info.recycle, info.inactive = -count, user.recycle, user.inactive
            _refuse(scheme, request, info)
            return None
        if self._tracked:
            request.tracker.succeeded(request, attempt.name)
        session = request.session()
        assert session is not None
        return who if attempt.welcome(session) else None

    def _is_banned(self, request: Request, info: AuthInfo, attempt: Attempt) -> bool:
        if not self._tracked:
            return False
        info.login_attempts, info.retry_after = request.tracker.look(request, attempt.name)
        if not info.retry_after:
            return False
        info.denied = True
        info.login_attempts, _ = request.tracker.failed(request, attempt.name)
        return True

    def _note_failure(self, request: Request, info: AuthInfo, attempt: Attempt) -> None:
        if self._tracked:
            info.login_attempts, info.retry_after = request.tracker.failed(request, attempt.name)
            info.denied = info.retry_after > 0
        else:
            _log.info("login of %r from %s failed", attempt.name, request.peername()[0])


_KINDS: dict[str, tuple[str, ...]] = {"basic": ("basic",), "dav": ("digest", "basic"), "auth": ("digest", "basic")}


def _ask(scheme: Scheme, request: Request, info: AuthInfo, attempt: Attempt | None, verdict: Verdict | None) -> None:
    request.env()["authinfo"] = info
    scheme.ask(request, info, attempt, verdict)


def _refuse(scheme: Scheme, request: Request, info: AuthInfo) -> None:
    request.env()["authinfo"] = info
    scheme.refuse(request, info)


def _check(users: Any, response: Any) -> None:
    if not callable(getattr(users, "find", None)):
        raise TypeError(f"users {users!r:.80} is no user database: make one with create.json_user or create.auth_user")
    if response is None:
        return
    try:
        inspect.signature(response).bind(None, None, None)
    except TypeError as error:
        raise TypeError(f"response is called with request, response and authinfo; {response!r:.80}: {error}") from None


def _state(response: Response) -> tuple[Any, ...]:
    return response.committed(), response.status, response.byte_count(), response.write_size()
