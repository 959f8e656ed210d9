"""Constructors under BAS's names (``ba.create``), and those that plugins add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greenbas import plugin as _plugin
from greenbas.auth import Authenticator, AuthType, AuthUser, FunctionAuthorizer, JsonUser, ResponseHandler, UserDb
from greenbas.dispatcher.threads import Thread as _Thread
from greenbas.io import Io
from greenbas.vfs import Directory, DomainReader, ResourceReader, WsgiDirectory

if TYPE_CHECKING:
    # Imported at first use: it takes a while, and not every server needs it.
    from greenbas.crypto import CertifiedKey, CertStore
    from greenbas.crypto.certtime import Moment
    from greenbas.crypto.request import KeyLike
    from greenbas.net.tls import CertFiles, ClientTls, ServerTls
    from greenbas.net.tls.server import ClientCert

__all__ = [
    "aes_decode",
    "aes_encode",
    "aes_key",
    "auth_user",
    "authenticator",
    "authorizer",
    "certificate",
    "certifiedkey",
    "certstore",
    "csr",
    "dir",
    "domainresrdr",
    "json_user",
    "key",
    "resrdr",
    "tls_client",
    "tls_server",
    "wsgi",
]

# Those that make directories, which a [[mount]] can be of; plugins add theirs.
KINDS = ("dir", "domainresrdr", "resrdr", "wsgi")

# Its own, so that a key that takes a second waits for other keys only.
_key_thread = _Thread(1, name="keys")


def __getattr__(name: str) -> Any:
    # A kind that a plugin adds, such as create.statuspage; looked for only when there is nothing of the name here.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _plugin.kind(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_plugin.names("kinds")})


def dir(name: str | None = None, *, priority: int = 0) -> Directory:
    """A plain directory (BAS ``ba.create.dir``).

    Args:
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return Directory(name, priority=priority)


def resrdr(io: Io, *, name: str | None = None, priority: int = 0) -> ResourceReader:
    """A directory that serves files (BAS ``ba.create.resrdr``).

    Args:
        io: where the files are.
        name: the path segment it answers to; None makes it part of its parent.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return ResourceReader(io, name=name, priority=priority)


def domainresrdr(domain: str, io: Io, *, priority: int = 0, page404: str | None = None) -> DomainReader:
    """Files for one host name (BAS ``ba.create.domainresrdr``).

    Args:
        domain: the host name.
        io: where the files are.
        priority: -128 to 127; siblings are asked in descending order.
        page404: the page for what is not found; without one the search goes on.
    """
    return DomainReader(domain, io, priority=priority, page404=page404)


def wsgi(app: Callable[..., Any], *, name: str | None = None, priority: int = 0) -> WsgiDirectory:
    """A WSGI application (PEP 3333), such as one of Flask or Django.

    Args:
        app: the application, called with (environ, start_response).
        name: the path segment it answers to; None makes it part of its parent: it answers for every path there.
        priority: -128 to 127; siblings are asked in descending order.
    """
    return WsgiDirectory(app, name, priority=priority)


def json_user(users: Mapping[str, Any] | str | bytes | None = None) -> JsonUser:
    """A user database of names and what is known about them (BAS ``ba.create.jsonuser``).

    Args:
        users: ``{"ann": {"pwd": "secret", "roles": ["staff"]}}``, or its JSON text; see `greenbas.auth.JsonUser`.

    Raises:
        SettingError: it is something else; the message says where.
    """
    return JsonUser(users)


def auth_user(function: Callable[..., Any]) -> AuthUser:
    """A user database that is a function (BAS ``ba.create.authuser``).

    Args:
        function: called with name, password and request; it returns the stored password, or whether the one it was
            given is right; see `greenbas.auth.AuthUser`.

    Raises:
        TypeError: it cannot be called like that.
    """
    return AuthUser(function)


def authenticator(
    users: UserDb,
    type: AuthType = "digest",
    *,
    realm: str = "greenbas",
    response: ResponseHandler | None = None,
    tracker: bool = False,
    md5: bool = False,
    insecure_basic: bool = False,
) -> Authenticator:
    """What finds out who asks (BAS ``ba.create.authenticator``); `Directory.set_auth` takes it.

    Args:
        users: of `json_user` or `auth_user`.
        type: "digest"; "basic", over TLS or from this machine alone; "form"; "sform", a form that hashes the password
            where there is no TLS; "dav", for WebDAV clients; "auth", whichever suits the client.
        realm: what clients show; printable ASCII.
        response: called with request, response and `greenbas.auth.AuthInfo` to write the login page, or the body of a
            refusal.
        tracker: ban those who fail too often.
        md5: offer MD5 digests also where the database does not need them, for clients that know nothing better.
        insecure_basic: Basic without TLS also over a network, where everybody on the way can read the password.

    Raises:
        SettingError: an unknown type, or a realm that cannot be.
        TypeError: `users` is no database, or `response` cannot be called like that.
    """
    return Authenticator(
        users, type, realm=realm, response=response, tracker=tracker, md5=md5, insecure_basic=insecure_basic
    )


def authorizer(function: Callable[..., Any]) -> FunctionAuthorizer:
    """What decides whether somebody may do something (BAS ``ba.create.authorizer``); `Directory.set_auth` takes it.

    Args:
        function: called with the user's name, the method, the path below the protected directory, and, if it takes
            four arguments, the session. Only True allows.

    Raises:
        TypeError: it cannot be called like that.
    """
    return FunctionAuthorizer(function)


def aes_key(size: int = 32) -> bytes:
    """A random key for `aes_encode` (BAS ``ba.aeskey``).

    Args:
        size: 16 or 32 bytes.

    Raises:
        ValueError: another size.
    """
    from greenbas.crypto import make_key

    return make_key(size)


def aes_encode(key: bytes, data: str | bytes, *, purpose: str = "") -> str:
    """Encrypt state that a client keeps, such as in a hidden field; what it changes is found out.

    AES-GCM with a random nonce (BAS ``ba.aesencode``). The client can send the same text several times.

    Args:
        key: of `aes_key`.
        data: text or bytes.
        purpose: what it is for; `aes_decode` has to say the same. The id of a session, for example, so that the text is
            worth nothing to others.

    Returns:
        Letters, digits, "-" and "_".

    Raises:
        ValueError: the key has another size.
    """
    from greenbas.crypto import seal

    return seal(key, data, purpose)


def aes_decode(key: bytes, text: str | None, *, purpose: str = "", max_age: float | None = None) -> str | bytes | None:
    """Decrypt what `aes_encode` has made (BAS ``ba.aesdecode``).

    Args:
        key: the same.
        text: from the client; None when it has sent none.
        purpose: the same.
        max_age: seconds since it was made, beyond which it counts no more.

    Returns:
        Text or bytes, as it was; None when it was changed, made with another key or for another purpose, or is too old.

    Raises:
        ValueError: the key has another size.
    """
    from greenbas.crypto import unseal

    return unseal(key, text, purpose, max_age)


def key(key: str = "ecc", curve: str = "SECP256R1", bits: int = 2048, rnd: str | bytes | None = None) -> str:
    """Make a private key (BAS ``ba.create.key``).

    An RSA key takes from a tenth of a second to several; only the calling greenlet waits for it.

    Args:
        key: "ecc" or "rsa".
        curve: of an ECC key: SECP256R1, SECP384R1, SECP521R1, BRAINPOOLP256R1, BRAINPOOLP384R1 or BRAINPOOLP512R1.
        bits: of an RSA key, 2048 to 8192 in steps of 8.
        rnd: a secret that an ECC key is derived from: the same key each time. The key is as hard to guess as this is;
            None makes a new random one.

    Returns:
        PEM, PKCS #8, not encrypted.

    Raises:
        SettingError: an option that is unknown or out of range.
    """
    from greenbas.crypto import generate_key

    if key == "rsa":
        return _key_thread.offload(generate_key, key, curve, bits, rnd)
    return generate_key(key, curve, bits, rnd)


def csr(
    key: KeyLike,
    dn: Mapping[str, str],
    san: str | Iterable[str] | None = None,
    certtypes: str | Iterable[str] = (),
    keyusages: str | Iterable[str] = (),
    hash: str = "sha256",
) -> str:
    """Make a certificate signing request (BAS ``ba.create.csr``).

    Args:
        key: the private key: PEM, or a dict with ``key`` (PEM) and ``pwd`` (its password).
        dn: the name: commonname, and optionally countryname (two letters), province, locality, organization, unit,
            email.
        san: what the certificate is for: host names, IP addresses, e-mail addresses; a list, or "a;b;c". None is the
            common name, where that is a host.
        certtypes: of SSL_CLIENT, SSL_SERVER, SSL_CA, OBJECT_SIGNING, OBJECT_SIGNING_CA; none is SSL_SERVER.
        keyusages: of DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT,
            KEY_CERT_SIGN, CRL_SIGN; none is DIGITAL_SIGNATURE, and for an authority KEY_CERT_SIGN and CRL_SIGN too.
        hash: sha256, sha384 or sha512.

    Returns:
        PEM.

    Raises:
        SettingError: an option or a part of the name that is unknown or cannot be.
        PemError: the key cannot be used; .code says why.
    """
    from greenbas.crypto import make_csr

    return make_csr(key, dn, san, certtypes, keyusages, hash)


def certificate(
    csr: bytes | str,
    key: KeyLike,
    validfrom: Moment,
    validto: Moment,
    serial: int | None = None,
    *,
    cacert: bytes | str | None = None,
    hash: str = "sha256",
    ca: bool = False,
) -> str:
    """Sign a certificate (BAS ``ba.create.certificate``).

    Args:
        csr: the request; its name, alternative names and usages are taken over, nothing else.
        key: the key to sign with: of `cacert`, or without one that of the request. PEM, or a dict with ``key`` (PEM)
            and ``pwd`` (its password).
        validfrom: a datetime (UTC unless it has a time zone), a date, or a dict: year, month, and optionally day, hour,
            min, sec.
        validto: likewise.
        serial: positive, and another one each time; None makes a random one.
        cacert: the authority's certificate; None makes a self-signed one.
        hash: sha256, sha384 or sha512.
        ca: whether a request for the certificate of another authority is granted.

    Returns:
        PEM.

    Raises:
        SettingError: an option that is unknown or cannot be, or an authority is asked for without `ca`.
        PemError: request, certificate or key cannot be used, do not belong together, or `cacert` may not sign; .code
            says which.
    """
    from greenbas.crypto import make_certificate

    return make_certificate(csr, key, validfrom, validto, serial, cacert=cacert, hash=hash, ca=ca)


def certstore() -> CertStore:
    """An empty store for the certificates of authorities that one trusts (BAS ``ba.create.certstore``)."""
    from greenbas.crypto import CertStore

    return CertStore()


def certifiedkey(
    cert: bytes | str, key: bytes | str | None = None, *, password: str | bytes | None = None, io: Io | None = None
) -> CertifiedKey:
    """A private key with its certificate and chain (BAS ``ba.create.sharkcert``).

    Args:
        cert: PEM, DER or p7b: the certificate, and those of the authorities between it and the root, in any order. With
            `io`, the name of a file there.
        key: PEM or DER of the key; None when it stands in the same PEM as the certificate. With `io`, a file's name.
        password: of an encrypted key.
        io: where the files are.

    Raises:
        PemError: one of them cannot be used, or they do not belong together; .code says which.
        IoError: a file cannot be read.
    """
    from greenbas.crypto import CertifiedKey

    return CertifiedKey(cert, key, password=password, io=io)


def tls_client(
    trust: CertStore | str | None = None,
    *,
    cert: CertifiedKey | None = None,
    verify: bool = True,
    alpn: Sequence[str] = (),
    cache_size: int = 40,
    renegotiation: bool = False,
) -> ClientTls:
    """A context for TLS connections to servers (BAS ``ba.create.sharkssl``).

    Args:
        trust: whose certificates are trusted: a store of `certstore`, "system", or None for Mozilla's list (certifi).
        cert: our own, for servers that ask for one.
        verify: refuse servers that are not trusted, or not the one that was asked for.
        alpn: protocols to offer, the preferred one first.
        cache_size: servers whose session is kept for the next connection; 0 resumes none.
        renegotiation: whether a TLS 1.2 server may ask for a second handshake.

    Raises:
        ValueError: alpn or trust cannot be.
        PemError: the certificate cannot be used.
    """
    from greenbas.net.tls import ClientTls

    return ClientTls(trust, cert=cert, verify=verify, alpn=alpn, cache_size=cache_size, renegotiation=renegotiation)


def tls_server(
    *certs: CertifiedKey | CertFiles | tuple[str, str],
    names: Mapping[str, Sequence[CertifiedKey | CertFiles]] | None = None,
    client_cert: ClientCert = "no",
    trust: CertStore | None = None,
    alpn: Sequence[str] = ("http/1.1",),
    favor_rsa: bool = False,
) -> ServerTls:
    """A context for TLS connections from clients (BAS ``ba.create.sharkssl`` with ``server=true``).

    A client that names a host gets the certificate for that host, any other the first one.

    Args:
        *certs: of `certifiedkey`, or the paths of certificate and key, which `reload` of the context reads again.
        names: certificates by host name, "*.example.com" included, besides the names that stand in them.
        client_cert: "no", "ask" or "require" one in the handshake.
        trust: the authorities that issue the certificates of clients.
        alpn: the protocols spoken here; a client that knows none of them is refused. Empty: none is negotiated.
        favor_rsa: prefer an RSA certificate where the client knows EC too.

    Raises:
        PemError, IoError: a certificate or key cannot be used, or read.
        SettingError: there is no certificate, or client_cert is none of the three, or needs trust.
    """
    from greenbas.net.tls import CertFiles, ServerTls

    pairs = [CertFiles(*cert) if isinstance(cert, tuple) else cert for cert in certs]
    return ServerTls(*pairs, names=names, client_cert=client_cert, trust=trust, alpn=alpn, favor_rsa=favor_rsa)
