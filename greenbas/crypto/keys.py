"""Private keys: making them, and which kinds are of use (BAS ``ba.create.key``)."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from greenbas.crypto.options import choose, listed
from greenbas.errors import PemError, SettingError

__all__ = [
    "CURVES",
    "DEFAULT_RSA_BITS",
    "PrivateKey",
    "check_key_type",
    "check_settings",
    "generate_key",
    "key_kind",
    "public_bytes",
]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

CURVES: dict[str, ec.EllipticCurve] = {
    "SECP256R1": ec.SECP256R1(),
    "SECP384R1": ec.SECP384R1(),
    "SECP521R1": ec.SECP521R1(),
    "BRAINPOOLP256R1": ec.BrainpoolP256R1(),
    "BRAINPOOLP384R1": ec.BrainpoolP384R1(),
    "BRAINPOOLP512R1": ec.BrainpoolP512R1(),
}

DEFAULT_RSA_BITS = 2048
# NIST SP 800-131A forbids signatures of less, and OpenSSL's default security level refuses such certificates.
_MIN_RSA_BITS = 2048
# Twice the strongest in use; the time that generation takes grows with the fourth power.
_MAX_RSA_BITS = 8192
_RSA_EXPONENT = 65537
_KINDS = {"ecc": "ecc", "rsa": "rsa"}

# The bits beyond the curve's order that make the bias of a modulo negligible (FIPS 186-5 A.2.1).
_EXTRA_BITS = 64
# Part of what a seed gives: never change it, or keys come out other ones.
_SEED_SALT = b"greenbas create.key rnd 1"


def generate_key(
    key: str = "ecc", curve: str = "SECP256R1", bits: int = DEFAULT_RSA_BITS, rnd: str | bytes | None = None
) -> str:
    """Make a private key (BAS ``ba.create.key``); `greenbas.create.key` does it without stopping the others.

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
    check_settings(key, curve, bits, rnd)
    made = rsa.generate_private_key(_RSA_EXPONENT, bits) if key == "rsa" else _ecc_key(curve, rnd)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def check_settings(key: str, curve: str, bits: int, rnd: str | bytes | None) -> None:
    """Check what `generate_key` takes.

    Raises:
        SettingError: an option that is unknown or out of range.
    """
    choose("key", key, _KINDS)
    choose("curve", curve, CURVES)
    if not isinstance(bits, int) or not _MIN_RSA_BITS <= bits <= _MAX_RSA_BITS or bits % 8:
        raise SettingError(f"bits: {bits!r} is out of range, use {_MIN_RSA_BITS} to {_MAX_RSA_BITS} in steps of 8")
    if rnd is None:
        return
    if key == "rsa":
        raise SettingError("rnd: an RSA key cannot be derived from a seed; use key='ecc', or leave rnd out")
    if not isinstance(rnd, (str, bytes)) or not rnd:
        raise SettingError("rnd: the seed must be str or bytes, and not empty; secrets.token_bytes(32) makes one")


def _ecc_key(curve: str, rnd: str | bytes | None) -> ec.EllipticCurvePrivateKey:
    on = CURVES[curve]
    if rnd is None:
        return ec.generate_private_key(on)
    seed = rnd.encode() if isinstance(rnd, str) else rnd
    length = (on.group_order.bit_length() + _EXTRA_BITS + 7) // 8
    wide = HKDF(hashes.SHA512(), length, salt=_SEED_SALT, info=curve.encode("ascii")).derive(seed)
    return ec.derive_private_key(int.from_bytes(wide, "big") % (on.group_order - 1) + 1, on)


def check_key_type(key: object, source: str, code: str = "pem_key_unsupported_format") -> None:
    """Check that a key, private or public, is of a kind that TLS and certificates can use.

    Args:
        key: of the library `cryptography`.
        source: what it is called in the message.
        code: of the error, except for the modulus.

    Raises:
        PemError: a kind or curve that is not supported, or an RSA modulus too short to be safe.
    """
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        if key.curve.name.upper() not in CURVES:
            raise PemError(f"{source}: the curve {key.curve.name} is not supported; use {listed(CURVES)}", code)
    elif isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        if key.key_size < _MIN_RSA_BITS:
            raise PemError(
                f"{source}: an RSA key of {key.key_size} bits is too short; use {_MIN_RSA_BITS} or more",
                "pem_key_unsupported_modulus_length",
            )
    elif key_kind(key) == "":
        name = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
        raise PemError(f"{source}: keys of the kind {name} are not supported; use ECC, RSA or Ed25519", code)


def key_kind(key: object) -> str:
    """Name the kind of a private or public key: "ECC", "RSA" or "EdDSA"; "" for any other."""
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return "ECC"
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return "RSA"
    edwards = (
        ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey, ed448.Ed448PrivateKey, ed448.Ed448PublicKey,
    )  # fmt: skip
    return "EdDSA" if isinstance(key, edwards) else ""


def public_bytes(holder: object) -> bytes | None:
    """The public key of a private key, certificate or request, as bytes to compare; None when it cannot be read."""
    try:
        public = holder.public_key()  # type: ignore[attr-defined]
        encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return encoded
