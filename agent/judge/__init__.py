"""The detectors: the LLM, asked about one rule at a time, and its fusion with the nearest neighbours."""
