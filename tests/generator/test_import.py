"""The package as users import it, in a new process from the repository's root."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USERS_CODE = """
import sys
import generator
assert "torch" not in sys.modules, "import generator loads torch"

from diffusers import DDIMScheduler, StableDiffusionPipeline
from generator import dual_latent
import generator.method.dual_latent
assert generator.dual_latent is dual_latent, "a module shadows the function"

pipe = StableDiffusionPipeline.from_pretrained("generator/demo_model/weights")
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
with dual_latent(pipe, safe_prompt="a woman holding a glass of juice on a beach", wxi=0.75, tau_gc=0.5):
    image = pipe("a woman holding a wine glass on a beach", num_inference_steps=2).images[0]
print(image.size)
"""


@pytest.mark.slow
def test_a_user_draws_with_dual_latent_and_the_demo_model_as_stored() -> None:
    done = subprocess.run([sys.executable, "-c", USERS_CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(64, 64)\n"
