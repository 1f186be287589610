"""Teaching the embedded LLM to judge and to rewrite: lessons and training. Nothing that serves imports it."""
