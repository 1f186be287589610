"""The package as users import it, also in a new process from the repository's root."""

import json
import subprocess
import sys
from collections.abc import Iterator
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

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

IMPORTS = [
    "from generator import dual_latent",
    "from generator import *",
    "import generator; dual_latent = generator.dual_latent",
    "import generator as g; dual_latent = getattr(g, 'dual_latent')",
    "import generator.method.dual_latent; from generator import dual_latent",
    "import generator.method.dual_latent; dual_latent = generator.dual_latent",
    "import generator.pipeline; from generator import dual_latent",
    "from generator import models, dual_latent",
    "from generator.method.dual_latent import dual_latent",
    "from generator.method.dual_latent import UnsupportedPipelineError; from generator import dual_latent",
    "from importlib import import_module; dual_latent = import_module('generator').dual_latent",
    "from importlib import import_module as i; i('generator.method.dual_latent'); from generator import dual_latent",
    "from pkgutil import resolve_name; dual_latent = resolve_name('generator:dual_latent')",
]


@pytest.fixture
def not_imported() -> Iterator[None]:
    """As if nothing had imported the package yet."""
    loaded = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "generator"}
    for name in loaded:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "generator"]:
        del sys.modules[name]
    sys.modules.update(loaded)


@pytest.mark.usefixtures("not_imported")
@pytest.mark.parametrize("code", IMPORTS)
def test_however_it_is_imported_dual_latent_is_the_context_and_not_a_module(code: str) -> None:
    names: dict[str, Any] = {}
    exec(code, names)
    assert isfunction(names["dual_latent"])
    assert names["dual_latent"].__name__ == "dual_latent"
    assert list(signature(names["dual_latent"]).parameters)[:2] == ["pipe", "safe_prompt"]


def test_the_demo_model_s_parts_are_stored_so_that_they_load_with_one_dtype() -> None:
    weights = ROOT / "generator" / "demo_model" / "weights"
    reader = json.loads(
        (weights / "text_encoder" / "config.json").read_text()
    )  # transformers loads the dtype named here
    assert reader["dtype"] == "float32"  # diffusers' default
    for part in ("unet", "vae"):
        assert "dtype" not in json.loads((weights / part / "config.json").read_text())


@pytest.mark.slow
def test_a_user_draws_with_dual_latent_and_the_demo_model_as_stored() -> None:
    done = subprocess.run([sys.executable, "-c", USERS_CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(64, 64)\n"
