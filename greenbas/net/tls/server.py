"""`ServerTls`: certificates and keys of a server, by name, and their exchange while it runs."""

from __future__ import annotations

import _socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal

from OpenSSL import SSL, crypto

from greenbas.errors import PemError, SettingError
from greenbas.net.tls import native
from greenbas.net.tls.context import TlsContext, add_certificate
from greenbas.net.tls.files import CertFiles, load_all, state_of
from greenbas.net.tls.options import encode_alpn, new_context, select_alpn
from greenbas.net.tls.trust import make_store

if TYPE_CHECKING:
    from greenbas.crypto import CertifiedKey, CertStore
    from greenbas.net.tls.channel import TlsChannel

__all__ = ["ServerTls"]

ClientCert = Literal["no", "ask", "require"]

_CLIENT_CERT = {
    "no": SSL.VERIFY_NONE,
    "ask": SSL.VERIFY_PEER,
    "require": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
# RSA before EC, for those clients that know both.
_RSA_FIRST = (
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512:"
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519"
)
_RSA_SUITES = (
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
)
_SESSION_ID = b"greenbas"  # OpenSSL resumes no session with a client's certificate unless there is one


class ServerTls(TlsContext):
    """A server's context. Listeners share it, and it may be changed while they run.

    A client that names a host gets the certificate for that name, any other the first one. For each name there may be
    one of each kind of key, RSA and EC: the client's abilities choose.

    Args:
        *certs: `greenbas.crypto.CertifiedKey`, or `CertFiles`, which can be read again.
        names: certificates by host name, "*.example.com" included, besides the names that stand in the certificates.
        client_cert: "no", "ask" or "require" a certificate in the handshake. What is asked for may be anybody's:
            `TlsChannel.certificate` says whether it is trusted. What is required must be trusted.
        trust: the CAs that issue the certificates of clients.
        alpn: the protocols spoken here; a client that knows none of them is refused. Empty: none is negotiated.
        favor_rsa: prefer RSA where the client knows both (BAS ``servcon:favorRSA``).

    Attributes:
        loaded_state: what `state_of_files` was when the files were read last.

    Raises:
        PemError, IoError: a certificate or key cannot be used, or read.
        SettingError: no certificate, or client_cert is none of the three, or "require" without trust.
    """

    is_server = True

    def __init__(
        self,
        *certs: CertifiedKey | CertFiles,
        names: Mapping[str, Sequence[CertifiedKey | CertFiles]] | None = None,
        client_cert: ClientCert = "no",
        trust: CertStore | None = None,
        alpn: Sequence[str] = ("http/1.1",),
        favor_rsa: bool = False,
    ) -> None:
        self._certs: tuple[CertifiedKey | CertFiles, ...] = certs
        self._names = {name.lower(): tuple(pairs) for name, pairs in (names or {}).items()}
        self._client_cert = client_cert
        self._trust = trust
        self._alpn = encode_alpn(alpn)
        self._favor_rsa = favor_rsa
        self._store: crypto.X509Store | None = None
        self._by_name: dict[str, SSL.Context] = {}
        self.loaded_state: tuple[object, ...] = ()
        self._build()

    def __repr__(self) -> str:
        return f"<ServerTls {len(self._certs)} certificates, names {', '.join(sorted(self._by_name)) or 'any'}>"

    # Changes. Connections that exist keep what they have.

    def add_cert(self, cert: CertifiedKey | CertFiles) -> None:
        """Add a certificate (BAS ``shark:addcert``); raises as the constructor does, and changes nothing then."""
        self._change(_certs=(*self._certs, cert))

    def set_certs(self, *certs: CertifiedKey | CertFiles) -> None:
        """Exchange the certificates; raises as the constructor does, and changes nothing then."""
        self._change(_certs=certs)

    def set_client_cert(self, client_cert: ClientCert, trust: CertStore | None = None) -> None:
        """Ask clients for a certificate, or not (BAS ``servcon:clientcert``); raises as the constructor does."""
        self._change(_client_cert=client_cert, _trust=trust or self._trust)

    def set_favor_rsa(self, favor: bool) -> None:
        """Prefer the RSA certificate where there are both (BAS ``servcon:favorRSA``)."""
        self._change(_favor_rsa=favor)

    def reload(self) -> None:
        """Read the files again. They are checked before the exchange: a bad pair keeps the old one.

        Raises:
            PemError, IoError: a certificate or key cannot be used, or read; nothing has changed.
        """
        self._build()

    def state_of_files(self) -> tuple[object, ...]:
        """What the system says about the files now; it differs once one of them has changed."""
        return state_of(chain(self._certs, *self._names.values()))

    # For the handshake.

    def channel(
        self, sock: _socket.socket, host: str = "", alpn: Sequence[str] | None = None, left: bytes = b""
    ) -> TlsChannel:
        """See `TlsContext.channel`; host and alpn are the client's."""
        return self._wrap(self._tls, sock, "", left)

    def client_store(self) -> crypto.X509Store | None:
        """The CAs that issue the certificates of clients."""
        return self._store

    # Inside.

    def _change(self, **changes: object) -> None:
        before = {name: getattr(self, name) for name in changes}
        for name, value in changes.items():
            setattr(self, name, value)
        try:
            self._build()
        except BaseException:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _build(self) -> None:
        """Make all contexts anew, and put them to use when they are complete."""
        self._check()
        state = self.state_of_files()  # before they are read: what changes meanwhile is noticed later
        loaded: dict[int, CertifiedKey] = {}
        default = _one_of_each_kind(load_all(self._certs, loaded))
        by_name = _by_name(load_all(self._certs, loaded))
        by_name |= {name: _one_of_each_kind(load_all(pairs, loaded)) for name, pairs in self._names.items()}
        if not default:
            default = next(iter(by_name.values()))
        store = make_store(self._trust) if self._trust is not None else None
        made: dict[tuple[int, ...], SSL.Context] = {}
        contexts = {name: self._context_for(pairs, made) for name, pairs in by_name.items()}
        # Last: it knows the others by their names. It is not one of them, or it would hold itself alive.
        tls = self._context_for(default, {})
        tls.set_tlsext_servername_callback(_by_server_name(contexts))
        self._store, self._by_name, self._tls, self.loaded_state = store, contexts, tls, state

    def _check(self) -> None:
        if self._client_cert not in _CLIENT_CERT:
            raise SettingError(f"client_cert {self._client_cert!r}: use {', '.join(_CLIENT_CERT)}")
        if self._client_cert == "require" and self._trust is None:
            raise SettingError("client_cert 'require' needs trust: a CertStore with the issuing CAs")
        if not self._certs and not any(self._names.values()):
            raise SettingError("a TLS server needs a certificate and its key")

    def _context_for(self, pairs: Sequence[CertifiedKey], made: dict[tuple[int, ...], SSL.Context]) -> SSL.Context:
        key = tuple(map(id, pairs))
        if key not in made:
            made[key] = self._new_context(pairs)
        return made[key]

    def _new_context(self, pairs: Sequence[CertifiedKey]) -> SSL.Context:
        context = new_context(SSL.TLS_SERVER_METHOD)
        for pair in pairs:
            try:
                add_certificate(context, pair)
            except SSL.Error as error:
                words = f"OpenSSL does not take the certificate for {', '.join(pair.names) or 'nobody'}: {error}"
                raise PemError(words, "pem_key_cert_mismatch") from error
        if self._alpn:
            # On each: a context that SNI chooses brings its own.
            context.set_alpn_select_callback(select_alpn(self._alpn))
        if self._favor_rsa:
            native.order_signatures(context, _RSA_FIRST)
            context.set_cipher_list(_RSA_SUITES)
            context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_session_id(_SESSION_ID)
        self._ask_clients(context)
        return context

    def _ask_clients(self, context: SSL.Context) -> None:
        # OP_NO_RENEGOTIATION is not set: OpenSSL refuses what clients ask for anyway, and we ask TLS 1.2 clients for a
        # certificate that way when a handler wants one.
        if self._client_cert == "no":
            return
        # On a resumed session nobody checks anything, and the chain is gone. These clients prove themselves each time.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        mode = _CLIENT_CERT[self._client_cert]
        if self._trust is not None:
            store = context.get_cert_store()
            assert store is not None
            for certificate in self._trust:
                store.add_cert(crypto.X509.from_cryptography(certificate))
                context.add_client_ca(certificate)
        if self._client_cert == "require":
            context.set_verify(mode)
        else:
            context.set_verify(mode, _accept_any)


def _accept_any(*found: object) -> bool:
    # Whether it is trusted is asked afterwards, see `peer.verify_as_client`.
    return True


def _one_of_each_kind(pairs: Iterable[CertifiedKey]) -> list[CertifiedKey]:
    first: dict[str, CertifiedKey] = {}
    for pair in pairs:
        first.setdefault(pair.kind, pair)
    return list(first.values())


def _by_name(pairs: Sequence[CertifiedKey]) -> dict[str, list[CertifiedKey]]:
    """The certificates for each name that stands in one."""
    names = dict.fromkeys(name for pair in pairs for name in pair.names)
    return {name: _one_of_each_kind(pair for pair in pairs if name in pair.names) for name in names}


def _by_server_name(contexts: dict[str, SSL.Context]) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        asked = (connection.get_servername() or b"").decode("latin-1").lower()
        found = contexts.get(asked) or contexts.get(f"*.{asked.partition('.')[2]}")
        if found is not None:
            connection.set_context(found)

    return choose
