"""Which tensors of a denoiser's call have a row per sample: the families name them, and any other is refused."""

from collections.abc import Mapping
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, ones

from generator.method.dual_latent import VARIANTS, UnsupportedPipelineError, dual_latent
from generator.method.families import FAMILIES, family_of
from generator.method.rows import append_rows

X, XI = "wine", "some juice"
UNGUIDED, GUIDED = {"guidance_scale": 1.0}, {"guidance_scale": 4.0}


def draw(tiny: Any, prompt: Any, images: int = 1, **more: Any) -> Tensor:
    """The latents that one call draws."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(images)]
    arguments = {"num_inference_steps": 1, "output_type": "latent", "return_dict": False} | tiny.arguments | more
    latents: Tensor = tiny.pipe(prompt, generator=generators, **arguments)[0]
    return latents


def check_sum(tiny: Any, variant: Any = "coupled", **more: Any) -> None:
    """One fused step draws the weighted sum of the stock pipeline's latents."""
    plain, safe = draw(tiny, X, **more), draw(tiny, XI, **more)
    expected = 0.75 * plain + 0.25 * safe
    with dual_latent(tiny.pipe, XI, 0.25, 1.0, variant):
        drawn = draw(tiny, X, **more)
    assert (plain - safe).abs().max() > 1e-4 * expected.abs().mean()
    assert (drawn - expected).abs().max() < 1e-5 * expected.abs().mean()


# Tensors that happen to have as many rows as the call, or not: as an argument of the caller's own attention processor.
UNKNOWN: list[tuple[Any, int, dict[str, Any], str]] = [
    ({"bias": ones(1)}, 1, UNGUIDED, "bias"),
    ({"table": ones(1, 4)}, 1, UNGUIDED, "table"),
    ({"style": ones(1, 1, 16)}, 1, UNGUIDED, "style"),
    ({"region": ones(1, 1, 8, 8)}, 1, UNGUIDED, "region"),
    ({"words": [ones(1, 4)]}, 1, UNGUIDED, "words"),
    ({"layers": (ones(1, 2), ones(1, 3))}, 1, UNGUIDED, "layers"),
    ({"gligen": {"boxes": ones(1, 30, 4)}}, 1, UNGUIDED, "gligen.boxes"),
    ({"half": ones(1, 4).half(), "scale": 0.5}, 1, UNGUIDED, "half"),
    ({"which": ones(1, dtype=torch.bool)}, 1, {"guidance_scale": 0.0}, "which"),
    ({"pair": ones(2, 4)}, 2, UNGUIDED, "pair"),
    ({"both": ones(2, 4)}, 1, GUIDED, "both"),
    ({"one": ones(1, 4)}, 1, GUIDED, "one"),
    ({"four": ones(4, 4)}, 2, GUIDED, "four"),
    ({"many": ones(77, 16)}, 1, GUIDED, "many"),
]


@pytest.mark.parametrize(("given", "images", "options", "name"), UNKNOWN, ids=[case[-1] for case in UNKNOWN])
def test_a_tensor_that_the_family_does_not_name_is_refused_by_its_name(
    pipe: Any, given: Any, images: int, options: dict[str, Any], name: str
) -> None:
    tiny = SimpleNamespace(pipe=pipe, arguments=options)
    for variant in VARIANTS:
        with (
            dual_latent(pipe, XI, 0.5, 1.0, variant),
            pytest.raises(UnsupportedPipelineError, match=rf"got the tensor cross_attention_kwargs\.{name} of shape"),
        ):
            draw(tiny, [X] * images, images, cross_attention_kwargs=given)


ATTENTION_KWARGS = {
    "SDXL": "cross_attention_kwargs",
    "AnimateDiff": "cross_attention_kwargs",
    "SD ControlNet": "cross_attention_kwargs",
    "SD 3": "joint_attention_kwargs",
    "FLUX": "joint_attention_kwargs",
    "Z-Image": "joint_attention_kwargs",
    "Qwen-Image": "attention_kwargs",
    "Sana": "attention_kwargs",
    "Wan": "attention_kwargs",
}


@pytest.mark.parametrize("family", [pytest.param(name, marks=pytest.mark.all) for name in ATTENTION_KWARGS])
def test_every_family_refuses_a_tensor_of_the_caller_s_own_attention(tiny_of: Any, family: str) -> None:
    tiny, name = tiny_of(family), ATTENTION_KWARGS[family]
    with (
        dual_latent(tiny.pipe, XI, 0.5, 1.0),
        pytest.raises(UnsupportedPipelineError, match=rf"got the tensor {name}\.bias of shape"),
    ):
        draw(tiny, X, **UNGUIDED, **{name: {"bias": ones(1, 4)}})


def test_every_tensor_that_a_denoiser_takes_is_named_or_refused(tiny: Any) -> None:
    family, rows = family_of(tiny.pipe), torch.tensor([0])
    for network in (*family.conditioners, *family.denoisers):
        if getattr(tiny.pipe, network) is None:
            continue
        for name in signature(getattr(tiny.pipe, network).forward).parameters:
            arguments = {name: ones(1, 2)}
            if (name,) in family.rows:
                assert len(append_rows(arguments, rows, 1, family)[name]) == 2
            elif (name,) in (*family.shared, *family.conditions, *family.row_lists):
                assert (name,) in family.row_lists or append_rows(arguments, rows, 1, family) == arguments
            else:
                with pytest.raises(UnsupportedPipelineError, match=f"the tensor {name} of shape"):
                    append_rows(arguments, rows, 1, family)


def test_numbers_names_and_shared_tensors_stay_as_they_are() -> None:
    family, rows = FAMILIES["StableDiffusionPipeline"], torch.tensor([1])
    arguments = {
        "timestep": torch.tensor(7),
        "timestep_cond": None,
        "cross_attention_kwargs": {"scale": 0.5, "ip_adapter_masks": [ones(2, 1, 8, 8)], "name": "a", "at": (1, 2)},
        "return_dict": False,
    }
    appended = append_rows(arguments, rows, 2, family)
    assert appended == arguments
    assert appended["cross_attention_kwargs"] is not arguments["cross_attention_kwargs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": ones(3, 4)}, "sample of shape (3, 4); it should have 2 rows"),
        ({"sample": ones(2, 4), "timestep": ones(1)}, "timestep of shape (1,)"),
        ({"added_cond_kwargs": {"image_embeds": [ones(2, 1), ones(1, 1)]}}, "added_cond_kwargs.image_embeds"),
    ],
)
def test_a_tensor_of_rows_with_other_rows_is_refused(arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedPipelineError) as refused:
        append_rows(arguments, torch.tensor([1]), 2, FAMILIES["StableDiffusionPipeline"])
    assert message in str(refused.value)


@pytest.mark.parametrize("variant", ["coupled", "parallel"])
def test_shared_positions_stay_shared_if_the_picture_has_one_token(tiny_of: Any, variant: Any) -> None:
    check_sum(tiny_of("FLUX"), variant, height=16, width=16)


@pytest.mark.parametrize("variant", ["coupled", "parallel"])
@pytest.mark.parametrize("options", [UNGUIDED, GUIDED], ids=["unguided", "guided"])
def test_a_controlnet_s_residuals_have_the_original_s_rows(tiny_of: Any, options: dict[str, Any], variant: Any) -> None:
    check_sum(tiny_of("SD ControlNet"), variant, **options)


@pytest.mark.all
@pytest.mark.parametrize("variant", ["coupled", "parallel"])
@pytest.mark.parametrize("options", [UNGUIDED, GUIDED], ids=["unguided", "guided"])
@pytest.mark.parametrize("family", ["SD, two ControlNets", "SD, guidance embedded", "SDXL, guidance embedded"])
def test_rarer_tensors_have_a_row_per_sample(tiny_of: Any, family: str, options: dict[str, Any], variant: Any) -> None:
    check_sum(tiny_of(family), variant, **options)


@pytest.mark.all
@pytest.mark.parametrize("variant", ["coupled", "parallel"])
def test_pixart_s_size_has_a_row_per_sample(tiny_of: Any, variant: Any) -> None:
    tiny = tiny_of("PixArt α, size embedded")
    tiny.pipe.scheduler = DDIMScheduler(clip_sample=False)  # after one step, the prediction is drawn
    check_sum(tiny, variant)
