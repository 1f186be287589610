"""Policies and concept bank as data: read from YAML, inherited, validated, looked up by locale."""
