"""Failures of the LLM behind judge and rewriter."""


class LLMUnavailableError(RuntimeError):
    """The server did not respond, or its response is invalid; the verdict is degraded."""


class LLMBusyError(RuntimeError):
    """More is asked than the LLM answers in time, so a new prompt is refused."""

    def __init__(self, wait_s: float) -> None:
        """`wait_s` is the time after which to try again, in seconds."""
        super().__init__(f"the LLM is busy for {wait_s:.0f} s")
        self.wait_s = wait_s


class LLMHangsError(RuntimeError):
    """The server kept a request waiting too long, and another request is checking whether it still does."""
