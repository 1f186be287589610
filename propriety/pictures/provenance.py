"""Where a picture comes from, in its file: PNG text chunks, and C2PA content credentials that say it is AI-generated.

Credentials follow C2PA 2.x: the action `c2pa.created` with IPTC's digital source type `trainedAlgorithmicMedia`, and
Propriety's own assertion, which holds what the text chunks hold. The reader inside c2pa-python verifies them.
"""

import datetime as dt
import io
import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel

log = logging.getLogger("generator")

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ASSERTION = "propriety.drawing"
TEST_ISSUER = "Propriety, self-made for tests"
TEST_DAYS = 365
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


class SigningError(RuntimeError):
    """Key and certificate cannot sign content credentials."""


class Seal:
    """Writes pictures to files that say where they come from; may be used from several threads."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        """Reads the signer's chain (PEM, its own certificate first) and private key (PEM, not encrypted).

        Without them both are made for the life of the process, which the log says: whoever verifies then sees a file
        that nobody changed, marked as AI-generated, and an issuer that nobody vouches for.

        Raises:
            SigningError: where one is missing, unreadable, or the two cannot sign.
        """
        if (certificate is None) != (key is None):
            raise SigningError("A signing certificate and a signing key are given together or not at all.")
        if certificate and key:
            chain, pem = _read(certificate), _read(key)
        else:
            log.warning("No signing certificate is set: content credentials are signed with a self-made test one.")
            chain, pem = self_made()
        try:
            signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(_algorithm(pem), chain, pem, None))
            self._context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}}, signer)
            self.png(Image.new("RGB", (8, 8)), {"model": "none, a trial"})
        except (c2pa.C2paError, ValueError, TypeError) as error:
            where = certificate or "the self-made certificate"
            raise SigningError(f"{where} and its key cannot sign content credentials: {error}") from error

    def png(self, image: Image.Image, told: Mapping[str, Any]) -> bytes:
        """The picture as a PNG that tells what `facts` says of it."""
        text, plain, signed = PngInfo(), io.BytesIO(), io.BytesIO()
        for key, value in told.items():
            text.add_itxt(key, str(value))
        image.save(plain, "PNG", pnginfo=text)
        plain.seek(0)
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": {"name": told["model"]}}
        manifest = {
            "claim_generator_info": [{"name": "Propriety", "version": version("propriety")}],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
                {"label": ASSERTION, "data": dict(told)},
            ],
        }
        c2pa.Builder(manifest, self._context).sign("image/png", plain, signed)
        return signed.getvalue()


def facts(parameters: BaseModel, request: BaseModel) -> dict[str, Any]:
    """The prompt as drawn, w_ξ, τ_gc, seed, model; verdict and policy where they are named.

    The original prompt, if another was drawn, is left out.
    """
    told = parameters.model_dump(include={"prompt", "wxi", "tau_gc", "seed", "model"}, exclude_none=True)
    return told | request.model_dump(include={"verdict_id", "policy_version"}, exclude_none=True)


def self_made() -> tuple[bytes, bytes]:
    """A certificate chain and a private key (PEM), made here: C2PA allows no certificate that signs itself."""
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = [_certificate(own, "signer", root), _certificate(root, "root", root)]
    pem = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain), pem


def _certificate(key: ec.EllipticCurvePrivateKey, name: str, issuer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """An X.509 certificate of C2PA's profile (C2PA 2.x, section "X.509 Certificates"); the root's signs itself."""
    now, is_root = dt.datetime.now(dt.UTC), key is issuer
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("root"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=TEST_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if not is_root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: TEST_ISSUER, NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def _algorithm(pem: bytes) -> str:
    """The signing algorithm that goes with a private key, as C2PA names it."""
    key = serialization.load_pem_private_key(pem, None)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ValueError("the key is neither on a NIST curve, nor RSA, nor Ed25519")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}") from error
