import json
from pathlib import Path

import agent.api
from agent.api.app import create_app


def test_the_committed_openapi_document_is_the_one_that_is_served(moderator):
    served = json.loads(json.dumps(create_app(moderator).openapi()))
    committed = json.loads((Path(agent.api.__file__).parent / "openapi.json").read_text(encoding="utf-8"))
    assert committed == served, "update it: python -m agent.api > agent/api/openapi.json"
