"""`python -m agent.models`: fetch and convert the weights of the embedded LLM, if the settings use it."""

from __future__ import annotations

import sys

from agent.models.fetch import EmbeddedModelError
from agent.models.weights import prepare_weights
from agent.settings import EMBEDDED_LLM, Settings

if __name__ == "__main__":
    settings = Settings()
    if settings.llm_url is None and settings.llm_model == EMBEDDED_LLM:
        try:
            prepare_weights(settings.models_dir)
        except EmbeddedModelError as error:
            sys.exit(f"propriety: {error}")
