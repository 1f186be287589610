"""Draws pictures from two prompts at once, the original and the safe one, on stock diffusers pipelines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.method.dual_latent import dual_latent

__all__ = ["dual_latent"]


def __getattr__(name: str) -> Any:
    """Imports `dual_latent` on first use, so that `import generator` does not load torch."""
    if name == "dual_latent":
        from generator.method.dual_latent import dual_latent

        return dual_latent
    raise AttributeError(f"module 'generator' has no attribute {name!r}")
