from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from generator.demo_model.autoencoder import build
from generator.demo_model.denoiser import Training
from generator.demo_model.export import export


@pytest.mark.slow
def test_the_stock_pipeline_draws_with_an_exported_model_without_further_arguments(tmp_path: Path) -> None:
    export(build(), Training.start(), tmp_path)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a man in a park", num_inference_steps=1).images[0].size == (64, 64)
