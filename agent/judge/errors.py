"""What can go wrong with the LLM behind judge and rewriter."""


class LLMUnavailableError(RuntimeError):
    """The server did not answer, or not in the form that was asked for; the caller degrades and says so."""


class LLMHangsError(RuntimeError):
    """The server let somebody wait in vain, and another finds out whether it still does."""
