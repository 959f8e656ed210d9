"""TLS for streams, on pyOpenSSL: contexts, the handshake, and the channel that it installs.

Imported where it is used: programs without TLS do not load OpenSSL.
"""

from greenbas.net.tls.channel import TlsChannel
from greenbas.net.tls.client import ClientTls, default_client
from greenbas.net.tls.context import TlsContext
from greenbas.net.tls.files import CertFiles
from greenbas.net.tls.handshake import HANDSHAKE_TIMEOUT, handshake
from greenbas.net.tls.ondemand import request_certificate
from greenbas.net.tls.peer import Verdict
from greenbas.net.tls.server import ServerTls

__all__ = [
    "HANDSHAKE_TIMEOUT",
    "CertFiles",
    "ClientTls",
    "ServerTls",
    "TlsChannel",
    "TlsContext",
    "Verdict",
    "default_client",
    "handshake",
    "request_certificate",
]
