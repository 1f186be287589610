"""A case: one seed of a prompt, and what is drawn for it."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.image.prompt_file import Row
from propriety.drawing import DrawRequest


@dataclass(frozen=True)
class Case:
    """One seed of a row. Without a safe prompt, the prompt is drawn as it is or, if `blocked`, not drawn."""

    row: Row
    seed: int
    safe_prompt: str | None
    blocked: bool = False

    def request(self, steps: int) -> DrawRequest:
        """Draws the safe prompt alone, or the prompt if there is no safe one."""
        return DrawRequest(
            prompt=self.row.prompt,
            safe_prompt=self.safe_prompt,
            seed=self.seed,
            steps=steps,
            guidance_scale=self.row.guidance,
            width=self.row.width,
            height=self.row.height,
        )
