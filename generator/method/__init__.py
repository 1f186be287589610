"""Dual latent reconstruction on stock diffusers pipelines (arXiv 2411.13982)."""
