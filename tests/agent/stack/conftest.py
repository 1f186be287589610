from collections.abc import Callable

import pytest


@pytest.fixture
def free_port(free_port: Callable[[], int]) -> int:
    return free_port()
