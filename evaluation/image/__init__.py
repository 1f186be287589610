"""Image moderation measured: draw by several methods, look, compare, report."""
