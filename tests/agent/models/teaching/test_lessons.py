import random
import re
import unicodedata

import pytest

from agent.judge.question import conversation
from agent.models.teaching.lessons import HERE, MOST_NO, Exchange, _lines, editing, judging, telling
from agent.models.teaching.teach import tokens
from agent.policy.files import load_policies
from agent.policy.concept_bank import load_bank
from agent.settings import EMBEDDED_LLM, Settings

SETTINGS = Settings()
POLICIES = load_policies(SETTINGS.policies_dir)
SHEETS = [sheet for path in sorted((HERE / "sheets").glob("*.jsonl")) for sheet in _lines(path)]


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).lower()).strip()


def answers(exchange: Exchange) -> list[str]:
    return [str(message.content) for message in exchange.messages[exchange.known :] if message.type == "ai"]


def test_each_prompt_of_a_sheet_is_labelled_under_each_of_its_rules() -> None:
    for sheet in SHEETS:
        assert len(sheet["rules"]) >= 1
        assert all(rule["rule"] and all(rule["allowed"]) for rule in sheet["rules"])
        assert all(
            text and re.fullmatch(f"[yn-]{{{len(sheet['rules'])}}}", labels) for text, labels in sheet["prompts"]
        )


def test_no_test_of_a_policy_is_taught() -> None:
    taught = {plain(text) for sheet in SHEETS for text, _ in sheet["prompts"]}
    taught |= {plain(edit["prompt"]) for edit in _lines(HERE / "rewrites.jsonl")}
    assert not taught & {plain(test.prompt) for policy in POLICIES.values() for test in policy.tests}


def test_many_prompts_break_one_rule_and_not_the_next() -> None:
    prompts = [labels for sheet in SHEETS for _, labels in sheet["prompts"]]
    assert sum({"y", "n"} <= set(labels) for labels in prompts) / len(prompts) > 1 / 3


def test_no_conversation_is_mostly_answered_with_no() -> None:
    for exchange in judging(random.Random(0)):
        told = answers(exchange)
        assert told.count("no") <= round(MOST_NO * max(told.count("yes"), 2))


def test_the_bank_is_taught_after_what_the_judge_is_always_told() -> None:
    for exchange in telling(POLICIES, load_bank(SETTINGS.policies_dir), random.Random(0)):
        rules = [
            (p, r) for p in POLICIES.values() for r in p.rules if r.definition in str(exchange.messages[0].content)
        ]
        assert any(conversation(policy, rule) == exchange.messages[: exchange.known] for policy, rule in rules)


def test_each_edit_is_taught_once_an_epoch() -> None:
    told = [answer for exchange in editing(random.Random(0)) for answer in answers(exchange)]
    assert sorted(told) == sorted(edit["edited"] for edit in _lines(HERE / "rewrites.jsonl"))


def test_tokens_are_those_of_the_chat_template_and_answers_alone_are_taught() -> None:
    folder = SETTINGS.models_dir / EMBEDDED_LLM
    if not folder.exists():
        pytest.skip("no embedded LLM: run `make weights`")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    exchange = next(editing(random.Random(0)))
    roles = {"system": "system", "human": "user", "ai": "assistant"}
    chat = [{"role": roles[message.type], "content": message.content} for message in exchange.messages]
    taught = tokens(exchange, tokenizer)
    assert tokenizer.decode(taught.tokens) == tokenizer.apply_chat_template(chat, tokenize=False)
    told = tokenizer.decode([token for token, answer in zip(*taught, strict=True) if answer])
    assert told == "".join(f"{answer}<|im_end|>" for answer in answers(exchange))
