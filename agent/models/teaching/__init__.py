"""Teaching the embedded LLM: lessons and training."""
