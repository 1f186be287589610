"""The origin of a picture, in its file: PNG text chunks, and C2PA content credentials that mark it as AI-generated.

Credentials follow C2PA 2.x: the action `c2pa.created` with IPTC's digital source type `trainedAlgorithmicMedia`, and
Propriety's own assertion, with the same facts as the text chunks. c2pa-python's reader verifies them.
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
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel

from propriety.pictures.signer import SIGNING_PURPOSES, SignerFiles, SigningError, read_signer

log = logging.getLogger("generator")

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ASSERTION = "propriety.drawing"
TEST_ISSUER = "Propriety, self-made for tests"
TEST_VALIDITY_DAYS = 365
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "trust": {"trust_config": "\n".join(SIGNING_PURPOSES)}}


class Seal:
    """Writes pictures to files that state their origin; safe to use from several threads."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        """Reads the signer's chain (PEM, its own certificate first) and private key (PEM, not encrypted).

        Without them, makes both for the life of the process and logs a warning. A verifier then sees an unchanged file,
        marked as AI-generated, from an untrusted issuer.

        Raises:
            SigningError: one of them is missing or unreadable, or they cannot sign.
        """
        if (certificate is None) != (key is None):
            raise SigningError("Set both the signing certificate and the signing key, or neither.")
        if certificate and key:
            files = read_signer(certificate, key)
        else:
            log.warning("No signing certificate is set, so a test certificate signs the content credentials.")
            files = SignerFiles("es256", *make_test_certificate())
        try:
            signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(*files, None))
            self._context = c2pa.Context.from_dict(SETTINGS, signer)
            self.png(Image.new("RGB", (8, 8)), {"model": "none"})  # fails now rather than at the first picture
        except (c2pa.C2paError, ValueError, TypeError) as error:
            where = certificate or "the test certificate"
            raise SigningError(f"{where} and its key cannot sign content credentials: {error}") from error

    def png(self, image: Image.Image, facts: Mapping[str, Any]) -> bytes:
        """The picture as a PNG file with these facts, as from `facts`."""
        text, plain, signed = PngInfo(), io.BytesIO(), io.BytesIO()
        for key, value in facts.items():
            text.add_itxt(key, str(value))
        image.save(plain, "PNG", pnginfo=text)
        plain.seek(0)
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": {"name": facts["model"]}}
        manifest = {
            "claim_generator_info": [{"name": "Propriety", "version": version("propriety")}],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
                {"label": ASSERTION, "data": dict(facts)},
            ],
        }
        c2pa.Builder(manifest, self._context).sign("image/png", plain, signed)
        return signed.getvalue()


def facts(parameters: BaseModel, request: BaseModel) -> dict[str, Any]:
    """The prompt as drawn, w_ξ, τ_gc, seed and model; verdict and policy if the request names them.

    Never the original prompt, if another was drawn.
    """
    drawn = parameters.model_dump(include={"prompt", "wxi", "tau_gc", "seed", "model"}, exclude_none=True)
    return drawn | request.model_dump(include={"verdict_id", "policy_version"}, exclude_none=True)


def make_test_certificate() -> tuple[bytes, bytes]:
    """A new certificate chain and private key (PEM). It has a root, since C2PA forbids self-signed certificates."""
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = [_certificate(own, "signer", root), _certificate(root, "root", root)]
    pem = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain), pem


def _certificate(key: ec.EllipticCurvePrivateKey, name: str, issuer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """An X.509 certificate of C2PA's profile (C2PA 2.x, section "X.509 Certificates"); the root is self-signed."""
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
        .not_valid_after(now + dt.timedelta(days=TEST_VALIDITY_DAYS))
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
