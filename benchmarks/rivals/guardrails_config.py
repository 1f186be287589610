"""Configuration of Guardrails AI's server, with our own validator. Runs in Guardrails AI's environment."""

import os
import re
from pathlib import Path
from typing import Any

from guardrails import Guard
from guardrails.validator_base import FailResult, PassResult, ValidationResult, Validator, register_validator

PATTERN = re.compile(Path(os.environ["PATTERN"]).read_text(encoding="utf-8"), re.IGNORECASE)


@register_validator(name="propriety/phrases", data_type="string")
class Phrases(Validator):
    def validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if found := PATTERN.search(value):
            return FailResult(error_message=f"It contains {found[0]!r}.")
        return PassResult()


guard = Guard(id="phrases", name="phrases").use(Phrases(on_fail="noop"))
