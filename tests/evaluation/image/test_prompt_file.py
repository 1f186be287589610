"""Prompt files in both schemas of I2P and in others, and the errors for invalid ones."""

import csv
from pathlib import Path

import pytest

from evaluation.image.prompt_file import PromptFileError, Row, read_rows, shard_of

AUTHORS = """prompt,categories,hard,lexica_url,sd_seed,sd_guidance_scale,sd_image_width,sd_image_height,sd_model
"a knife, on a table","violence, self-harm",0,https://example.org/1,4261553411,13,512,704,sd-v1-4
a fist ,hate,1,https://example.org/2,7,7.5,512,512,sd-v1-4
"""
ERASURE = """,prompt,categories,hard,evaluation_seed,evaluation_guidance,sd_image_width,sd_image_height,case_number
0,"a knife, on a table","violence, self-harm",0,4261553411,13,512,704,30
"""


def read(folder: Path, text: str) -> tuple[list[Row], bool]:
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    return read_rows(folder / "rows.csv")


@pytest.mark.parametrize(("text", "name"), [(AUTHORS, "2"), (ERASURE, "30")], ids=["its authors'", "erasure papers'"])
def test_both_schemas_of_i2p_give_the_same_row(tmp_path, text, name):
    rows, has_safe_prompts = read(tmp_path, text)
    assert not has_safe_prompts
    assert rows[0] == Row.model_validate(
        {
            "id": name,
            "prompt": "a knife, on a table",
            "categories": ("self-harm", "violence"),
            "seed": 4261553411,
            "guidance": 13,
            "width": 512,
            "height": 704,
        }
    )


def test_missing_values_are_the_models_own(tmp_path):
    rows, has_safe_prompts = read(tmp_path, "\ufeffid,prompt,safe_prompt,seed\na,a knife,a spoon,\nb,a fork,,5\n")
    assert has_safe_prompts
    assert [(row.id, row.safe_prompt, row.seed) for row in rows] == [("a", "a spoon", 0), ("b", None, 5)]
    assert {(row.guidance, row.width, row.height, row.categories) for row in rows} == {(None, None, None, ())}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,text\n1,a knife\n", r":2: prompt: Field required"),
        ("prompt,seed\na knife,-1\n", r":2: seed"),
        ("prompt,evaluation_guidance\na knife,0\n", r":2: .*guidance"),
        ("prompt,sd_image_width\na knife,100\n", r":2: .*width"),
        ("id,prompt\n1,a knife\n1,a spoon\n", r":3: the id '1' occurs twice"),
        ("prompt\n", "has no rows"),
    ],
)
def test_an_invalid_row_raises_an_error_with_its_line(tmp_path, text, reason):
    with pytest.raises(PromptFileError, match=reason):
        read(tmp_path, text)


def test_a_file_in_another_encoding_raises_an_error(tmp_path):
    (tmp_path / "rows.csv").write_bytes("prompt\nein Glas Saft für später\n".encode("latin-1"))
    with pytest.raises(PromptFileError, match=r"rows\.csv:2: the byte 0xFC is not UTF-8.*; save it as UTF-8"):
        read_rows(tmp_path / "rows.csv")


def test_shards_partition_the_rows():
    rows = [Row.model_validate({"id": str(number), "prompt": "a"}) for number in range(7)]
    parts = [shard_of(rows, f"{index}/3") for index in (1, 2, 3)]
    assert sorted((row for part in parts for row in part), key=lambda row: row.id) == rows
    assert [len(part) for part in parts] == [3, 2, 2]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "2", "a/b", "-1/3"])
def test_an_invalid_shard_raises_an_error(shard):
    with pytest.raises(PromptFileError, match="like 2/8"):
        shard_of([], shard)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("empty", ["", "{0}{0}\r\n", "{0} {0}\r\n{0}{0}\r\n", "\r\n"])
def test_spreadsheets_separators_and_rows_without_any_value_are_read(tmp_path, delimiter, empty):
    path = tmp_path / "prompts.csv"
    rows = [["id", "prompt", "safe_prompt"], ["1", "ein Mann mit Pistole, im Park", "ein Mann"], ["2", "ein Baum", ""]]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
        file.write(empty.format(delimiter))
    read, prepared = read_rows(path)
    assert prepared
    assert [(row.id, row.prompt, row.safe_prompt) for row in read] == [
        ("1", "ein Mann mit Pistole, im Park", "ein Mann"), ("2", "ein Baum", None),
    ]  # fmt: skip


def test_a_utf_16_file_is_named_with_how_to_fix_it(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt\na tree\n", encoding="utf-16")
    with pytest.raises(PromptFileError, match="UTF-16; save it as UTF-8"):
        read_rows(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line", ["sep=;", '"sep=;"'])
def test_a_first_line_that_names_excels_separator_is_no_row(tmp_path, line, mark):
    path = tmp_path / "prompts.csv"
    path.write_bytes(f'{mark}{line}\r\nid;prompt\r\n007;"a tree\r\non a hill"\r\n;a lake\r\n'.encode())
    rows, _ = read_rows(path)
    assert [(row.id, row.prompt) for row in rows] == [("007", "a tree\non a hill"), ("5", "a lake")]
