"""Fields that several routes share: of every request, and of a message."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from agent.api.errors import ApiError
from propriety.verdict import Detector, Strict

MODEL = "propriety"
MODELS: dict[str, Detector | None] = {MODEL: None} | {f"{MODEL}-{detector}": detector for detector in Detector}

LocaleHeader = Annotated[
    str | None,
    Header(alias="Propriety-Locale", description="The locale, for clients that cannot add a field; the field wins."),
]


def _storable(text: str) -> str:
    if "\0" in text:  # which SQLite keeps and PostgreSQL refuses
        raise PydanticCustomError("nul", "Input contains a NUL character; send plain text")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("lone_surrogate", "Input contains a lone surrogate; send valid Unicode")
    return text


# Input that may reach the database has one of these types, or a stricter pattern.
Text = Annotated[str, AfterValidator(_storable)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="An id that this service returned.")]


class Asking(Strict):
    """The fields of every request. `model` chooses the detector; `propriety` leaves it to the policy.

    Strict: neither `"1"` nor `true` counts as the number 1.
    """

    model_config = ConfigDict(strict=True)

    model: str | None = Field(default=MODEL, description=f"One of {', '.join(MODELS)}.")
    locale: Text | None = Field(default=None, description="BCP-47 tag of where the picture will be seen.")
    user: str | None = None
    safety_identifier: str | None = None


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class ImageUrl(Strict):
    url: str
    detail: str | None = None


class ImagePart(Strict):
    """Parsed, so that the error can name it: pictures are not judged yet."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _content_kind(value: Any) -> str:
    if isinstance(value, list):
        return "parts" if any(isinstance(item, dict) for item in value) else "strings"
    return "string"


String = Annotated[Text, Tag("string")]
Strings = Annotated[list[Text], Field(min_length=1, max_length=256), Tag("strings")]
Parts = Annotated[list[Part], Field(min_length=1), Tag("parts")]
Input = Annotated[String | Strings | Parts, Discriminator(_content_kind)]
Content = Annotated[String | Parts, Discriminator(lambda value: "parts" if isinstance(value, list) else "string")]


def text_of(content: str | list[TextPart | ImagePart], param: str) -> str:
    """The text of a message.

    Raises:
        ApiError: 400 if a part is a picture.
    """
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        if isinstance(part, ImagePart):
            message = "Pictures cannot be judged yet; send text parts only."
            raise ApiError(400, message, "unsupported_content", f"{param}[{index}]")
        texts.append(part.text)
    return "\n".join(texts)


def detector_of(model: str | None) -> Detector | None:
    """The detector that a model name stands for; None leaves it to the policy.

    Raises:
        ApiError: 404 if the model does not exist, as OpenAI does.
    """
    if model is None:
        return None
    if model not in MODELS:
        message = f"The model {model!r} does not exist; use one of {', '.join(MODELS)}."
        raise ApiError(404, message, "model_not_found", "model")
    return MODELS[model]
