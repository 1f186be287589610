"""Benchmarks of the service and its parts, which print Markdown tables."""
