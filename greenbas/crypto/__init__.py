"""Keys and certificates: making, reading, describing. Data only; `greenbas.net` makes TLS of it."""

from greenbas.crypto.certificates import read_certificates
from greenbas.crypto.certifiedkey import CertifiedKey
from greenbas.crypto.certtime import parse_cert_time
from greenbas.crypto.describe import describe_chain, parse_cert
from greenbas.crypto.issue import make_certificate
from greenbas.crypto.keys import generate_key
from greenbas.crypto.readkey import load_key
from greenbas.crypto.request import make_csr
from greenbas.crypto.sealed import make_key, seal, unseal
from greenbas.crypto.selfsigned import self_signed
from greenbas.crypto.store import CertStore

__all__ = [
    "CertStore",
    "CertifiedKey",
    "describe_chain",
    "generate_key",
    "load_key",
    "make_certificate",
    "make_csr",
    "make_key",
    "parse_cert",
    "parse_cert_time",
    "read_certificates",
    "seal",
    "self_signed",
    "unseal",
]
