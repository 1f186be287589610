"""What the drawing worker takes and answers. Needs no torch."""

import unicodedata
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_IMAGES = 16
IMAGES_AT_ONCE = 8

MAX_REDRAWINGS = 2

Sampler = Literal["ddim", "euler", "dpm++"]
Variant = Literal["coupled", "parallel"]


class CannotDrawError(ValueError):
    """The request is well-formed, but this model cannot draw it, because of `param`."""

    def __init__(self, message: str, param: str = "width") -> None:
        super().__init__(message)
        self.param = param


def _readable(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in text):
        raise ValueError("holds control characters; leave them out")
    return text


Prompt = Annotated[str, Field(max_length=10_000), AfterValidator(_readable)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_readable)]
Side = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Knobs(Strict):
    """How strongly the safe prompt acts."""

    wxi: float = Field(ge=0, le=1, description="w_ξ.")
    tau_gc: float = Field(ge=0, le=1, description="τ_gc.")


class DrawRequest(Strict):
    """One prompt to draw, n times. Without a safe prompt, or with wxi = 0, it is drawn as the plain pipeline does.

    A safe prompt without `wxi` and `tau_gc` is drawn alone: leaving a number out never lets the original through.
    """

    prompt: Prompt
    safe_prompt: Prompt | None = None
    wxi: float = Field(default=1.0, ge=0, le=1, description="w_ξ, weight of the safe prompt while both are drawn.")
    tau_gc: float = Field(default=0.0, ge=0, le=1, description="τ_gc, fraction of the steps in which both are drawn.")
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="Of the first image; the i-th takes seed + i.")
    steps: int = Field(default=25, ge=1, le=150)
    guidance_scale: float | None = Field(default=None, ge=1, le=30, description="1: unguided; null: the model's own.")
    width: Side | None = Field(default=None, description="Pixels; null: the model's own.")
    height: Side | None = Field(default=None, description="Pixels; null: the model's own.")
    sampler: Sampler | None = Field(default=None, description="null: DDIM; a model that matches flows takes its own.")
    n: int = Field(default=1, ge=1, le=MAX_IMAGES, description="Images.")
    stronger: list[Knobs] = Field(
        default=[],
        max_length=MAX_REDRAWINGS,
        description="With which to draw again, in turn, where the last look finds the picture unsafe.",
    )
    verdict_id: Label | None = Field(default=None, description="Of the verdict, for the file's metadata.")
    policy_version: Label | None = Field(default=None, description="Of the policy, for the file's metadata.")

    @model_validator(mode="after")
    def _weight_needs_a_safe_prompt(self) -> Self:
        if self.safe_prompt is None and "wxi" in self.model_fields_set and self.wxi > 0:
            raise ValueError(f"wxi is {self.wxi} but safe_prompt is missing; give both, or wxi = 0 to draw the prompt")
        return self

    @model_validator(mode="after")
    def _stronger_needs_a_safe_prompt(self) -> Self:
        if self.stronger and self.safe_prompt is None:
            raise ValueError("stronger is given but safe_prompt is missing; without one there is nothing to strengthen")
        return self

    @model_validator(mode="after")
    def _the_last_image_has_a_seed(self) -> Self:
        if self.seed is not None and self.seed + self.n > 2**32:
            raise ValueError(f"seed is {self.seed} for {self.n} images; the last one's, seed + n - 1, is below 2**32")
        return self

    @property
    def knobs(self) -> tuple[float, float]:
        """(w_ξ, τ_gc) as they act."""
        return (0.0, 0.0) if self.safe_prompt is None or self.wxi == 0 else (self.wxi, self.tau_gc)


class DrawBatch(Strict):
    """Several requests; those of one size, sampler, guidance and number of steps share a batch."""

    requests: list[DrawRequest] = Field(min_length=1, max_length=MAX_IMAGES)

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if (count := sum(request.n for request in self.requests)) > MAX_IMAGES:
            raise ValueError(f"{count} images in one call; at most {MAX_IMAGES}")
        return self


class Parameters(Strict):
    """How one image was really drawn."""

    prompt: str = Field(description="What the picture shows: the safe prompt, where one was drawn.")
    wxi: float
    tau_gc: float
    fused_steps: int = Field(description="k, the steps in which the original prompt took part.")
    denoiser_rows: int = Field(description="Rows of the denoiser's batch that this image took, over all steps.")
    seed: int
    steps: int
    guidance_scale: float
    width: int
    height: int
    sampler: Sampler | Literal["own"]
    model: str


class DrawResponse(Strict):
    """Image, parameters and notes of the same index belong together; requests in their order, each n times."""

    images: list[str | None] = Field(description="Base64 PNGs; null where the last look blocked the picture.")
    parameters: list[Parameters]
    notes: list[list[str]] = Field(
        description="What a person should know: words not read, a picture blanked, drawn again, or blocked."
    )


class Health(Strict):
    model: str
    loaded: bool
    size: tuple[int, int] | None = Field(description="The model's own width and height; null while it loads.")
    error: str | None = None
