"""`GET /v1/models`: the names that requests may send as `model`, in OpenAI's shape."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from agent.api.access import Anyone
from agent.api.errors import ApiError
from agent.api.fields import MODELS, OPENAI_IMAGES, OPENAI_MODERATION
from propriety.verdict import Strict

router = APIRouter()

CREATED = 1_767_225_600  # 2026-01-01, Unix seconds: the names are part of version 0.1


class Model(Strict):
    """OpenAI's model object."""

    id: str
    object: Literal["model"] = "model"
    created: int = CREATED
    owned_by: Literal["propriety"] = "propriety"


class ModelList(Strict):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models")
async def models(caller: Anyone) -> ModelList:
    """`propriety`, which judges as the policy says, and the names that choose a detector."""
    return ModelList(data=[Model(id=name) for name in MODELS])


@router.get("/v1/models/{model}")
async def model(caller: Anyone, model: str) -> Model:
    """One of them, or a name of OpenAI's that means `propriety`."""
    if model not in MODELS and not model.startswith((*OPENAI_MODERATION, *OPENAI_IMAGES)):
        message = f"The model {model[:64]!r} does not exist; use one of {', '.join(MODELS)}."
        raise ApiError(404, message, "model_not_found", "model")
    return Model(id=model)
