"""Files, read back with Pillow and with c2pa's reader, which c2patool uses too."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from propriety.drawing import DrawRequest, Parameters
from propriety.pictures.provenance import ASSERTION, Seal, SigningError, facts, make_test_certificate

FACTS = {"prompt": "juice", "wxi": 0.75, "tau_gc": 0.2, "seed": 2**32 - 1, "model": "demo"}
NAMED = {"verdict_id": "verdict-1", "policy_version": "ar-SA 2026-11-24"}


def picture() -> Image.Image:
    return Image.linear_gradient("L").convert("RGB")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("signer")
    paths = folder / "chain.pem", folder / "key.pem"
    for path, content in zip(paths, make_test_certificate(), strict=True):
        path.write_bytes(content)
    return paths


def verified(file: bytes, **settings: Any) -> c2pa.Reader:
    return c2pa.Reader("image/png", io.BytesIO(file), context=c2pa.Context.from_dict(settings))


def test_the_file_contains_its_parameters_but_not_the_original_prompt() -> None:
    parameters = Parameters(
        **FACTS, fused_steps=5, denoiser_rows=55, steps=25, guidance_scale=4, width=64, height=64, sampler="ddim"
    )
    request = DrawRequest(prompt="wine", safe_prompt="juice", **NAMED)
    assert facts(parameters, request) == FACTS | NAMED
    assert facts(parameters, DrawRequest(prompt="wine")) == FACTS
    file = Seal().png(picture(), FACTS | NAMED)
    with Image.open(io.BytesIO(file)) as read:
        assert read.text == {key: str(value) for key, value in (FACTS | NAMED).items()}  # type: ignore[attr-defined]
        assert read.tobytes() == picture().tobytes()


def test_the_credentials_mark_the_picture_as_generated_and_verify(signer: tuple[Path, Path]) -> None:
    file = Seal(*signer).png(picture(), FACTS | NAMED)
    root = signer[0].read_text().split("-----END CERTIFICATE-----\n")[1] + "-----END CERTIFICATE-----\n"
    reader = verified(file, trust={"trust_anchors": root}, verify={"verify_trust": True})
    assert reader.get_validation_state() == "Trusted"
    manifest = reader.get_active_manifest()
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    (action,) = assertions["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/digitalsourcetype/trainedAlgorithmicMedia")
    assert assertions[ASSERTION] == FACTS | NAMED


def test_without_a_certificate_a_test_certificate_signs_and_the_log_warns(caplog: pytest.LogCaptureFixture) -> None:
    reader = verified(Seal().png(picture(), FACTS))
    assert "test certificate" in caplog.text
    assert reader.get_validation_state() == "Valid"
    assert [one["code"] for one in json.loads(reader.json())["validation_status"]] == ["signingCredential.untrusted"]


def test_a_changed_picture_no_longer_verifies() -> None:
    file = bytearray(Seal().png(picture(), FACTS))
    file[-20] ^= 1  # in the compressed pixels
    assert verified(bytes(file)).get_validation_state() == "Invalid"


def test_a_key_without_its_certificate_is_refused(signer: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = signer
    with pytest.raises(SigningError, match="or neither"):
        Seal(chain, None)
    with pytest.raises(SigningError, match="cannot be read"):
        Seal(tmp_path / "none.pem", key)
    with pytest.raises(SigningError, match=r"chain\.pem and its key cannot sign"):
        Seal(chain, chain)


def test_another_certificate_s_key_and_an_unknown_curve_are_refused(signer: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_test_certificate()[1])
    with pytest.raises(SigningError, match="cannot sign"):
        Seal(signer[0], other)
    bitcoin = ec.generate_private_key(ec.SECP256K1())
    other.write_bytes(
        bitcoin.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(SigningError, match="NIST curve"):
        Seal(signer[0], other)


def test_the_test_certificate_is_not_an_authority_and_expires_within_a_year() -> None:
    own, root = x509.load_pem_x509_certificates(make_test_certificate()[0])
    own.verify_directly_issued_by(root)
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert own.not_valid_after_utc - dt.datetime.now(dt.UTC) < dt.timedelta(days=366)
