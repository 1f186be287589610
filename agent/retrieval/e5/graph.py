"""The transformer of multilingual-e5-small (BERT, arXiv 1810.04805) as an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from agent.retrieval.e5.weights import Weights

MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
# MatMulNBits' accuracy level in which states are 8-bit integers, by block: quick, and the same whatever the batch.
INT8 = 4


def transformer(weights: Weights) -> bytes:
    """The serialised graph.

    Inputs: `embedded`, float32 of shape (tokens, width): the tokens of all texts in a row; `padded`, int64 of shape
    (texts, longest): which token stands where in each text, -1 for padding; and `unpadded`, int64 of shape (tokens,):
    where each token stands in the flattened `padded`. Output: `states`, float32 of shape (tokens, width).
    """
    graph = _Graph(weights)
    graph.constant("zero", np.array(0, np.int64))
    graph.constant("flat", np.array([-1, weights.width], np.int64))
    graph.node("Max", ["padded", "zero"], "standing")
    graph.node("Cast", [graph.node("GreaterOrEqual", ["padded", "zero"], "is_token")], "mask", to=TensorProto.INT32)
    states = graph.normalised("embedded", "emb.ln")
    for layer in range(weights.layers):
        states = graph.layer(states, f"l{layer}")
    graph.node("Identity", [states], "states")
    sizes = {"embedded": ("tokens", weights.width), "padded": ("texts", "longest"), "unpadded": ("tokens",)}
    kinds = {"embedded": TensorProto.FLOAT, "padded": TensorProto.INT64, "unpadded": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(name, kinds[name], size) for name, size in sizes.items()]
    output = helper.make_tensor_value_info("states", TensorProto.FLOAT, ("tokens", weights.width))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "multilingual-e5-small", inputs, [output], graph.constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=9,
    )
    serialised: bytes = model.SerializeToString()
    return serialised


class _Graph:
    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.nodes, self.constants = list[NodeProto](), list[TensorProto]()

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def layer(self, states: str, name: str) -> str:
        """Self-attention and the feed-forward network; each is added to its input, and the sum normalised."""
        projected = self.linear(states, name, ["q", "k", "v"])
        by_text = self.node("Gather", [projected, "standing"], f"{name}.by_text")
        heads = [f"{name}.queries", f"{name}.keys", f"{name}.values"]
        self.nodes.append(helper.make_node("Split", [by_text], heads, axis=-1, num_outputs=3))
        attended = self.node(
            "MultiHeadAttention", [*heads, "", "mask"], f"{name}.attended", MICROSOFT, num_heads=self._weights.heads
        )
        flat = self.node("Reshape", [attended, "flat"], f"{name}.flat")
        attended = self.linear(self.node("Gather", [flat, "unpadded"], f"{name}.unpadded"), name, ["ao"])
        states = self.normalised(self.node("Add", [states, attended], f"{name}.with_attended"), f"{name}.aln")
        inner = self.node("Gelu", [self.linear(states, name, ["fi"])], f"{name}.inner")
        outer = self.linear(inner, name, ["fo"])
        return self.normalised(self.node("Add", [states, outer], f"{name}.with_outer"), f"{name}.oln")

    def normalised(self, states: str, name: str) -> str:
        parts = [self.constant(f"{name}.{part}", np.array(self._weights[f"{name}.{part}"])) for part in ("w", "b")]
        return self.node("LayerNormalization", [states, *parts], f"{name}.out", axis=-1, epsilon=self._weights.epsilon)

    def linear(self, states: str, layer: str, parts: list[str]) -> str:
        """Several linear maps of the same states at once. In 8 bits, because ONNX Runtime is quickest with those."""
        name = f"{layer}.{'+'.join(parts)}"
        matrices = [self._weights.quantised(f"{layer}.{part}.w") for part in parts]
        nibbles = np.concatenate([matrix.nibbles() for matrix in matrices])
        constants = {
            "w": nibbles + (128 - 8),  # moves the zero of 4 bits to the zero of 8
            "scales": np.concatenate([matrix.scales for matrix in matrices]).astype(np.float32).ravel(),
            "b": np.concatenate([self._weights[f"{layer}.{part}.b"] for part in parts]),
        }
        weights, scales, bias = (self.constant(f"{name}.{part}", values) for part, values in constants.items())
        rows, blocks, block = nibbles.shape
        sizes = {"N": rows, "K": blocks * block, "bits": 8, "block_size": block}
        inputs = [states, weights, scales]
        product = self.node("MatMulNBits", inputs, f"{name}.product", MICROSOFT, **sizes, accuracy_level=INT8)
        return self.node("Add", [product, bias], f"{name}.out")
