"""schemathesis sends valid and invalid requests to every operation; each response conforms to the OpenAPI document."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

# A document cannot say which locales exist, for example, so requests that it allows are refused with 400 too.
TOO_STRICT = "positive_data_acceptance"
EXAMPLES = 30


@pytest.mark.slow
def test_every_response_conforms_to_the_openapi_document(start_api: Any, worker: str, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/propriety.db")
    terms = Terms(scopes=list(Scope), detector=Detector.NEAREST, per_minute=None, concurrent=None)
    key = Tenants(database).create("acme", terms)
    database.dispose()
    with start_api(tmp_path, keyless=False, generator_url=worker) as (url, _):
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--header",
            f"Authorization: Bearer {key}", "--exclude-checks", TOO_STRICT, "--max-examples", str(EXAMPLES),
            "--continue-on-failure", "--no-color", "--warnings", "off", "--seed", "1",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
