import io
import json

import pytest

from agent.store.batch_lines import MAX_EMPTY_LINES, MAX_LINE_BYTES, custom_id, read_lines
from agent.store.files import BulkError, Line


def request(name: str = "a", **changes: object) -> dict[str, object]:
    return {"custom_id": name, "method": "POST", "url": "/v1/moderations", "body": {"input": "a tree"}, **changes}


def read(content: str | bytes, max_prompts: int = 10, max_bytes: int = 1 << 20) -> list[Line]:
    raw = content.encode() if isinstance(content, str) else content
    return list(read_lines(io.BytesIO(raw), max_prompts, max_bytes))


def test_lines_are_kept_unchanged_and_numbered_without_empty_ones() -> None:
    first, second = json.dumps(request("a")), json.dumps(request("b"), ensure_ascii=False, indent=None)
    assert read(f"\ufeff{first}\r\n\n  \n{second}") == [Line(1, first), Line(2, second)]


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: Input should be an object"),
        ("a tree", "line 2: Invalid JSON"),
        (json.dumps(request("a")), "line 2: custom_id: line 1 has the same"),
        (json.dumps({"custom_id": "b"}), "line 2: method: Field required"),
        (json.dumps(request("")), "line 2: custom_id: String should have at least 1 character"),
        (json.dumps(request("x" * 513)), "line 2: custom_id: String should have at most 512"),
        (json.dumps(request(5)), "line 2: custom_id: Input should be a valid string"),  # type: ignore[arg-type]
        (json.dumps(request("b", method="GET")), "line 2: method: Input should be 'POST'"),
        (json.dumps(request("b", url="/v1/reviews")), "line 2: url: Input should be '/v1/moderations' or"),
        (json.dumps(request("b", body="a tree")), "line 2: body: Input should be an object"),
        (json.dumps(request("b", colour="red")), "line 2: colour: Extra inputs are not permitted"),
        (
            json.dumps(request("b", body={"stream": True})),
            "body: Value error, stream cannot be used in a batch",
        ),
        (json.dumps(request("b", body={"conversation_id": "c"})), "conversation_id cannot be used in a batch"),
        (json.dumps(request("\ud800")), "line 2: Invalid JSON"),
        (json.dumps(request("b", **{"\0\n" + "x" * 999: 1})), "line 2: ??xxx"),
        ('{"custom_id": "b", "body": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}", "line 2: Invalid JSON"),
        ('{"custom_id": ' + "9" * 6000 + "}", "line 2: Invalid JSON"),
    ],
)
def test_an_invalid_line_has_a_flaw_and_the_others_have_none(line: str, flaw: str) -> None:
    good, bad, other = read("\n".join([json.dumps(request("a")), line, json.dumps(request("c"))]))
    assert (good.flaw, other.flaw, bad.text) == (None, None, line)
    assert bad.flaw is not None
    assert flaw in bad.flaw


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("prompt\na tree\n", "no line is a valid request; line 1: Invalid JSON"),
        (b"\x89PNG\r\n\x1a\n\0", "line 1 is not UTF-8"),
        (json.dumps(request()).encode("utf-16"), "line 1 is not UTF-8"),
        ('{"a": "\0"}', "line 1 contains a NUL character"),
        (json.dumps(request()) + "\n" + "x" * (MAX_LINE_BYTES + 1), "line 2 is longer than"),
        ("\n".join(json.dumps(request(str(number))) for number in range(11)), "more than 10 prompts"),
        (json.dumps(request(body={"input": ["a tree"] * 11})), "more than 10 prompts"),
    ],
)
def test_an_invalid_file_is_refused_with_the_reason(content: str | bytes, reason: str) -> None:
    with pytest.raises(BulkError, match=reason) as refused:
        read(content)
    assert refused.value.code == "invalid_file"


def test_empty_lines_count_towards_the_limit_in_bytes() -> None:
    with pytest.raises(BulkError, match="more than"):
        read(json.dumps(request()) + "\n" * 1000 + json.dumps(request("b")), max_bytes=1000)


def test_a_file_of_empty_lines_is_refused_before_all_are_read() -> None:
    content = io.BytesIO(json.dumps(request()).encode() + b"\n" * (40 * MAX_EMPTY_LINES))
    with pytest.raises(BulkError, match="empty lines"):
        list(read_lines(content, 10, 1 << 30))
    assert content.tell() < 2 * MAX_EMPTY_LINES


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"custom_id": "a", "x": 1}', "a"),
        ('{"custom_id": 5}', None),
        ('{"custom_id": "\\ud800"}', None),
        ("[]", None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_the_custom_id_of_an_invalid_line_is_read_if_possible(text: str, name: str | None) -> None:
    assert custom_id(Line(1, text)) == name
