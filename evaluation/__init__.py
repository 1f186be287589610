"""Evaluations that users run on their own data."""
