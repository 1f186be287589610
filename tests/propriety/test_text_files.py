import pytest

from propriety.text_files import wrong_encoding


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
