"""The HTTP service, in OpenAI's shapes."""
