"""Certificates and keys as authorities and OpenSSL make them: they sign, or the message names what is wrong."""

import datetime as dt
import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID, ObjectIdentifier
from PIL import Image

from propriety.pictures.provenance import Seal, SigningError
from propriety.pictures.signer import SIGNING_PURPOSES

NOW = dt.datetime.now(dt.UTC)
EMAIL, DOCUMENT, C2PA, MICROSOFT = SIGNING_PURPOSES
ROOT, OWN = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certificate(
    key: Any = OWN,
    issuer: Any = ROOT,
    authority: bool = False,
    purposes: Sequence[str] = (EMAIL,),
    days: tuple[int, int] = (-1, 300),
    usage: str = "digital_signature",
    names_issuer: bool = True,
) -> bytes:
    """A PEM certificate; `usage` is a list of key usages in a string, and "" leaves the extension out."""
    subject, authority_name = (
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("authority" if authority else "signer", "authority")
    )
    usages = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
              "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    builder = (
        x509.CertificateBuilder(authority_name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW + dt.timedelta(days=days[0]))
        .not_valid_after(NOW + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if usage:
        given = x509.KeyUsage(**{name: name in usage for name in usages})
        builder = builder.add_extension(given, critical=True)
    if names_issuer:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if purposes:
        extended = x509.ExtendedKeyUsage([ObjectIdentifier(purpose) for purpose in purposes])
        builder = builder.add_extension(extended, critical=False)
    return builder.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM)


def root() -> bytes:
    return certificate(ROOT, authority=True, purposes=(), usage="key_cert_sign crl_sign")


def pem(key: Any = OWN, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    content: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return content


@cache
def rsa_key(bits: int) -> Any:
    return rsa.generate_private_key(65537, bits)


@pytest.fixture
def sign(tmp_path: Path) -> Callable[[bytes, bytes], bytes]:
    """Signs a picture with the content of a certificate file and a key file."""

    def write_and_sign(chain: bytes, key: bytes) -> bytes:
        (tmp_path / "chain.pem").write_bytes(chain)
        (tmp_path / "key.pem").write_bytes(key)
        seal = Seal(tmp_path / "chain.pem", tmp_path / "key.pem")
        return seal.png(Image.linear_gradient("L"), {"model": "demo"})

    return write_and_sign


SERVER, CLIENT, CODE, TIME, OCSP, ANY = (
    *(f"1.3.6.1.5.5.7.3.{n}" for n in (1, 2, 3, 8, 9)),
    "2.5.29.37.0",
)
WRONG_PURPOSES = [
    ([], "missing"),
    ([SERVER], "serverAuth"),
    ([CLIENT], "clientAuth"),
    ([SERVER, CLIENT], "serverAuth and clientAuth"),
    ([CODE], "codeSigning"),
    ([TIME], "timeStamping"),
    ([OCSP], "OCSPSigning"),
    ([ANY], "anyExtendedKeyUsage"),
    ([EMAIL, ANY], "emailProtection and anyExtendedKeyUsage"),
    ([EMAIL, TIME], "emailProtection and timeStamping"),
    (["1.3.6.1.4.1.311.20.2.2"], r"1\.3\.6\.1\.4\.1\.311\.20\.2\.2"),
    (["1.3.6.1.5.5.7.3.17"], r"1\.3\.6\.1\.5\.5\.7\.3\.17"),
]


@pytest.mark.parametrize(("purposes", "named"), WRONG_PURPOSES, ids=[named for _, named in WRONG_PURPOSES])
def test_a_certificate_for_another_purpose_is_refused_by_its_extended_key_usage(
    sign: Any, purposes: list[str], named: str
) -> None:
    with pytest.raises(SigningError) as refused:
        sign(certificate(purposes=purposes) + root(), pem())
    message = str(refused.value)
    assert refused.match(rf"chain\.pem .*: its extended key usage is {named}, but must be emailProtection")
    assert "openssl x509 -req" in message
    assert "extendedKeyUsage=emailProtection" in message


WRONG: dict[str, tuple[Callable[[], bytes], Callable[[], bytes], str]] = {
    "expired": (lambda: certificate(days=(-30, -1)), pem, "it is valid only from"),
    "not valid yet": (lambda: certificate(days=(1, 30)), pem, "it is valid only from"),
    "an authority's": (lambda: certificate(authority=True), pem, "it is an authority's certificate"),
    "without key usage": (lambda: certificate(usage=""), pem, "its key usage must be digitalSignature"),
    "for encryption": (lambda: certificate(usage="key_encipherment"), pem, "its key usage must be digitalSignature"),
    "for certificates": (
        lambda: certificate(usage="digital_signature key_cert_sign"), pem, "digitalSignature, without keyCertSign",
    ),
    "without its issuer's key": (lambda: certificate(names_issuer=False), pem, "it has no authority key identifier"),
    "after its authority's": (lambda: root() + certificate(), pem, "is not the first. Put it before"),
    "of another key": (certificate, lambda: pem(ec.generate_private_key(ec.SECP256R1())), "is for another key"),
    "empty": (lambda: b"", pem, "it is not a PEM certificate"),
    "a request": (lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", pem,
                  "it is not a PEM certificate"),
    "DER": (lambda: x509.load_pem_x509_certificate(certificate()).public_bytes(Encoding.DER), pem,
            "openssl x509 -inform der"),
    "with an empty key": (certificate, lambda: b"", r"key\.pem is not a PEM private key"),
    "with itself as key": (certificate, certificate, r"key\.pem is not a PEM private key"),
    "with an encrypted key": (
        certificate, lambda: pem(password=b"secret"), "Decrypt it: openssl pkey -in",
    ),
    "with a short RSA key": (lambda: certificate(rsa_key(1024)), lambda: pem(rsa_key(1024)), "RSA of at least 2048"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_certificate_or_key_that_cannot_sign_is_refused_by_what_is_wrong(sign: Any, name: str) -> None:
    chain, key, message = WRONG[name]
    with pytest.raises(SigningError, match=rf"chain\.pem and its key cannot sign content credentials: .*{message}"):
        sign(chain(), key())


RIGHT: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
    "with its authority's": (lambda: certificate() + root(), pem),
    "alone": (certificate, pem),
    "with other purposes, too": (lambda: certificate(purposes=[EMAIL, SERVER, CLIENT]), pem),
    "openssl ecparam": (certificate, lambda: pem(form=PrivateFormat.TraditionalOpenSSL)),
    "openssl genrsa": (
        lambda: certificate(rsa_key(2048)), lambda: pem(rsa_key(2048), PrivateFormat.TraditionalOpenSSL),
    ),
    "RSA, PKCS#8": (lambda: certificate(rsa_key(2048)), lambda: pem(rsa_key(2048))),
    "certificate and key in one file": (lambda: certificate() + pem(), lambda: certificate() + pem()),
    "with comments": (lambda: b"subject=Example\n" + certificate(), lambda: b"Bag Attributes\n" + pem()),
    "with Windows' line ends": (
        lambda: certificate().replace(b"\n", b"\r\n"), lambda: pem().replace(b"\n", b"\r\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_a_certificate_and_key_in_any_of_openssl_s_forms_sign(sign: Any, name: str) -> None:
    chain, key = RIGHT[name]
    reader = c2pa.Reader("image/png", io.BytesIO(sign(chain(), key())))
    assert reader.get_validation_state() == "Valid"
    assert reader.get_active_manifest()["signature_info"]["common_name"] == "signer"


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate])
def test_keys_of_other_kinds_sign(sign: Any, make: Callable[[], Any]) -> None:
    key = make()
    reader = c2pa.Reader("image/png", io.BytesIO(sign(certificate(key) + root(), pem(key))))
    assert reader.get_validation_state() == "Valid"


@pytest.mark.parametrize("purpose", [DOCUMENT, C2PA, MICROSOFT], ids=SIGNING_PURPOSES.get)
def test_other_signing_purposes_are_valid_for_a_verifier_that_lists_them(sign: Any, purpose: str) -> None:
    file = io.BytesIO(sign(certificate(purposes=[purpose]) + root(), pem()))
    settings = {"trust": {"trust_config": purpose, "trust_anchors": root().decode()}, "verify": {"verify_trust": True}}
    reader = c2pa.Reader("image/png", file, context=c2pa.Context.from_dict(settings))
    assert reader.get_validation_state() == "Trusted", json.loads(reader.json())["validation_status"]
