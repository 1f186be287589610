"""The agent: judges a prompt against a place's policy, and rewrites what offends. It draws nothing."""
