"""What is printed holds no character that does more than stand there, and a document that is printed stays the same."""

import json
import sys
import unicodedata
from typing import Final

import pytest

from reconciler.printing import cut, printable, printable_text

#: Categories of Unicode that are not to be seen: control, format, surrogate, private use, line and paragraph ends.
HIDDEN: Final = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def test_no_hidden_character_of_unicode_is_left() -> None:
    for number in range(sys.maxunicode + 1):
        sign = chr(number)
        if unicodedata.category(sign) in HIDDEN:
            assert printable(f"a{sign}b").isascii(), hex(number)
            assert sign in "\n\t" or sign not in printable_text(f"a{sign}b"), hex(number)


@pytest.mark.parametrize("text", ["", "plain", "grün → ok", "日本語", "e\u0301", "“quoted”", "no-break\u00a0space"])
def test_what_people_read_stays(text: str) -> None:
    assert printable(text) == printable_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\u001b[2J"),
        ("a\x9b31m", "a\\u009b31m"),
        ("\x7f\x00\a\b\r", "\\u007f\\u0000\\u0007\\u0008\\u000d"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("zero\u200bwidth\ufeff\u00ad", "zero\\u200bwidth\\ufeff\\u00ad"),
        ("\ud800\udfff", "\\ud800\\udfff"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("one\u2028two\x85three", "one\\u2028two\\u0085three"),
    ],
)
def test_what_would_do_something_is_written_as_json_writes_it(text: str, shown: str) -> None:
    assert printable(text) == printable_text(text) == shown


def test_a_line_has_one_line_and_a_text_has_several() -> None:
    assert printable("Op\n* all is well\tyes") == "Op\\u000a* all is well\\u0009yes"
    assert printable_text("Op\n\tone") == "Op\n\tone"


def test_a_document_stays_the_same() -> None:
    value = {"\x1bkey": "\u202e\x9b \U000e0041 ü \ud800", "n": 1}
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        assert json.loads(printable_text(text)) == value


def test_long_words_of_others_are_cut() -> None:
    assert cut("a" * 100_000) == "a" * 199 + "…" and cut("short") == "short"
