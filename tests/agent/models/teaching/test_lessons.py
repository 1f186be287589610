import random
import re
import unicodedata

from agent.judge.question import conversation
from agent.models.teaching.lessons import (
    MAX_NO_PER_YES,
    Lesson,
    bank_lessons,
    read_edits,
    read_sheets,
    rewriting_lessons,
    sheet_lessons,
)
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.settings import Settings

SETTINGS = Settings()
POLICIES = load_policies(SETTINGS.policies_dir)
SHEETS = read_sheets()


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).lower()).strip()


def taught_answers(lesson: Lesson) -> list[str]:
    return [str(message.content) for message in lesson.messages[lesson.given :] if message.role == "ai"]


def test_each_prompt_of_a_sheet_is_labelled_under_each_of_its_rules() -> None:
    for sheet in SHEETS:
        assert len(sheet["rules"]) >= 1
        assert all(rule["rule"] and all(rule["allowed"]) for rule in sheet["rules"])
        assert all(
            text and re.fullmatch(f"[yn-]{{{len(sheet['rules'])}}}", labels) for text, labels in sheet["prompts"]
        )


def test_the_policies_own_tests_are_never_taught() -> None:
    taught = {plain(text) for sheet in SHEETS for text, _ in sheet["prompts"]}
    taught |= {plain(edit["prompt"]) for edit in read_edits()}
    assert not taught & {plain(test.prompt) for policy in POLICIES.values() for test in policy.tests}


def test_many_prompts_break_one_rule_and_not_another() -> None:
    prompts = [labels for sheet in SHEETS for _, labels in sheet["prompts"]]
    assert sum({"y", "n"} <= set(labels) for labels in prompts) / len(prompts) > 1 / 3


def test_no_lesson_answers_mostly_no() -> None:
    for lesson in sheet_lessons(random.Random(0)):
        answers = taught_answers(lesson)
        assert answers.count("no") <= round(MAX_NO_PER_YES * max(answers.count("yes"), 2))


def test_lessons_of_the_bank_begin_as_each_question_to_the_judge_does() -> None:
    rules = [(policy, rule) for policy in POLICIES.values() for rule in policy.rules if rule.topics]
    beginnings = {tuple(conversation(policy, rule)) for policy, rule in rules}
    for lesson in bank_lessons(POLICIES, load_bank(SETTINGS.policies_dir), random.Random(0)):
        assert tuple(lesson.messages[: lesson.given]) in beginnings


def test_each_edit_is_taught_once_an_epoch() -> None:
    answers = [answer for lesson in rewriting_lessons(random.Random(0)) for answer in taught_answers(lesson)]
    assert sorted(answers) == sorted(edit["edited"] for edit in read_edits())
