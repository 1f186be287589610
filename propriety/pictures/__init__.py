"""Detectors for finished pictures, and signed files for them. Both halves use it. Needs the extra `pictures`."""
