"""Fields that several routes share: of every request, and of a message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from agent.api.errors import ApiError
from propriety.verdict import ChatMessage, Detector

MODEL = "propriety"
MODELS: dict[str, Detector | None] = {MODEL: None} | {f"{MODEL}-{detector}": detector for detector in Detector}

# OpenAI's own models begin so. They mean `propriety`, so that a program written for OpenAI runs unchanged.
OPENAI_MODERATION = ("omni-moderation-", "text-moderation-")
OPENAI_IMAGES = ("gpt-image-", "chatgpt-image-", "dall-e-")

# In the OpenAPI document, for routes that can stream.
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

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
Key = Annotated[Text, Field(max_length=64)]
Value = Annotated[Text, Field(max_length=512)]
Metadata = Annotated[dict[Key, Value], Field(max_length=16, fail_fast=True)]


class FromOpenAI(BaseModel):
    """OpenAI's format: fields that this service does not use are ignored, because clients send new ones at any time.

    Strict: neither `"1"` nor `true` counts as the number 1.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


# The decision depends on these. A misspelt one is refused: ignoring it would judge by another place, or less of a chat.
DECISIVE = ("locale", "conversation_id", "conversation", "previous_response_id")
MAX_UNUSED_FIELDS = 100  # are checked for misspellings


class Asking(FromOpenAI):
    """The fields of every request. `model` chooses the detector; `propriety` leaves it to the policy."""

    model: Text | None = Field(default=MODEL, description=f"One of {', '.join(MODELS)}.")
    locale: Text | None = Field(default=None, description="BCP-47 tag of where the picture will be seen.")
    user: str | None = None
    safety_identifier: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_decisive_field_is_misspelt(cls, body: Any) -> Any:
        if isinstance(body, dict):
            unused = (name for name in body if name not in cls.model_fields)
            for name in islice(unused, MAX_UNUSED_FIELDS):
                if meant := _decisive(name):
                    use = f"use {meant!r}" if meant in cls.model_fields else "remove it"
                    message = f"{name}: this route does not have the field, and the decision could depend on it; {use}."
                    raise ApiError(400, message, "unknown_field", name)
        return body


def _decisive(name: str) -> str | None:
    """The decisive field that a name is, or may be meant for: `Locale`, `locales`, `conversationId`."""
    plain = "".join(filter(str.isalnum, name[:64].lower()))
    names = {field.replace("_", ""): field for field in DECISIVE}
    found = [part for part in names if part in plain] or get_close_matches(plain, names, 1, 0.8)
    return names[found[0]] if found else None


class TextPart(FromOpenAI):
    type: Literal["text", "input_text", "output_text"]
    text: Text


class RefusalPart(FromOpenAI):
    """Why an assistant refused."""

    type: Literal["refusal"]
    refusal: Text


class OtherPart(FromOpenAI):
    """A picture, a sound or a file. Parsed, so that the error can name it: only text is judged."""

    type: Annotated[str, Field(max_length=64)]


def _part_kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if not isinstance(kind, str):
        return None
    return "text" if kind in ("text", "input_text", "output_text") else "refusal" if kind == "refusal" else "other"


Part = Annotated[
    Annotated[TextPart, Tag("text")] | Annotated[RefusalPart, Tag("refusal")] | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_kind),
]


def _content_kind(value: Any) -> str:
    if isinstance(value, list):
        return "parts" if any(isinstance(item, dict) for item in value) else "strings"
    return "string"


# Lists and maps fail at their first invalid item: pydantic would collect the errors of half a million, which takes
# seconds and a gigabyte, and only the first is reported.
String = Annotated[Text, Tag("string")]
Strings = Annotated[list[Text], Field(min_length=1, max_length=256, fail_fast=True), Tag("strings")]
Parts = Annotated[list[Part], Field(min_length=1, fail_fast=True), Tag("parts")]
Input = Annotated[String | Strings | Parts, Discriminator(_content_kind)]
Content = Annotated[String | Parts, Discriminator(lambda value: "parts" if isinstance(value, list) else "string")]


def text_of(content: str | Sequence[TextPart | RefusalPart | OtherPart], param: str) -> str:
    """The text of a message.

    Raises:
        ApiError: 400 if a part is not text.
    """
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        if isinstance(part, OtherPart):
            message = f"Only text can be judged, not a part of type {part.type!r}; send text parts only."
            raise ApiError(400, message, "unsupported_content", f"{param}[{index}]")
        texts.append(part.text if isinstance(part, TextPart) else part.refusal)
    return "\n".join(texts)


class Message(FromOpenAI):
    """One message of a chat. An assistant's may be a response of this service, sent back as it was returned."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = Field(default=None, description="May be null in an assistant's or a tool's message.")
    refusal: Text | None = None


def turns(messages: Iterable[tuple[str, Message]]) -> list[ChatMessage]:
    """The turns of a chat. Each message comes with the name of its content for errors, such as `messages[0].content`.

    A tool's text is judged and drawn as part of the user's turn before it. An assistant's message without text, which
    only calls tools, is left out.

    Raises:
        ApiError: 400 if a part is not text, or a message that needs content has none.
    """
    said: list[ChatMessage] = []
    for param, message in messages:
        text = text_of(message.content or "", param) or message.refusal or ""
        if message.role == "tool" or message.role == "function":
            said = _with_tool_text(said, text)
        elif message.role == "assistant":
            said += [ChatMessage(role="assistant", content=text)] if text else []
        elif message.content is None:
            raise ApiError(400, f"{param}: Field required.", "missing", param)
        else:
            said.append(ChatMessage(role=message.role, content=text))
    return said


def _with_tool_text(said: list[ChatMessage], text: str) -> list[ChatMessage]:
    last = next((index for index in reversed(range(len(said))) if said[index].role == "user"), None)
    if last is None:
        return [*said, ChatMessage(role="user", content=text)]
    merged = ChatMessage(role="user", content=f"{said[last].content}\n{text}")
    return [*said[:last], *said[last + 1 :], merged]


def refuse_unsupported(fields: Mapping[str, Any], reason: str) -> None:
    """Refuse fields that ask for what this service cannot do, all in one sentence; null and false ask for nothing.

    Raises:
        ApiError: 400 if there are any; `reason` says what the service does instead.
    """
    named = [name for name, value in fields.items() if value]
    if named:
        *others, last = named
        message = f"Remove {', '.join(others)}{' and ' * bool(others)}{last}: {reason}."
        raise ApiError(400, message, "unsupported_parameter", named[0])


def detector_of(model: str | None, openai_names: tuple[str, ...] = ()) -> Detector | None:
    """The detector that a model name stands for; None leaves it to the policy, as do names that begin as OpenAI's do.

    Raises:
        ApiError: 404 if the model does not exist, as OpenAI does.
    """
    if model is None or model.startswith(openai_names):
        return None
    if model not in MODELS:
        message = f"The model {model!r} does not exist; use one of {', '.join(MODELS)}."
        raise ApiError(404, message, "model_not_found", "model")
    return MODELS[model]
