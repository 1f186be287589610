"""Reads the certificate and key that sign content credentials, and says what is wrong with them."""

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
MIN_RSA_BITS = 2048
# Extended key usages. All verifiers know the first; the others must be in a verifier's trust settings.
SIGNING_PURPOSES = {
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",
    "1.3.6.1.4.1.62558.2.1": "c2pa-kp-claimSigning",
    "1.3.6.1.4.1.311.76.59.1.9": "Microsoft's C2PA signing",
}
EXCLUSIVE_PURPOSES = {
    "2.5.29.37.0": "anyExtendedKeyUsage",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
}
OTHER_PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
}
HOW_TO_MAKE_ONE = (
    "Request another from your authority, or make one: openssl x509 -req -in request.pem -CA authority.pem -CAkey "
    "authority.key -CAcreateserial -extfile profile -out signer.pem, where the file profile has the lines "
    "keyUsage=critical,digitalSignature and extendedKeyUsage=emailProtection and authorityKeyIdentifier=keyid "
    "(docs/generator.md, Provenance)."
)


class SigningError(RuntimeError):
    """The key and the certificate cannot sign content credentials."""


class SignerFiles(NamedTuple):
    algorithm: str  # C2PA's name
    chain: bytes  # PEM, the signer's own certificate first
    key: bytes  # PEM, PKCS#8


def read_signer(certificate: Path, key: Path) -> SignerFiles:
    """Reads the signer's chain (its own certificate first) and private key, in any of OpenSSL's PEM formats.

    Raises:
        SigningError: one of them is missing, unreadable, or not for signing content credentials (C2PA 2.x, section
            "X.509 Certificates").
    """
    chain_file, key_file = _read(certificate), _read(key)
    try:
        private = _load_key(key_file, key)
        algorithm = _algorithm(private)
        chain = _load_chain(chain_file)
        _check_own_key(chain, private)
        _check_profile(chain[0])
    except ValueError as error:
        raise SigningError(f"{certificate} and its key cannot sign content credentials: {error}") from error
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SignerFiles(algorithm, b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain), pem)


def _load_key(content: bytes, key: Path) -> Any:
    try:
        return serialization.load_pem_private_key(content, None)
    except TypeError as error:
        raise ValueError(f"{key} is encrypted. Decrypt it: openssl pkey -in {key} -out signer.key") from error
    except ValueError as error:
        raise ValueError(f"{key} is not a PEM private key.") from error


def _load_chain(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ValueError("it is not a PEM certificate. Convert a DER one: openssl x509 -inform der.") from error


def _algorithm(private: Any) -> str:
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS:
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ValueError(
        f"the key is not on a NIST curve, RSA of at least {MIN_RSA_BITS} bits, or Ed25519. Make another: "
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256."
    )


def _check_own_key(chain: list[x509.Certificate], private: Any) -> None:
    public = private.public_key()
    if chain[0].public_key() != public:
        if any(one.public_key() == public for one in chain):
            raise ValueError("the key's certificate is not the first. Put it before its authority's.")
        raise ValueError("the certificate is for another key.")


def _check_profile(own: x509.Certificate) -> None:
    """Refuses what C2PA forbids for a signer's certificate."""
    now = dt.datetime.now(dt.UTC)
    constraints, usage = _extension(own, x509.BasicConstraints), _extension(own, x509.KeyUsage)
    purposes = [purpose.dotted_string for purpose in _extension(own, x509.ExtendedKeyUsage) or []]
    problem = None
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        problem = f"it is valid only from {own.not_valid_before_utc:%Y-%m-%d} to {own.not_valid_after_utc:%Y-%m-%d}."
    elif constraints and constraints.ca:
        problem = "it is an authority's certificate."
    elif usage is None or not usage.digital_signature or usage.key_cert_sign:
        problem = "its key usage must be digitalSignature, without keyCertSign."
    elif not set(purposes) & set(SIGNING_PURPOSES) or set(purposes) & set(EXCLUSIVE_PURPOSES):
        names = SIGNING_PURPOSES | EXCLUSIVE_PURPOSES | OTHER_PURPOSES
        shown = " and ".join(names.get(purpose, purpose) for purpose in purposes) or "missing"
        problem = f"its extended key usage is {shown}, but must be emailProtection, or another for signing documents."
    elif _extension(own, x509.AuthorityKeyIdentifier) is None:
        problem = "it has no authority key identifier."
    if problem:
        raise ValueError(f"{problem} {HOW_TO_MAKE_ONE}")


def _extension(own: x509.Certificate, kind: Any) -> Any:
    try:
        return own.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}") from error
