"""Chat in, image prompt out: the last user turn, together with the user turns that it depends on.

The generator draws the composed prompt and nothing else. A turn that is left out is not drawn either, so a mistake here
costs the user's intent, never safety.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from agent.prompt.hidden import reveal
from propriety.verdict import ChatMessage

PRONOUN = r"(?:it|its|him|his|her|hers|he|she|them|they|their|this|that|these|those|the (?:same|other|last|previous))"
CONNECTIVE = re.compile(
    r"^(?:(?:ok(?:ay)?|now|and|but|also|then|so|please|yes|no|well|great|thanks|instead|next|again|actually|"
    r"just|still|this time|"
    r"can you|could you|would you)\b[\s,.!:;-]*)+",
    re.IGNORECASE,
)
# An edit of the picture: "make it bloodier", "let her hold a glass", "same but at night", "bloodier".
EDIT = re.compile(
    rf"^(?:(?:draw|make|show|paint|render|generate|create|have|get|do|try|redo)\s+"
    rf"(?:{PRONOUN}|everything|everyone|"
    r"the (?:scene|image|picture|background|version))\b|"
    r"(?:add|remove|change|replace|let|give(?! me)|put|keep|swap|use|zoom|move|delete|undress|continue|"
    rf"(?:turn|dress|cover|colou?r)\s+(?:{PRONOUN}|the|everything)|"
    r"try again|redo|repeat|do (?:it|so))\b|"
    r"(?:the )?same\b|similar\b|another\b|more\b|less\b|fewer\b|without\b|with\b|except\b|like (?:that|before)|"
    r"(?:what|how) (?:about|if)\b)",
    re.IGNORECASE,
)
COMPLETE = re.compile(
    rf"^(?:(?:i(?:'d| would)? (?:want|need|like)|give me|show me|draw|make|paint|render|generate|create|imagine|"
    r"design|sketch|illustrate)"
    rf"\s+(?:me\s+)?(?!(?:{PRONOUN})\b)\w+|an?\b|(?:two|three|four|some|several|many)\b|"
    r"(?:photo|picture|image|portrait|painting|drawing|poster|illustration|sketch)s? of\b)",
    re.IGNORECASE,
)
REFERENCE = re.compile(rf"\b{PRONOUN}\b", re.IGNORECASE)
# First words of a follow-up in languages other than English.
FOLLOW_UP = re.compile(
    r"^(?:(?:jetzt|nun|und|aber|mach|füge|maintenant|et|mais|ajoute|ahora|pero|añade|agora|mas|adicione|ora|ma|aggiungi|"
    r"теперь|а|и|но|добавь|сделай|şimdi|ama|ekle|الآن|الان|ولكن|أضف|حالا|اما|अब|और|लेकिन|sekarang|tapi|tambahkan)\b|"
    r"现在|現在|再|加|把|改|让|讓|今度|もっと|でも|次|이제|더|그리고|ตอนนี้|เพิ่ม|แต่|ให้)",
    re.IGNORECASE,
)
# A refused request, repeated: "do it anyway", "but only a little", "try that again".
INSISTS = re.compile(
    r"\b(?:anyway|regardless|again|retry|despite|still|at least|a (?:little|bit)|"
    r"slightly|less|more|why not|come on|do (?:it|that|so)|"
    r"just (?:do|try)|that|previous|earlier|before|refused|trotzdem|quand même|de todos modos|всё равно|все равно)\b",
    re.IGNORECASE,
)
REFUSAL = re.compile(
    r"\b(?:(?:i'?m|i am) (?:sorry|unable|not able)|i (?:can(?:no|')?t|won'?t|will not|must decline)|"
    r"cannot (?:draw|create|generate|help)|"
    r"not (?:allowed|permitted)|against (?:the|our|my) polic|"
    r"violates?|tut mir leid|je ne peux pas|no puedo|не могу|извините)|"
    r"抱歉|无法|申し訳|できません|ขออภัย|عذرا|क्षमा|죄송",
    re.IGNORECASE,
)
MIN_REQUEST_WORDS = 3
"""A shorter turn without an article or a verb of request ("bloodier", "red dress") is a follow-up."""
MIN_SENTENCE_WORDS = 8
"""A turn this long that refers to nothing is a complete request, whatever its first word."""


@dataclass(frozen=True)
class Turn:
    text: str
    complete: bool
    refused: bool


class BadPromptError(ValueError):
    """The prompt is empty, too long or not plain text."""


def composed(messages: Sequence[ChatMessage], limit: int, refusal: str | None = None) -> str:
    """The prompt of a chat, of at most `limit` characters. An assistant turn that begins with `refusal` is one.

    Raises:
        BadPromptError: the prompt is empty, too long, or has control characters or lone surrogates.
    """
    longest = max((len(message.content) for message in messages), default=0)
    if longest > limit:
        raise BadPromptError(f"the prompt has {longest} characters; the limit is {limit}")
    try:
        revealed = [message.model_copy(update={"content": reveal(message.content)}) for message in messages]
        prompt = compose(revealed, refusal)
    except ValueError:
        raise BadPromptError("the prompt is empty; say what to draw") from None
    if len(prompt) > limit:
        raise BadPromptError(f"the chat's turns make a prompt of {len(prompt)} characters; the limit is {limit}")
    prompt = prompt.translate(SPACES)
    if not is_plain(prompt):
        raise BadPromptError("the prompt has control characters or lone surrogates; send plain Unicode text")
    return prompt


SPACES = dict.fromkeys(map(ord, "\v\f\x85"), " ")  # control characters that Unicode counts as white space


def is_plain(text: str) -> bool:
    """Whether a text has no lone surrogates and no control characters but tabs and line breaks."""
    kinds = ((letter, unicodedata.category(letter)) for letter in text)
    return not any(kind == "Cs" or (kind == "Cc" and letter not in "\t\r\n") for letter, kind in kinds)


def compose(messages: Sequence[ChatMessage], refusal: str | None = None) -> str:
    """One image prompt for a chat: the user's last complete request and the follow-ups to it, in order.

    System, developer and assistant turns are never drawn; an assistant turn only shows whether the user turn before it
    was refused. A complete request replaces everything before it. A refused request stays while follow-ups depend on
    it; a refused follow-up stays only if the next user turn insists on it. A chat of one user turn is that turn,
    stripped. Raises ValueError if no user turn has text.
    """
    turns = _user_turns(messages, refusal)
    if not turns:
        raise ValueError("the chat has no user message with text: send at least one message with role 'user'")
    kept: list[Turn] = []
    for turn in turns:
        if turn.complete:
            kept = []
        elif len(kept) > 1 and kept[-1].refused and not INSISTS.search(turn.text):
            kept.pop()
        kept.append(turn)
    return ". ".join([turn.text.rstrip(" .!,;") for turn in kept[:-1]] + [kept[-1].text])


def _user_turns(messages: Sequence[ChatMessage], refusal: str | None) -> list[Turn]:
    turns: list[Turn] = []
    for i, message in enumerate(messages):
        text = message.content.strip()
        if message.role != "user" or not text:
            continue
        answer = messages[i + 1].content if i + 1 < len(messages) and messages[i + 1].role == "assistant" else ""
        own = refusal is not None and answer.startswith(refusal)
        turns.append(Turn(text, _is_complete(text), own or bool(REFUSAL.search(answer.replace("’", "'")))))
    return turns


def _is_complete(text: str) -> bool:
    """Whether the turn describes a picture by itself. If in doubt it does not, and is judged with earlier turns."""
    request = CONNECTIVE.sub("", text)
    if not request or EDIT.match(request) or FOLLOW_UP.match(request):
        return False
    if COMPLETE.match(request):
        # "now a wine glass in her hand" refers back; "a woman and her dog" brings its own antecedent.
        return (
            request == text
            or bool(re.match(r"(?:draw|paint|generate|create)\b", request, re.I))
            or not REFERENCE.search(request)
        )
    if re.match(rf"{PRONOUN}\b", request, re.IGNORECASE):
        return False
    words = re.findall(r"\w+", request)
    if len(words) >= MIN_SENTENCE_WORDS:
        return not REFERENCE.search(" ".join(words[: MIN_SENTENCE_WORDS // 2]))
    if re.match(r"(?:at|in|on|during|from|under|by|as|to|for)\b", request, re.IGNORECASE) or REFERENCE.search(request):
        return False
    # Without spaces between words, letters are counted.
    return len(words) >= MIN_REQUEST_WORDS or (
        not request.isascii() and len(request) >= MIN_SENTENCE_WORDS and len(words) == 1
    )
