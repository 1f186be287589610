"""Draws pictures with two prompts at once, the asked and the safe, on stock diffusers pipelines."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.method.dual_latent import dual_latent
    from generator.pipeline import Drawing, draw, load
    from propriety.drawing import DrawRequest

__all__ = ["DrawRequest", "Drawing", "draw", "dual_latent", "load"]

_HOME = {
    "dual_latent": "dual_latent",
    "DrawRequest": "schema",
    "Drawing": "pipeline",
    "draw": "pipeline",
    "load": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Imports on first use, so that `import generator` stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module 'generator' has no attribute {name!r}")
    return getattr(import_module(f"generator.{_HOME[name]}"), name)
