"""What a policy editor works with: lint, own tests, diff, replay and a scaffold, as functions that return plain data.

The commands, the API and pages share them. `done` is called after each step, for a progress bar.
"""
