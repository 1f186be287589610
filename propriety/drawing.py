"""The drawing contract: what a generator is asked to draw, and what it returns.

The agent sends a `DrawRequest` to the drawing worker's `POST /v1/draw` and reads a `DrawResponse` or a `WorkerFault`.
Both halves import these models, so that they cannot drift apart.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from propriety.verdict import Knobs, Probability, Strict, Verdict

MAX_IMAGES = 16  # in one call
MAX_IMAGES_AT_ONCE = 8  # in one batch of the denoiser
MAX_REDRAWS = 2
MAX_SEED = 2**32 - 1

Sampler = Literal["ddim", "euler", "dpm++"]
Variant = Literal["coupled", "parallel"]


class CannotDrawError(ValueError):
    """The request is valid, but this model cannot draw it; `param` is the field that is in the way."""

    def __init__(self, message: str, param: str = "width") -> None:
        super().__init__(message)
        self.param = param


def _readable(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in text):
        raise ValueError("contains control characters; remove them")
    return text


Prompt = Annotated[str, Field(max_length=10_000), AfterValidator(_readable)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_readable)]
Side = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]


class DrawRequest(Strict):
    """One prompt to draw, n times. Without a safe prompt, or with wxi = 0, the plain pipeline draws it.

    A safe prompt without `wxi` and `tau_gc` is drawn alone: a missing number never lets the original through.
    """

    prompt: Prompt
    safe_prompt: Prompt | None = None
    wxi: Probability = Field(default=1.0, description="w_ξ, weight of the safe prompt while both are drawn.")
    tau_gc: Probability = Field(default=0.0, description="τ_gc, fraction of the steps in which both are drawn.")
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="Of the first image; the i-th has seed + i.")
    steps: int = Field(default=25, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=1, le=30, description="1: unguided; null: the model's own.")
    width: Side | None = Field(default=None, description="Pixels; null: the model's own.")
    height: Side | None = Field(default=None, description="Pixels; null: the model's own.")
    sampler: Sampler | None = Field(default=None, description="null: DDIM; a flow-matching model uses its own.")
    n: int = Field(default=1, ge=1, le=MAX_IMAGES, description="Images.")
    stronger: list[Knobs] = Field(
        default=[],
        max_length=MAX_REDRAWS,
        description="Knobs to draw with again, in turn, while the last look finds the picture unsafe.",
    )
    verdict_id: Label | None = Field(default=None, description="Of the verdict, for the file's metadata.")
    policy_version: Label | None = Field(default=None, description="Of the policy, for the file's metadata.")

    @classmethod
    def for_verdict(cls, verdict: Verdict, **how: Any) -> Self:
        """What the verdict lets be drawn, with the other fields in `how`.

        Raises:
            ValidationError: a field of `how` is out of range, or the prompt cannot be drawn.
        """
        return cls.model_validate(verdict.for_the_generator() | how)

    @model_validator(mode="after")
    def _weight_needs_a_safe_prompt(self) -> Self:
        if self.safe_prompt is None and "wxi" in self.model_fields_set and self.wxi > 0:
            raise ValueError(f"wxi is {self.wxi} but safe_prompt is missing; give both, or wxi = 0 to draw the prompt")
        return self

    @model_validator(mode="after")
    def _stronger_needs_a_safe_prompt(self) -> Self:
        if self.stronger and self.safe_prompt is None:
            raise ValueError("stronger is given but safe_prompt is missing; give both")
        return self

    @model_validator(mode="after")
    def _the_last_image_has_a_seed(self) -> Self:
        if self.seed is not None and self.seed + self.n - 1 > MAX_SEED:
            raise ValueError(f"seed is {self.seed} for {self.n} images; seed + n - 1 must be below 2**32")
        return self

    @property
    def final_prompt(self) -> str:
        """What the finished picture shows: the safe prompt, or the prompt if there is no safe one."""
        return self.prompt if self.safe_prompt is None else self.safe_prompt

    @property
    def knobs(self) -> tuple[float, float]:
        """(w_ξ, τ_gc) as they act."""
        return (0.0, 0.0) if self.safe_prompt is None or self.wxi == 0 else (self.wxi, self.tau_gc)


class DrawBatch(Strict):
    """Several requests; those with the same size, sampler, guidance and number of steps share a batch."""

    requests: list[DrawRequest] = Field(min_length=1, max_length=MAX_IMAGES)

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if (count := sum(request.n for request in self.requests)) > MAX_IMAGES:
            raise ValueError(f"{count} images in one call; the limit is {MAX_IMAGES}")
        return self


class Parameters(Strict):
    """How one picture was really drawn; null is what a backend does not report."""

    prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")
    wxi: Probability = Field(description="w_ξ, weight of the safe branch while both are drawn.")
    tau_gc: Probability = Field(description="τ_gc, fraction of the steps in which both are drawn.")
    fused_steps: int = Field(ge=0, description="k, the steps in which the original prompt took part.")
    denoiser_rows: int | None = Field(
        ge=0, description="Rows of the denoiser's batch that this picture took, over all steps: its cost."
    )
    seed: int | None = Field(ge=0, description="Draws the same picture again, as a request's `seed`.")
    steps: int | None = Field(ge=1, description="Steps of the sampler.")
    guidance_scale: float | None = Field(description="Weight of classifier-free guidance; 1 is unguided.")
    width: int = Field(ge=1, description="Pixels.")
    height: int = Field(ge=1, description="Pixels.")
    sampler: str | None = Field(
        description="`ddim`, `euler` or `dpm++`; `own` for a flow-matching model; or another backend's name for it."
    )
    model: str = Field(description="The model that drew.")


class DrawResponse(Strict):
    """Image, parameters and notes of the same index belong together; requests in their order, each n times."""

    images: list[str | None] = Field(description="Base64 PNGs; null where the last look blocked the picture.")
    parameters: list[Parameters]
    notes: list[list[str]] = Field(
        description="What a person should know: words the model does not read, a picture blanked, redrawn or blocked."
    )


class Fault(Strict):
    """Why the worker did not draw; `param` is the field that it refuses."""

    message: str
    param: str | None
    type: str


class WorkerFault(Strict):
    """The body of every response of the worker that is not a success."""

    error: Fault


class Health(Strict):
    """The body of the worker's `GET /healthz`."""

    model: str
    loaded: bool
    size: tuple[int, int] | None = Field(description="The model's own width and height; null while it loads.")
    error: str | None = None
