"""The last look and the content credentials, for pictures of backends that have neither.

The drawing worker does both itself. A backend that takes the safe prompt alone cannot draw again with stronger knobs,
so an unsafe picture is blocked.
"""

from __future__ import annotations

import base64
import io
import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.errors import ApiError
from agent.settings import Settings
from propriety.drawing import DrawRequest, DrawResponse, Parameters

if TYPE_CHECKING:
    from propriety.pictures.detector import Detector
    from propriety.pictures.provenance import Seal

log = logging.getLogger("propriety")


def finish(settings: Settings, request: DrawRequest, drawn: DrawResponse) -> DrawResponse:
    """Look at each picture and sign it; unsafe ones become null. Slow: run it in a thread.

    Raises:
        ApiError: 503 if the extra `pictures` is missing, or the signing files are invalid.
        OSError: an image cannot be read.
    """
    files = [
        _finished(settings, request, image, parameters)
        for image, parameters in zip(drawn.images, drawn.parameters, strict=True)
        if image is not None
    ]
    return DrawResponse(
        images=[file for file, _ in files], parameters=drawn.parameters, notes=[notes for _, notes in files]
    )


def _finished(
    settings: Settings, request: DrawRequest, file: str, parameters: Parameters
) -> tuple[str | None, list[str]]:
    detector, seal = _tools(settings.signing_cert, settings.signing_key)
    from PIL import Image

    from propriety.pictures.detector import THRESHOLD
    from propriety.pictures.provenance import facts

    with Image.open(io.BytesIO(base64.b64decode(file))) as image:
        risk = detector(image, request)
        if risk < THRESHOLD:
            return base64.b64encode(seal.png(image, facts(parameters, request))).decode(), []
    return None, [f"The last look blocked it: unsafe with probability {risk:.2f}."]


@cache
def _tools(certificate: Path | None, key: Path | None) -> tuple[Detector, Seal]:
    try:
        from propriety.pictures.detector import opennsfw
        from propriety.pictures.provenance import Seal
        from propriety.pictures.signer import SigningError
    except ImportError as error:
        message = f"{error}: looking at pictures and signing them needs an extra; `pip install 'propriety[pictures]'`."
        raise ApiError(503, message, "generator_failed") from None
    try:
        return opennsfw(), Seal(certificate, key)
    except (ImportError, SigningError) as error:
        log.error("pictures cannot be looked at and signed: %s", error)
        message = "Pictures cannot be looked at and signed; see the log."
        raise ApiError(503, message, "generator_failed") from None
