"""A real pipeline of every family that dual latents support, tiny and untrained."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import pytest
import torch
from diffusers.models.embeddings import ImageProjection
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    T5Config,
    T5EncoderModel,
)

from tests.one_thread import one_thread as one_thread

TOKENS = 24
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]


def clip_tokenizer() -> CLIPTokenizer:
    pieces = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *[letter + "</w>" for letter in LETTERS]]
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], model_max_length=TOKENS)


def letter_tokenizer() -> PreTrainedTokenizerFast:
    """One token per letter, without padding to a fixed length."""
    pieces = ["<pad>", "<unk>", *LETTERS, " ", "<", "|", ">", "_", "\n"]
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    chat = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=512, chat_template=chat
    )


@cache
def clip(pooled: bool = False) -> Any:
    config = CLIPTextConfig(
        vocab_size=54, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=TOKENS, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=16,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if pooled else CLIPTextModel)(config).eval()


@cache
def t5() -> Any:
    config = T5Config(vocab_size=36, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval()


@cache
def qwen() -> Any:
    config = Qwen2Config(
        vocab_size=36, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    return Qwen2Model(config).eval()


def vae() -> Any:
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4, 4, 4, 4), decoder_block_out_channels=(4, 4, 4, 4), latent_channels=4,
        num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1),
    ).eval()  # fmt: skip


UNET: dict[str, Any] = {
    "in_channels": 4, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "cross_attention_dim": 16, "attention_head_dim": 2,
}  # fmt: skip
UP = {"sample_size": 4, "out_channels": 4, "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
XL: dict[str, Any] = {
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 16 + 48,
    "cross_attention_dim": 32, "transformer_layers_per_block": 1,
}  # fmt: skip
DDIM: dict[str, Any] = {"clip_sample": False, "steps_offset": 1}


@dataclass
class Tiny:
    """A pipeline, the arguments of its calls, and what a call with 6 steps does."""

    pipe: Any
    arguments: dict[str, Any] = field(default_factory=lambda: {"guidance_scale": 4.0})
    rows: int = 2  # per image and step
    networks: tuple[str, ...] = ("unet",)
    calls_of_networks: int = 1  # per step, of all networks
    pictures: tuple[str, ...] = ()  # arguments with one picture per prompt
    steps: int = 6  # that run, of the 6
    images_per_prompt: str = "num_images_per_prompt"  # the argument's name


def picture() -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def half() -> torch.Tensor:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16:] = 1
    return mask


def stable_diffusion(name: str = "", prediction_type: str = "epsilon", unet: Any = (), **more: Any) -> Any:
    return getattr(diffusers, f"StableDiffusion{name}Pipeline")(
        vae=vae(), text_encoder=deepcopy(clip()), tokenizer=clip_tokenizer(), safety_checker=None,
        unet=diffusers.UNet2DConditionModel(**UNET | UP | dict(unet)).eval(), requires_safety_checker=False,
        feature_extractor=None,
        scheduler=diffusers.DDIMScheduler(prediction_type=prediction_type, **DDIM), **more,
    )  # fmt: skip


def stable_diffusion_xl(name: str = "", unet: Any = (), **more: Any) -> Any:
    return getattr(diffusers, f"StableDiffusionXL{name}Pipeline")(
        vae=vae(), text_encoder=clip(), tokenizer=clip_tokenizer(), text_encoder_2=clip(pooled=True),
        tokenizer_2=clip_tokenizer(), unet=diffusers.UNet2DConditionModel(**UNET | UP | XL | dict(unet)).eval(),
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="leading"), add_watermarker=False, **more,
    )  # fmt: skip


def controlnet(**more: Any) -> Any:
    net = diffusers.ControlNetModel(**UNET | more, conditioning_embedding_out_channels=(8, 8, 8, 8))
    for projection in [*net.controlnet_down_blocks, net.controlnet_mid_block]:
        torch.nn.init.normal_(projection.weight)
    return net.eval()


def guided(**more: Any) -> dict[str, Any]:
    return {"guidance_scale": 4.0} | more


def img2img() -> dict[str, Any]:
    return guided(image=picture(), strength=0.75)


def inpaint() -> dict[str, Any]:
    return guided(image=picture(), mask_image=half(), strength=1.0, height=32, width=32)


def animate_diff() -> Any:
    adapter = diffusers.MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=4, motion_num_attention_heads=2
    )
    unet = diffusers.UNet2DConditionModel(**UNET | UP)
    pipe = diffusers.AnimateDiffPipeline(
        vae=vae(), text_encoder=clip(), tokenizer=clip_tokenizer(), unet=unet, motion_adapter=adapter,
        scheduler=diffusers.DDIMScheduler(**DDIM),
    )  # fmt: skip
    pipe.unet.eval()
    return pipe


def stable_diffusion_3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=4, patch_size=1, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32, out_channels=4,
    )  # fmt: skip
    t5_wide = T5EncoderModel(T5Config(vocab_size=36, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(), scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae(),
        text_encoder=clip(pooled=True), tokenizer=clip_tokenizer(), text_encoder_2=clip(pooled=True),
        tokenizer_2=clip_tokenizer(), text_encoder_3=t5_wide.eval(), tokenizer_3=letter_tokenizer(),
    )  # fmt: skip


def flux(guidance_embeds: bool) -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, guidance_embeds=guidance_embeds, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=None, text_encoder=clip(),
        tokenizer=clip_tokenizer(), text_encoder_2=t5(), tokenizer_2=letter_tokenizer(), transformer=transformer.eval(),
    )  # fmt: skip


def pixart(name: str, **more: Any) -> Any:
    sizes: dict[str, Any] = {
        "sample_size": 4, "num_layers": 1, "patch_size": 2, "attention_head_dim": 8, "num_attention_heads": 2,
        "in_channels": 4, "out_channels": 8, "cross_attention_dim": 16, "caption_channels": 16,
        "use_additional_conditions": False,
    }  # fmt: skip
    transformer = diffusers.PixArtTransformer2DModel(**sizes | more)
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.3)
    return getattr(diffusers, f"PixArt{name}Pipeline")(
        tokenizer=letter_tokenizer(), text_encoder=t5(), vae=vae(), transformer=transformer.eval(),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )  # fmt: skip


def sana() -> Any:
    transformer = diffusers.SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1, sample_size=32,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=16,
        timestep_scale=0.001,
    )  # fmt: skip
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, final_sigmas_type="zero"
    )
    return diffusers.SanaPipeline(
        tokenizer=letter_tokenizer(), text_encoder=qwen(), vae=None, transformer=transformer.eval(), scheduler=scheduler
    )


def qwen_image() -> Any:
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return diffusers.QwenImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=None, text_encoder=qwen(),
        tokenizer=letter_tokenizer(), transformer=transformer.eval(),
    )  # fmt: skip


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[4, 4, 8], axes_lens=[64, 32, 32],
    )  # fmt: skip
    for name, weights in transformer.named_parameters():
        if "pad_token" in name:
            torch.nn.init.normal_(weights)
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=None, text_encoder=qwen(),
        tokenizer=letter_tokenizer(), transformer=transformer.eval(),
    )  # fmt: skip


def wan(boundary_ratio: float | None = None) -> Any:
    def transformer() -> Any:
        return diffusers.WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16, freq_dim=16,
            ffn_dim=16, num_layers=1, cross_attn_norm=True, rope_max_seq_len=32,
        ).eval()  # fmt: skip

    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return diffusers.WanPipeline(
        tokenizer=letter_tokenizer(), text_encoder=t5(), vae=None, scheduler=scheduler, transformer=transformer(),
        transformer_2=transformer() if boundary_ratio else None, boundary_ratio=boundary_ratio,
    )  # fmt: skip


def with_lora(pipe: Any, **targets: str) -> Any:
    """Puts a LoRA of random weights on the named components, saved and loaded as a user's would be."""
    layers = {}
    for name, target in targets.items():
        network = deepcopy(getattr(pipe, name))
        network.add_adapter(LoraConfig(r=2, target_modules=target, init_lora_weights=False))
        layers[f"{name}_lora_layers"] = get_peft_model_state_dict(network)
    with TemporaryDirectory() as folder:
        pipe.save_lora_weights(folder, **layers)
        pipe.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    return pipe


def with_ip_adapter(pipe: Any) -> Any:
    """Adds an IP-Adapter of random weights, which takes image embeddings (pictures, 1, 16)."""
    if flux := hasattr(pipe, "transformer"):
        shapes = [(32, 16) for name in pipe.transformer.attn_processors if not name.startswith("single")]
        places, folder = range(len(shapes)), {"image_encoder_pretrained_model_name_or_path": None}
    else:
        names = [name for name in pipe.unet.attn_processors if "attn2" in name and "motion" not in name]
        shapes = [pipe.unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape for name in names]
        places, folder = range(1, 2 * len(shapes), 2), {"image_encoder_folder": None}
    projection = ImageProjection(image_embed_dim=16, cross_attention_dim=shapes[0][1], num_image_text_embeds=4)
    attention = {}
    for place, shape in zip(places, shapes, strict=True):
        for part in ("to_k_ip", "to_v_ip"):
            attention[f"{place}.{part}.weight"] = torch.randn(shape)
            if flux:
                attention[f"{place}.{part}.bias"] = torch.randn(shape[0])
    weights = {
        "image_proj": {name.replace("image_embeds", "proj"): each for name, each in projection.state_dict().items()},
        "ip_adapter": attention,
    }
    pipe.load_ip_adapter(weights, subfolder="", weight_name="", **folder)
    return pipe


def image_embeds() -> tuple[torch.Tensor, torch.Tensor]:
    """An IP-Adapter's embeddings for no picture, and for a picture."""
    embedding = torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(6))
    return torch.zeros_like(embedding), embedding


def with_picture(**more: Any) -> dict[str, Any]:
    return guided(ip_adapter_image_embeds=[torch.cat(image_embeds())], **more)


DIT = ("transformer",)
SMALL = {"height": 32, "width": 32}
BAD = {"negative_prompt": "bad"}
PIXART = guided(**SMALL, use_resolution_binning=False, clean_caption=False, max_sequence_length=TOKENS)
WAN: dict[str, Any] = guided(height=16, width=16, num_frames=5, max_sequence_length=TOKENS)
TINY: dict[str, Callable[[], Tiny]] = {
    "SD 1.x": lambda: Tiny(stable_diffusion()),
    "SD 1.x, LoRA": lambda: Tiny(with_lora(stable_diffusion(), unet=".*to_[qkv]", text_encoder=".*[qkv]_proj")),
    "SD 1.x, IP-Adapter": lambda: Tiny(with_ip_adapter(stable_diffusion()), with_picture()),
    "SD 2.x": lambda: Tiny(stable_diffusion(prediction_type="v_prediction")),
    "SD image to image": lambda: Tiny(stable_diffusion("Img2Img"), img2img(), pictures=("image",), steps=4),
    "SD inpainting": lambda: Tiny(stable_diffusion("Inpaint"), inpaint(), pictures=("image", "mask_image")),
    "SD inpainting, nine channels": lambda: Tiny(
        stable_diffusion("Inpaint", unet={"in_channels": 9}), inpaint(), pictures=("image", "mask_image")
    ),
    "SD ControlNet": lambda: Tiny(
        stable_diffusion("ControlNet", controlnet=controlnet()),
        guided(image=picture()),
        networks=("controlnet", "unet"),
        calls_of_networks=2,
        pictures=("image",),
    ),
    "SDXL": lambda: Tiny(stable_diffusion_xl()),
    "SDXL, LoRA": lambda: Tiny(with_lora(stable_diffusion_xl(), unet=".*to_[qkv]")),
    "SDXL, IP-Adapter": lambda: Tiny(with_ip_adapter(stable_diffusion_xl()), with_picture()),
    "SDXL image to image": lambda: Tiny(stable_diffusion_xl("Img2Img"), img2img(), pictures=("image",), steps=4),
    "SDXL inpainting": lambda: Tiny(stable_diffusion_xl("Inpaint"), inpaint(), pictures=("image", "mask_image")),
    "SDXL ControlNet": lambda: Tiny(
        stable_diffusion_xl("ControlNet", controlnet=controlnet(**XL)),
        guided(image=picture()),
        networks=("controlnet", "unet"),
        calls_of_networks=2,
        pictures=("image",),
    ),
    "AnimateDiff": lambda: Tiny(animate_diff(), guided(num_frames=3, **SMALL)),
    "AnimateDiff, IP-Adapter": lambda: Tiny(with_ip_adapter(animate_diff()), with_picture(num_frames=3, **SMALL)),
    "SD 3": lambda: Tiny(stable_diffusion_3(), guided(**SMALL, max_sequence_length=TOKENS), networks=DIT),
    "FLUX": lambda: Tiny(
        flux(guidance_embeds=True), {"guidance_scale": 3.5, "max_sequence_length": 32} | SMALL, rows=1, networks=DIT
    ),
    "FLUX, guided": lambda: Tiny(
        flux(guidance_embeds=False), {"true_cfg_scale": 4.0, "max_sequence_length": 32} | BAD | SMALL, networks=DIT
    ),
    "FLUX, LoRA": lambda: Tiny(
        with_lora(flux(guidance_embeds=True), transformer=".*to_[qkv]"),
        {"guidance_scale": 3.5, "max_sequence_length": 32} | SMALL,
        rows=1,
        networks=DIT,
    ),
    "FLUX, guided, IP-Adapter": lambda: Tiny(
        with_ip_adapter(flux(guidance_embeds=False)),
        {"true_cfg_scale": 4.0, "max_sequence_length": 32}
        | dict(zip(["negative_ip_adapter_image_embeds", "ip_adapter_image_embeds"], image_embeds(), strict=True))
        | BAD
        | SMALL,
        networks=DIT,
    ),
    "PixArt α": lambda: Tiny(pixart("Alpha"), PIXART, networks=DIT),
    "PixArt Σ": lambda: Tiny(pixart("Sigma"), PIXART, networks=DIT),
    "Sana": lambda: Tiny(
        sana(),
        guided(height=128, width=128, clean_caption=False, use_resolution_binning=False, max_sequence_length=TOKENS),
        networks=DIT,
    ),
    "Qwen-Image": lambda: Tiny(qwen_image(), {"true_cfg_scale": 4.0} | BAD | SMALL, networks=DIT),
    "Z-Image": lambda: Tiny(z_image(), guided(**SMALL, max_sequence_length=TOKENS), networks=DIT),
    "Wan": lambda: Tiny(wan(), WAN, networks=DIT, images_per_prompt="num_videos_per_prompt"),
    "Wan 2.2": lambda: Tiny(
        wan(boundary_ratio=0.8),
        WAN,
        networks=("transformer", "transformer_2"),
        images_per_prompt="num_videos_per_prompt",
    ),
}
# Not all identities are tested with these.
SPECIAL: dict[str, Callable[[], Tiny]] = {
    "SD, two ControlNets": lambda: Tiny(
        stable_diffusion("ControlNet", controlnet=[controlnet(), controlnet()]), guided(image=[picture(), picture()])
    ),
    "SD, guidance embedded": lambda: Tiny(stable_diffusion(unet={"time_cond_proj_dim": 8})),
    "SDXL, guidance embedded": lambda: Tiny(stable_diffusion_xl(unet={"time_cond_proj_dim": 8})),
    "PixArt α, size embedded": lambda: Tiny(
        pixart("Alpha", use_additional_conditions=True, sample_size=128, attention_head_dim=12, cross_attention_dim=24),
        PIXART,
    ),
}


def make(name: str) -> Tiny:
    torch.manual_seed(0)
    made = (TINY | SPECIAL)[name]()
    made.pipe.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="session")
def tiny_of() -> Callable[[str], Tiny]:
    return make


QUICK = ("SD 1.x", "FLUX, guided")  # a U-Net and a transformer
SLOW = ("SD ControlNet", "Qwen-Image", "Z-Image")  # other ways of guiding and of passing conditions


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow if name in SLOW else pytest.mark.all)
        for name in TINY
    ]
)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return make(request.param)


@pytest.fixture
def pipe() -> Any:
    return make("SD 1.x").pipe
