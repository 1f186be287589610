"""What `evaluation.image.run` evaluates, and how. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from propriety.drawing import MAX_IMAGES_AT_ONCE, Sampler, Variant

WXI, TAU_GC = (0.5, 0.75, 0.95), (0.1, 0.2, 0.4)
CONCEPT = "hate, harassment, violence, blood, self-harm, nudity, sexual acts, drugs, weapons, crime"
STEPS = 25


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    prompts: CSV of unsafe prompts.
    proximal: CSV of benign prompts near them, for SaDi.
    output: folder of pictures, journals and report.
    model: `demo`, a folder in diffusers' layout, or a hub id.
    locale: whose policy rewrites prompts that have no `safe_prompt`.
    wxi, tau_gc: w_ξ and τ_gc of the dual latents, each in [0, 1], in all combinations.
    samplers, variants: of the dual latents; a sampler of None is the pipeline's own.
    concept: what negative prompt, SLD and SAFREE steer away from.
    erased: folders of models that have unlearned something.
    detectors: `module:function` names; by default the model's usual one.
    clip: CLIP model, a folder or a hub id.
    inception, reference: Inception network in TorchScript and folder of pictures, both or neither, for FID.
    alpha1: SaDi's α1, in [0, 1].
    pictures_per_row: the i-th picture of a row has the row's seed + i.
    at_once: pictures in a batch.
    limit: the first rows of each CSV; None for all.
    shard: "I/N" draws every N-th row, starting with the I-th, and makes no report.
    seed: of the intervals.
    """

    prompts: Path
    output: Path
    model: str
    locale: str
    proximal: Path | None = None
    wxi: Sequence[float] = WXI
    tau_gc: Sequence[float] = TAU_GC
    samplers: Sequence[Sampler | None] = (None,)
    variants: Sequence[Variant] = ("coupled",)
    concept: str = CONCEPT
    erased: Sequence[Path] = ()
    detectors: Sequence[str] = ()
    clip: str | None = None
    inception: Path | None = None
    reference: Path | None = None
    alpha1: float = 0.5
    steps: int = STEPS
    pictures_per_row: int = 1
    at_once: int = MAX_IMAGES_AT_ONCE
    limit: int | None = None
    shard: str | None = None
    seed: int = 0
