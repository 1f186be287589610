"""Convert a Qwen2 GGUF file to a folder that vLLM loads; its CPU build does not read GGUF.

The layers' matrices become 8-bit integers: one scale for each output, the nearest of 255 steps. vLLM quantises the
activations token by token. Compared with bfloat16, a judge's call takes a third less time and the server 1.1 GB less
memory; the log-odds move by 0.18 (standard deviation) and correlate at .996.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.models.adapter import load_adapter, merge
from agent.models.quantise import quantise

if TYPE_CHECKING:
    from torch import Tensor

TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL, UNUSED = 3, 5  # token types, gguf.TokenType
INT8 = {"num_bits": 8, "type": "int", "symmetric": True}
QUANTIZATION = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "layers": {
            "targets": ["Linear"],
            "weights": {**INT8, "strategy": "channel", "dynamic": False},
            "input_activations": {**INT8, "strategy": "token", "dynamic": True},
        }
    },
}


def convert(gguf_file: Path, folder: Path) -> Path:
    """Write the adapted 8-bit weights (embeddings and norms in bfloat16), `config.json`, tokenizer and chat template.

    `folder` appears only once it is complete. In Qwen2.5's small models the input and output embeddings are one matrix;
    GGUF holds two quantised copies, and the finer one is used.
    """
    from gguf import GGUFReader

    reader = GGUFReader(gguf_file)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fields = _fields(reader)
    _write_tokenizer(fields, partial)
    (partial / "config.json").write_text(json.dumps(_config(fields), indent=2), encoding="utf-8")
    stop = [fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.padding_token_id"]]
    (partial / "generation_config.json").write_text(
        json.dumps({"eos_token_id": stop, "pad_token_id": stop[1]}), encoding="utf-8"
    )
    _write_weights(reader, partial / "model.safetensors")
    partial.rename(folder)
    return folder


def base_model(gguf_file: Path, folder: Path) -> tuple[Any, Any]:
    """The model without the adapter, in bfloat16, and its tokenizer, which is saved in the new folder `folder`."""
    from gguf import GGUFReader
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    reader = GGUFReader(gguf_file)
    fields = _fields(reader)
    folder.mkdir(parents=True)
    _write_tokenizer(fields, folder)
    config = {name: value for name, value in _config(fields).items() if name != "quantization_config"}
    model = Qwen2ForCausalLM(Qwen2Config(**config)).bfloat16()
    model.load_state_dict(dict(_tensors(reader)), strict=False)  # output embeddings are tied to the input's
    return model, AutoTokenizer.from_pretrained(folder)


def hub_name(name: str) -> str:
    """The Qwen2 name of a GGUF tensor: `blk.3.attn_q.bias` → `model.layers.3.self_attn.q_proj.bias`."""
    if name in ("output.weight", "token_embd.weight"):
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, kind, parameter = name.split(".")
    return f"model.layers.{layer}.{TENSORS[kind]}.{parameter}"


def _write_weights(reader: Any, path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    adapter = load_adapter()
    weights: dict[str, torch.Tensor] = {}
    for hub, tensor in _tensors(reader):
        weight = merge(hub, tensor, adapter)
        if hub.endswith("proj.weight"):
            weights[hub], weights[f"{hub}_scale"] = quantise(weight)
        else:
            weights[hub] = weight.to(torch.bfloat16)
    save_file(weights, path, metadata={"format": "pt"})


def _fields(reader: Any) -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items()}


def _tensors(reader: Any) -> Iterator[tuple[str, Tensor]]:
    """Qwen2 names and float32 tensors; of the two copies of the embeddings, only the finer one."""
    import torch
    from gguf.quants import dequantize

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if "output.weight" in tensors:
        del tensors["token_embd.weight"]
    for name, tensor in tensors.items():
        yield hub_name(name), torch.tensor(dequantize(tensor.data, tensor.tensor_type))


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    import transformers

    return {
        "transformers_version": transformers.__version__,
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": fields["qwen2.embedding_length"],
        "intermediate_size": fields["qwen2.feed_forward_length"],
        "max_position_embeddings": fields["qwen2.context_length"],
        "num_attention_heads": fields["qwen2.attention.head_count"],
        "num_hidden_layers": fields["qwen2.block_count"],
        "num_key_value_heads": fields["qwen2.attention.head_count_kv"],
        "rms_norm_eps": fields["qwen2.attention.layer_norm_rms_epsilon"],
        "rope_theta": fields["qwen2.rope.freq_base"],
        "tie_word_embeddings": True,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "quantization_config": QUANTIZATION,
    }


def _write_tokenizer(fields: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    used = {token: i for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind != UNUSED}
    tokenizer = Qwen2Tokenizer(
        vocab=used,
        merges=merges,  # type: ignore[arg-type]  # takes a list of pairs, but does not declare it
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        model_max_length=fields["qwen2.context_length"],
    )
    control = [AddedToken(t, special=True, normalized=False) for t, i in used.items() if types[i] == CONTROL]
    tokenizer.add_tokens(control)
    tokenizer.chat_template = fields["tokenizer.chat_template"]
    tokenizer.save_pretrained(folder)
