import pytest

from propriety.text_files import EncodingError, read_utf8, wrong_encoding


@pytest.mark.parametrize("text", ["{}", "prompt;id\n", "نبيذ", "愛"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_named_with_how_to_fix_it(text, encoding):
    problem = wrong_encoding(text.encode(encoding)[:4])
    assert encoding.upper() in problem
    assert "save it as UTF-8" in problem


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised(encoding):
    assert "UTF-16" in wrong_encoding("{}".encode(encoding))


@pytest.mark.parametrize("start", [b"", b"{", b"\xef\xbb\xbf{", "愛".encode(), b"a\x00"[:1], "é".encode("latin-1")])
def test_what_may_be_utf_8_has_no_problem(start):
    assert wrong_encoding(start) is None


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_is_the_same_text_with_any_line_ends_and_with_a_mark(tmp_path, end, mark):
    path = tmp_path / "file"
    path.write_bytes(f"{mark}نبيذ{end}Käse{end}".encode())
    assert read_utf8(path) == "نبيذ\nKäse\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("encoding", "text"), [("cp1252", "Käse"), ("cp1256", "نبيذ")])
def test_an_older_encoding_of_windows_is_named_with_its_line_and_how_to_fix_it(tmp_path, encoding, text, end):
    path = tmp_path / "file"
    path.write_bytes(b"a" + end + b"b" + end + text.encode(encoding))
    with pytest.raises(EncodingError, match=r"encodings of Windows; save it as UTF-8") as refusal:
        read_utf8(path)
    assert refusal.value.line == 3


def test_utf_16_is_refused_by_its_name(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("نبيذ".encode("utf-16"))
    with pytest.raises(EncodingError, match="the file is UTF-16"):
        read_utf8(path)
