"""Logs and traces of both services."""
