import socket
from pathlib import Path

import pytest

from agent.stack import StartError
from agent.stack.preflight import LLM_MEMORY_GB, check_memory, check_port_free, check_python


def test_a_busy_port_is_refused_and_the_message_names_its_setting(free_port: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen()
        with pytest.raises(StartError, match=rf"port {free_port} .* PROPRIETY_GENERATOR_PORT"):
            check_port_free("127.0.0.1", free_port, "PROPRIETY_GENERATOR_PORT")
    check_port_free("127.0.0.1", free_port, "PROPRIETY_GENERATOR_PORT")


def test_too_little_memory_is_refused_and_the_message_has_both_figures(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000000 kB\nMemAvailable:  2000000 kB\n")
    with pytest.raises(StartError, match=r"2\.0 GB of memory .* 6\.5 GB"):
        check_memory(LLM_MEMORY_GB, meminfo)
    check_memory(1.5, meminfo)


def test_another_version_of_python_is_refused() -> None:
    with pytest.raises(StartError, match=r"3\.13"):
        check_python((3, 13))
