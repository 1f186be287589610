"""The contract between agent, generator and callers. Needs pydantic alone."""
