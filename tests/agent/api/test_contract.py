"""The OpenAPI document is kept: schemathesis asks every operation for what it allows, and for what it does not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms
from propriety.verdict import Detector

# What a document cannot say, such as which locale there is, is refused with 400 too.
TOO_STRICT = "positive_data_acceptance"
EXAMPLES = 30


def test_every_response_conforms_to_the_openapi_document(start_api: Any, worker: str, tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/propriety.db")
    terms = Terms(scopes=list(Scope), detector=Detector.NEAREST, per_minute=None, concurrent=None)
    key = Tenants(database).create("acme", terms)
    database.dispose()
    with start_api(tmp_path, generator_url=worker) as (url, _):
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--header",
            f"Authorization: Bearer {key}", "--exclude-checks", TOO_STRICT, "--max-examples", str(EXAMPLES),
            "--continue-on-failure", "--no-color", "--warnings", "off", "--seed", "1",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
