"""LoRA, half precision, samplers, compiling and offloading: they work inside the context as outside it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from generator.method.dual_latent import VARIANTS, dual_latent
from tests.generator.method.drawing import VARIANT, XI, X, close, draw, dual, is_stock

pytestmark = pytest.mark.slow


@pytest.fixture
def lora(pipe: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Saves a LoRA of random weights for the pipeline's U-Net and text encoder."""

    def save(name: str) -> Path:
        layers = {}
        for network, targets in {"unet": ".*to_[qkv]", "text_encoder": ".*[qkv]_proj"}.items():
            adapted = deepcopy(getattr(pipe, network))
            adapted.add_adapter(LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
            layers[f"{network}_lora_layers"] = get_peft_model_state_dict(adapted)
        pipe.save_lora_weights(tmp_path / name, **layers)
        return tmp_path / name

    return save


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # with a second adapter
@VARIANT
def test_loras_can_be_loaded_mixed_fused_and_unloaded_inside_the_context(
    pipe: Any, lora: Callable[[str], Path], variant: Any
) -> None:
    one, two = lora("one"), lora("two")
    changes: list[tuple[str, Callable[[Any], Any]]] = [
        ("load", lambda p: p.load_lora_weights(one, adapter_name="one")),
        ("load another", lambda p: p.load_lora_weights(two, adapter_name="two")),
        ("mix", lambda p: p.set_adapters(["one", "two"], [0.5, 0.7])),
        ("disable", lambda p: p.disable_lora()),
        ("enable", lambda p: p.enable_lora()),
        ("fuse", lambda p: p.fuse_lora(lora_scale=0.5)),
        ("unfuse", lambda p: p.unfuse_lora()),
        ("delete", lambda p: p.delete_adapters("two")),
        ("unload", lambda p: p.unload_lora_weights()),
    ]
    outside = deepcopy(pipe)
    drawn = [dual(pipe, variant)]
    with dual_latent(pipe, XI, 0.5, 0.5, variant):
        for name, change in changes:
            change(pipe)
            change(outside)
            drawn.append(draw(pipe))
            assert torch.equal(drawn[-1], dual(outside, variant)), name
    assert is_stock(pipe)
    assert close(drawn[-1], drawn[0])
    assert not any(close(drawn[i], drawn[0]) for i in (1, 2, 3, 5))


@VARIANT
def test_a_fused_lora_keeps_the_stock_pictures(pipe: Any, lora: Callable[[str], Path], variant: Any) -> None:
    plain = draw(pipe)
    pipe.load_lora_weights(lora("one"))
    pipe.fuse_lora()
    assert not close(draw(pipe), plain)
    assert torch.equal(dual(pipe, variant, wxi=0.0), draw(pipe))
    assert torch.equal(dual(pipe, variant, wxi=1.0), draw(pipe, XI))


@VARIANT
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_nothing_in_the_sum(pipe: Any, dtype: torch.dtype, variant: Any) -> None:
    pipe.to(dtype)
    stock = draw(pipe)
    assert stock.dtype == dtype
    for wxi in (0.3, 0.001, 0.999):  # none is a number of that precision
        with dual_latent(pipe, X, wxi, 1.0, variant):
            assert torch.equal(draw(pipe), stock)
    assert torch.equal(dual(pipe, variant, wxi=0.0), stock)
    drawn = dual(pipe, variant)
    assert drawn.isfinite().all()
    assert not torch.equal(drawn, stock)


@pytest.mark.parametrize("family", ["Wan", "Z-Image"])
def test_float32_latents_with_bfloat16_weights_work(tiny_of: Any, family: str) -> None:
    tiny = deepcopy(tiny_of(family))  # families share text encoders
    tiny.pipe.to(torch.bfloat16)
    tiny.pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    stock = draw(tiny.pipe, **tiny.arguments)
    for variant in ["coupled"] if family == "Z-Image" else list(VARIANTS):
        with dual_latent(tiny.pipe, X, 0.3, 1.0, variant):
            assert close(draw(tiny.pipe, **tiny.arguments).float(), stock.float())
        assert torch.equal(dual(tiny.pipe, variant, wxi=0.0, **tiny.arguments), stock)
        assert not torch.equal(dual(tiny.pipe, variant, **tiny.arguments), stock)


MEMORY: dict[str, Callable[[Any], Any]] = {
    "attention slicing": lambda pipe: pipe.enable_attention_slicing(1),
    "FreeU": lambda pipe: pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4),
    "fused projections": lambda pipe: pipe.fuse_qkv_projections(vae=False),
    "channels last": lambda pipe: pipe.unet.to(memory_format=torch.channels_last),
    "offloading by accelerate": lambda pipe: accelerate.cpu_offload(pipe.unet, torch.device("cpu")),
    "offloading the whole network": lambda pipe: accelerate.cpu_offload_with_hook(pipe.unet, torch.device("cpu")),
    "offloading in groups": lambda pipe: pipe.unet.enable_group_offload(
        onload_device=torch.device("cpu"), offload_device=torch.device("cpu"), offload_type="leaf_level"
    ),
    "layerwise casting": lambda pipe: pipe.unet.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32),
}


@pytest.mark.parametrize("name", MEMORY)
def test_options_that_save_memory_or_time_draw_the_sum(pipe: Any, name: str) -> None:
    MEMORY[name](pipe)
    once = {"num_inference_steps": 1}
    expected = (draw(pipe, **once) + draw(pipe, XI, **once)) / 2
    for variant in VARIANTS:
        assert close(dual(pipe, variant, tau_gc=1.0, **once), expected)
        assert torch.equal(dual(pipe, variant, wxi=0.0), draw(pipe))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_compiled_denoiser_draws_the_same(pipe: Any) -> None:
    expected = {variant: dual(pipe, variant) for variant in VARIANTS}
    pipe.unet = torch.compile(pipe.unet)
    with torch.compiler.set_stance("force_eager"):  # compiling takes half a minute
        for variant in VARIANTS:
            assert torch.equal(dual(pipe, variant), expected[variant])


@VARIANT
def test_the_sampler_may_be_replaced_between_calls(pipe: Any, variant: Any) -> None:
    ddim, expected = pipe.scheduler, dual(pipe, variant)
    euler = EulerDiscreteScheduler.from_config(ddim.config)
    with dual_latent(pipe, XI, 0.5, 0.5, variant):
        assert torch.equal(draw(pipe), expected)
        pipe.scheduler = euler
        assert not torch.equal(draw(pipe), expected)
        pipe.scheduler = ddim
        assert torch.equal(draw(pipe), expected)
    assert not any("step" in vars(scheduler) for scheduler in (ddim, euler))
