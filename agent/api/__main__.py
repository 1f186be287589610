"""`python -m agent.api > agent/api/openapi.json` writes the OpenAPI document that is committed next to this file."""

import json

from agent.api.app import create_app

if __name__ == "__main__":
    print(json.dumps(create_app().openapi(), indent=2, ensure_ascii=False))
