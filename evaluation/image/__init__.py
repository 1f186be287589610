"""Image moderation evaluated: draw unsafe prompts by several methods, read the pictures, compare and report."""
