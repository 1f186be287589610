import random

import pytest

from agent.models.teaching.lessons import rewriting_lessons
from agent.models.teaching.teach import tokenise
from agent.settings import EMBEDDED_LLM, Settings


def test_tokens_follow_the_chat_template_and_only_answers_are_taught() -> None:
    folder = Settings().models_dir / EMBEDDED_LLM
    if not folder.exists():
        pytest.skip("no embedded LLM: run `make weights`")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lesson = next(rewriting_lessons(random.Random(0)))
    roles = {"system": "system", "human": "user", "ai": "assistant"}
    chat = [{"role": roles[message.role], "content": message.content} for message in lesson.messages]
    tokenised = tokenise(lesson, tokenizer)
    assert tokenizer.decode(tokenised.tokens) == tokenizer.apply_chat_template(chat, tokenize=False)
    taught = tokenizer.decode([token for token, is_answer in zip(*tokenised, strict=True) if is_answer])
    answers = [message.content for message in lesson.messages[lesson.given :] if message.role == "ai"]
    assert taught == "".join(f"{answer}<|im_end|>" for answer in answers)
