"""`Response`: what a handler answers with."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote, quote_plus, urljoin, urlsplit

from greenbas.codec import encode_json
from greenbas.errors import Abort, IncorrectUse, PageNotFound, TooManyForwards, TooManyIncludes
from greenbas.http.deferred import DeferredResponse
from greenbas.http.errorpage import error_page
from greenbas.http.filter import Filter, make_filter
from greenbas.http.output import Output
from greenbas.http.responsehead import HTML, NO_STORE
from greenbas.protocol.arguments import need_number, need_text
from greenbas.protocol.headers import quoted
from greenbas.protocol.target import PATH_SAFE, fold_dots

__all__ = ["Response"]

# Deep enough for pages made of parts of parts; what goes deeper goes round in a circle. The original's number.
MAX_NESTING = 10
# Characters of a URL that a Location keeps; everything else is escaped, so that no value can break the header.
_URL_SAFE = "/:?#[]@!$&'()*+,;=%-._~"
_PATH_REMEDY = "give the path of a page or directory, such as '/menu.psp'"


class Response(Output):
    """The response to one request."""

    __slots__ = ()

    # Whole answers.

    def json(self, *values: Any, return2caller: bool = False) -> None:
        """Answer with JSON and end the handler (BAS ``response:json``).

        Headers and output so far are dropped; status and cookies stay. The answer is not to be cached.

        Args:
            *values: one value, or several that are sent as an array.
            return2caller: return instead of ending the handler.

        Raises:
            IsCommitted: output has gone already.
            TypeError: a value has no JSON form.
        """
        body = encode_json(values[0] if len(values) == 1 else values)
        self.reset()
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", NO_STORE)
        self.write(body)
        if not return2caller:
            self.abort()

    def send_error(self, code: int, message: str | None = None) -> None:
        """Replace the output by an error page (BAS ``response:senderror``). Does not end the handler.

        Args:
            code: the status.
            message: a sentence for the reader; escaped.

        Raises:
            IsCommitted: output has gone already.
        """
        need_number("send_error: the status", code, "give one such as 404", whole=True)
        if message is not None:
            need_text(f"send_error({code}): the message", message)
        self.send_error_page(code, error_page(code, message))

    def send_error_page(self, code: int, page: str) -> None:
        """Replace the output by an HTML page of ours with this status; headers stay."""
        self._replace_output()
        self.set_status(code)
        self.set_header("Content-Type", HTML)
        self.set_header("Cache-Control", NO_STORE)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.write(page)

    def set_basic(self, realm: str) -> None:
        """Ask for a name and password: 401 with a Basic challenge (RFC 7617; BAS ``response:setbasic``).

        Args:
            realm: what the client shows to its user.
        """
        need_text("set_basic: the realm", realm)
        self.set_status(401)
        self.set_header("WWW-Authenticate", f'Basic realm={quoted(realm)}, charset="UTF-8"')

    def set_digest(self, realm: str) -> None:
        """Ask for a name and password: 401 with Digest challenges (RFC 7616; BAS ``response:setdigest``).

        SHA-256 is offered first, and MD5 to those who know nothing better. The nonce is fresh each time; to accept each
        only once is up to whoever checks the answer.

        Args:
            realm: what the client shows to its user, and what goes into its hash.
        """
        need_text("set_digest: the realm", realm)
        self.set_status(401)
        rest = f'realm={quoted(realm)}, qop="auth", nonce="{secrets.token_urlsafe(18)}"'
        self.set_header("WWW-Authenticate", f"Digest {rest}, algorithm=SHA-256")
        self.add_header("WWW-Authenticate", f"Digest {rest}, algorithm=MD5")

    def reset(self, what: Literal["all", "headers", "buffer"] = "all") -> None:
        """Drop headers, buffered output, or both; cookies stay (BAS ``response:reset``).

        Raises:
            IsCommitted: output has gone already.
        """
        self._check_open("the response")
        if what not in ("all", "headers", "buffer"):
            raise ValueError(f"reset({what!r:.80}): use 'all', 'headers' or 'buffer'")
        if what != "buffer" and self._lines is not None:
            cookies = self._lines.get("set-cookie")
            self._lines = {"set-cookie": cookies} if cookies else None
        if what == "headers":
            self._announced = None
        if what != "headers":
            self._drop_output()

    def recover(self) -> None:
        """For the site, when a handler has failed: as `reset`, and as if there were no filter and had been no abort.

        Raises:
            IsCommitted: output has gone already.
        """
        self._go_on()
        if self.filter is not None:
            self.filter.drop()
        self.reset()

    # Redirects, which the client follows.

    def send_redirect(self, url: str, permanent: bool = False, return2caller: bool = False) -> None:
        """Send the client elsewhere: 302, or 301 if permanent (BAS ``response:sendredirect``).

        Args:
            url: absolute, or relative to the request's URL.
            permanent: clients may remember it for ever.
            return2caller: return instead of ending the handler.

        Raises:
            IsCommitted: output has gone already.
            IncludeNotValid: inside an include.
        """
        self.redirect_with(301 if permanent else 302, url)
        if not return2caller:
            self.abort()

    def redirect_with(self, status: int, url: str) -> None:
        """An empty response with this 3xx status and an absolute Location."""
        if not isinstance(url, str):
            raise TypeError(f"a redirect goes to a URL, not to {url!r:.80}")
        self._replace_output()
        self.set_status(status)
        self.set_header("Location", self.encode_redirect_url(url))

    def redirect2tls(self, return2caller: bool = False) -> bool:
        """Send a client that came without TLS to the https URL, and end the handler (BAS ``response:redirect2tls``).

        A Host with a port names the port of the plain listener. Then it is that of the server's TLS listener in the new
        URL; where there is none, or a proxy has named the host, the port is unknown: the answer is 403.

        Args:
            return2caller: return True instead of ending the handler.

        Returns:
            False when the request is secure.
        """
        request = self._request
        if request.is_secure():
            return False
        url = request.url(force_secure=True) + (f"?{request.query}" if request.query else "")
        host = request.host()
        bare, colon, _ = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        port = self._connection.service.tls_port() if colon and not request.header("x-forwarded-host") else None
        if port is not None:
            url = url.replace(host, bare if port == 443 else f"{bare}:{port}", 1)
        if colon and port is None:
            self.send_error(403, "A secure connection is required.")
        else:
            self.redirect_with(301, url)
        if not return2caller:
            self.abort()
        return True

    def encode_url(self, path: str) -> str:
        """Escape a path for use in a URL and fold its dot segments; no host is added (BAS ``response:encodeurl``).

        Whatever the path, the result is one: its beginning is never taken for a scheme or a host (RFC 3986 4.2).

        Raises:
            ValueError: the path climbs above the root.
        """
        absolute = need_text("encode_url: the path", path).startswith("/")
        folded = fold_dots(path if absolute else f"/{path}")
        if folded is None:
            raise ValueError(f"path {path!r} climbs above the root")
        encoded = quote(folded, safe=PATH_SAFE)
        if absolute:
            return f"/.{encoded}" if encoded.startswith("//") else encoded
        first = encoded[1:].partition("/")[0]
        return f".{encoded}" if path and (not first or ":" in first) else encoded[1:]

    def encode_redirect_url(self, url: str, with_data: bool = False, session_url: bool = False) -> str:
        """Make a URL absolute and escape it (BAS ``response:encoderedirecturl``).

        Args:
            url: absolute, or relative to the request's URL; dot segments are folded.
            with_data: append the parameters of the request, those of a url-encoded body included.
            session_url: append the id of the session, if there is one, for clients without cookies; see
                `Request.url_session`.

        Raises:
            ValueError: the id would go to another host.
        """
        request = self._request
        need_text("encode_redirect_url: the URL", url)
        absolute = urljoin(request.url(), url)
        encoded = quote(absolute, safe=_URL_SAFE)
        given = request.datapairs(query=request.is_multipart()) if with_data else ()
        pairs = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in given]
        session = request.session() if session_url else None
        if session is not None:
            if urlsplit(absolute)[:2] != urlsplit(request.url())[:2]:
                raise ValueError(f"{url!r} leads to another host, which must not get the id of the session")
            parameter = request.sessions.parameter
            pairs = [pair for pair in pairs if not pair.startswith(f"{parameter}=")]
            pairs.append(f"{parameter}={session.id(public=True)}")
        if not pairs:
            return encoded
        address, hash_, fragment = encoded.partition("#")
        return f"{address}{'&' if '?' in address else '?'}{'&'.join(pairs)}{hash_}{fragment}"

    # Handing over to other resources of this server.

    def forward(self, path: str, return2caller: bool = False) -> None:
        """Let another resource answer instead (BAS ``response:forward``).

        Output so far is dropped; headers, status and `env` stay. Authentication is not asked again, and hidden files
        can be reached.

        Args:
            path: decoded; absolute, or relative to the page or directory that runs, where it is looked for first.
            return2caller: return when it has answered, instead of ending the handler.

        Raises:
            PageNotFound: nobody answers there; the output is as it was.
            IsCommitted: output has gone already.
            TooManyForwards: ten forwards deep.
            IncludeNotValid: inside an include.
        """
        request = self._request
        was = request.initial
        self._check_depth()
        request.forwarded += 1
        request.initial = False
        try:
            self._hand_over(path, return2caller)
        finally:
            request.forwarded -= 1
            request.initial = was

    def redirect(self, path: str, return2caller: bool = False) -> None:
        """Begin again at another path of this server (BAS ``response:redirect``).

        As `forward`, but as if the client had asked for that path: authentication applies, hidden files stay hidden,
        and `initial` is true there.

        Args:
            path: decoded; absolute, or relative to the page or directory that runs.
            return2caller: return when it has answered, instead of ending the handler.

        Raises:
            PageNotFound, IsCommitted, TooManyForwards, IncludeNotValid: as `forward`.
        """
        request = self._request
        was = request.initial, request.forwarded, request.redirects
        self._check_depth()
        request.redirects += 1 + request.forwarded  # what lies behind counts on
        request.initial, request.forwarded = True, 0
        try:
            self._hand_over(path, return2caller)
        finally:
            request.initial, request.forwarded, request.redirects = was

    def include(self, path: str, return2caller: bool = True) -> None:
        """Put the output of another resource here (BAS ``response:include``).

        It sees the same request and `env`, can reach hidden files, and cannot change status and headers. Its `abort`
        ends the included resource alone.

        Args:
            path: decoded; absolute, or relative to the page or directory that runs, where it is looked for first.
            return2caller: False ends the handler after it.

        Raises:
            PageNotFound: nobody answers there.
            TooManyIncludes: ten includes deep.
            MixingWriteSend: `send` was used before.
        """
        request = self._request
        was = request.initial
        need_text("include: the path", path, _PATH_REMEDY)
        if request.included >= MAX_NESTING:
            raise TooManyIncludes(f"{MAX_NESTING} includes within each other, then {path!r}: is it a circle?")
        if self._mode != "write":
            self._enter("write")
        request.included += 1
        request.initial = False
        try:
            if not self._find(path, return2caller):
                raise PageNotFound(f"nobody answers for {path!r}")
        finally:
            request.included -= 1
            request.initial = was
        if not return2caller:
            self.abort()

    def initial(self) -> bool:
        """Whether this is no forward or include (BAS ``response:initial``)."""
        return self._request.initial

    def is_forward(self) -> int:
        """How many forwards deep this is; 0 outside (BAS ``response:isforward``)."""
        return self._request.forwarded

    def is_include(self) -> int:
        """How many includes deep this is; 0 outside (BAS ``response:isinclude``)."""
        return self._request.included

    # Other ways to produce the output.

    def set_response(self, how: Callable[[bytes], Any] | str | bool | None = None) -> Filter | None:
        """Let a filter have the output before the client does (BAS ``response:setresponse``).

        Headers set so far are dropped, cookies stay. A filter sees what is written from now on, in pieces of about
        `response_buffer` bytes, but not files or what `send` sends. Call `finalize` on it at the end; a response that
        ends without does so by itself.

        Args:
            how: a function that is called with each piece as bytes: it returns what goes out instead, as str or bytes;
                or None to keep it; or False, after which the rest of the output is dropped. "auto" compresses with what
                the client accepts, unless the output is of a kind that is compressed already. "gzip" and True (zlib,
                which HTTP calls deflate) always compress; False and None give raw deflate (RFC 1951).

        Returns:
            The filter, or None if one is active already.

        Raises:
            IsCommitted: output has gone already.
            IncorrectUse: output waits in the buffer already.
            ValueError: an unknown coding.
        """
        self._check_open("the filter")
        made = make_filter(self, self._request, how)
        if self.filter is not None:
            return None
        if self.byte_count():
            raise IncorrectUse("set_response() comes too late: something has been written. Reset the buffer first")
        self.reset("headers")
        self.filter = made
        return made

    def deferred(self) -> DeferredResponse:
        """Detach the response from this handler, to be finished later by whoever has it (BAS ``response:deferred``).

        Status, headers and cookies set so far go along; output in the buffer is dropped. This object is finished.

        Raises:
            IsCommitted: output has gone already.
            IncludeNotValid: inside an include.
        """
        self._check_open("the response")
        self._drop_output()
        if self.filter is not None:
            self.filter.drop()
        made = self._connection.defer(self)
        self._committed = True
        self._mode = "over"
        return made

    # Inside.

    def _replace_output(self) -> None:
        self._check_open("the response")
        self._drop_output()
        if self._lines is not None and "content-encoding" in self._lines:
            self._set_line("content-encoding", None)  # it was that of the output

    def _check_depth(self) -> None:
        self._check_open("the output")
        self._check_running()
        depth = self._request.forwarded + self._request.redirects
        if depth >= MAX_NESTING:
            raise TooManyForwards(f"{depth} forwards within each other: do they go round in a circle?")

    def _hand_over(self, path: str, return2caller: bool) -> None:
        need_text("forward, redirect: the path", path, _PATH_REMEDY)
        kept = self._set_aside()
        if not self._find(path, return2caller):
            self._restore(kept)
            raise PageNotFound(f"nobody answers for {path!r}")
        if not return2caller:
            self.abort()

    def _find(self, path: str, return2caller: bool) -> bool:
        try:
            return self._connection.service.find(self._request, path)
        except Abort:
            if not return2caller:
                raise
            return True
        finally:
            if return2caller:
                self._go_on()  # whoever has caught the Abort, it has ended what answered there and no more
