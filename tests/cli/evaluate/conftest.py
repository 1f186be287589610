"""Torch on one thread: small models gain nothing from more, and lose much on a busy machine."""

from tests.one_thread import one_thread as one_thread
