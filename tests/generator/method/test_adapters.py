"""LoRA and IP-Adapter: they act on both prompts, as strongly as they should. test_families.py has the identities."""

from typing import Any

import pytest
import torch
from torch import Tensor

from generator.method.dual_latent import dual_latent

STEPS = 6
X, XI = "wine", "some juice"
VARIANTS = ["coupled", "parallel"]


def draw(tiny: Any, prompt: str, **more: Any) -> Tensor:
    """The latents that one call draws."""
    arguments = {"num_inference_steps": STEPS, "output_type": "latent", "return_dict": False} | tiny.arguments | more
    latents: Tensor = tiny.pipe(prompt, generator=torch.Generator().manual_seed(0), **arguments)[0]
    return latents


def dual(tiny: Any, variant: Any = "coupled", wxi: float = 0.5, tau_gc: float = 0.5, **more: Any) -> Tensor:
    with dual_latent(tiny.pipe, XI, wxi, tau_gc, variant):
        return draw(tiny, X, **more)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().mean()))


def quick_first(*names: str) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.all if i else ()) for i, name in enumerate(names)]


@pytest.fixture(params=quick_first("SD 1.x, LoRA", "SDXL, LoRA", "FLUX, LoRA"))
def with_lora(request: pytest.FixtureRequest, tiny_of: Any) -> Any:
    return tiny_of(request.param)


@pytest.fixture(params=quick_first("SD 1.x, IP-Adapter", "SDXL, IP-Adapter", "AnimateDiff, IP-Adapter"))
def with_ip_adapter(request: pytest.FixtureRequest, tiny_of: Any) -> Any:
    return tiny_of(request.param)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lora_has_the_scale_of_the_call(with_lora: Any, variant: Any) -> None:
    name = "joint_attention_kwargs" if hasattr(with_lora.pipe, "transformer") else "cross_attention_kwargs"
    off, half = {name: {"scale": 0.0}}, {name: {"scale": 0.5}}
    assert torch.equal(dual(with_lora, wxi=0.0, variant=variant, **half), draw(with_lora, X, **half))
    assert torch.equal(dual(with_lora, tau_gc=0.0, variant=variant, **half), draw(with_lora, XI, **half))
    whole, halved, without = (dual(with_lora, variant, **scale) for scale in ({}, half, off))
    assert not close(halved, whole)
    assert not close(halved, without)
    with_lora.pipe.unload_lora_weights()
    assert close(dual(with_lora, variant), without)


def test_a_lora_of_the_text_encoder_acts_on_both_prompts(tiny_of: Any) -> None:
    tiny = tiny_of("SD 1.x, LoRA")
    once = {"num_inference_steps": 1}
    tiny.pipe.unet.disable_adapters()
    with_text = dual(tiny, tau_gc=1.0, **once)
    assert close(with_text, 0.5 * draw(tiny, X, **once) + 0.5 * draw(tiny, XI, **once))
    tiny.pipe.text_encoder.disable_adapters()
    assert not close(with_text, dual(tiny, tau_gc=1.0, **once))


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_ip_adapter_s_picture_acts_on_both_prompts(with_ip_adapter: Any, variant: Any) -> None:
    once = {"num_inference_steps": 1}
    both = dual(with_ip_adapter, variant, tau_gc=1.0, **once)
    assert close(both, 0.5 * draw(with_ip_adapter, X, **once) + 0.5 * draw(with_ip_adapter, XI, **once))
    with_ip_adapter.pipe.set_ip_adapter_scale(0.0)
    blind = dual(with_ip_adapter, variant, tau_gc=1.0, **once)
    assert not close(both, blind)
    with_ip_adapter.pipe.unload_ip_adapter()
    del with_ip_adapter.arguments["ip_adapter_image_embeds"]
    assert close(dual(with_ip_adapter, variant, tau_gc=1.0, **once), blind)


@pytest.mark.parametrize("guidance_scale", [4.0, 1.0])
@pytest.mark.parametrize("as_list", [True, False])
def test_an_ip_adapter_s_mask_applies_to_all_rows(tiny_of: Any, as_list: bool, guidance_scale: float) -> None:
    tiny = tiny_of("SD 1.x, IP-Adapter")
    if guidance_scale == 1.0:
        tiny.arguments["ip_adapter_image_embeds"] = [tiny.arguments["ip_adapter_image_embeds"][0][1:]]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16:] = 1
    masked = {"cross_attention_kwargs": {"ip_adapter_masks": [mask] if as_list else mask}}
    once = {"num_inference_steps": 1, "guidance_scale": guidance_scale}
    both = dual(tiny, tau_gc=1.0, **once, **masked)
    assert close(both, 0.5 * draw(tiny, X, **once, **masked) + 0.5 * draw(tiny, XI, **once, **masked))
    assert not close(both, dual(tiny, tau_gc=1.0, **once))
