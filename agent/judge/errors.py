"""Failures of the LLM behind judge and rewriter."""


class LLMUnavailableError(RuntimeError):
    """The server did not respond, or its response is invalid; the verdict is degraded."""


class LLMHangsError(RuntimeError):
    """The server kept a request waiting too long, and another request is checking whether it still does."""
