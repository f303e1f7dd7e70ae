"""Messages are parted as HL7 v2 chapter 2 says, whatever their delimiters and characters."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.hl7.charset import declared, decoded
from common.hl7.errors import MessageError, NotAMessage
from common.hl7.escapes import DEFAULT, escaped, unescaped
from common.hl7.message import parse

MSH = "MSH|^~\\&|HIS|EAST|IMAGING|PROVINCE|20260101080000||ADT^A01|C1|P|2.5"
ZONE = ZoneInfo("Asia/Shanghai")


def message(*lines: str, charset: str = "UNICODE UTF-8", codec: str = "utf-8") -> bytes:
    head = MSH + ("||||||" + charset if charset else "")
    return "\r".join([head, *lines, ""]).encode(codec)


def test_fields_repetitions_components_and_subcomponents_are_found() -> None:
    found = parse(message("PID|1||77^^^H&1.2&ISO^MR~990101^^^^NI||张^三"))
    pid = found.needed("PID")

    assert (found.kind, found.event, found.control_id) == ("ADT", "A01", "C1")
    assert [value.text(1) for value in pid.repetitions(3)] == ["77", "990101"]
    assert pid.text(3, 4, 2) == "1.2"
    assert pid.text(5) == "张"
    assert pid.text(99) == ""


def test_a_message_may_choose_its_own_delimiters() -> None:
    data = b"MSH!*%/+!HIS!EAST!!!20260101!!ADT*A04!C2!P!2.3\rPID!!!12*a+b%13\r"
    pid = parse(data).needed("PID")

    assert pid.text(3) == "12"
    assert pid.text(3, 2, 2) == "b"
    assert len(pid.repetitions(3)) == 2


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_as_other_systems_end_lines(end: str) -> None:
    data = end.join([MSH, "EVN|A01", "", "PID|1||7"]).encode()

    assert [segment.name for segment in parse(data).segments] == ["MSH", "EVN", "PID"]


def test_a_lone_line_feed_within_a_text_is_a_line_break_of_it() -> None:
    """As HAPI sends a text with line breaks."""
    found = parse(message("OBX|1|FT|1||first\nsecond||||||F", "NTE|1"))

    assert found.needed("OBX").whole(5) == "first\nsecond"
    assert found.needed("OBX").text(11) == "F"
    assert [segment.name for segment in found.segments] == ["MSH", "OBX", "NTE"]


def test_null_is_told_from_silence() -> None:
    pid = parse(message('PID|1||7||""|')).needed("PID")

    assert pid.is_null(5)
    assert not pid.is_null(6)
    assert pid.text(5) == ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("first\\.br\\second", "first\nsecond"),
        ("one\\.sp2\\two", "one\n\ntwo"),
        ("\\H\\loud\\N\\", "loud"),
        ("\\.in+4\\deep", "deep"),
        ("\\XE5BCA0\\", "张"),
        ("\\X0D0A\\x", "\nx"),
        ("\\X00\\x", "x"),
        ("C:\\temp", "C:\\temp"),
        ("50\\% and \\Z1\\", "50\\% and \\Z1\\"),
        ("\\X5\\", "\\X5\\"),
        ("ends\\", "ends\\"),
    ],
)
def test_escape_sequences_mean_what_the_chapter_says(written: str, meant: str) -> None:
    assert unescaped(written, DEFAULT, codec="utf-8") == meant


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc"))))
def test_what_is_escaped_is_read_back(text: str) -> None:
    assert unescaped(escaped(text), DEFAULT, codec="utf-8") == text


@given(st.text())
def test_no_text_makes_the_reader_of_escapes_fail_or_grow(text: str) -> None:
    try:
        found = unescaped(text, DEFAULT, codec="utf-8")
    except MessageError:
        return
    assert len(found) <= 20 * (len(text) + 1)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("GB 18030-2000", "gb18030"),
        ("GBK", "gb18030"),
        ("BIG-5", "big5"),
    ],
)
def test_han_text_is_read_in_the_declared_character_set(name: str, codec: str) -> None:
    found = parse(message("PID|1||7||張三", charset=name, codec=codec))

    assert found.needed("PID").text(5) == "張三"


def test_a_han_character_whose_second_byte_is_a_delimiter_stays_whole() -> None:
    """In GBK the second byte of some characters is ``|``, ``^``, ``\\`` or ``~``."""
    text = "".join(
        bytes([lead, trail]).decode("gb18030") for lead in (0x81, 0x8F) for trail in b"|^\\~&"[:4]
    )
    found = parse(message(f"PID|1||7||{text}", charset="GB 18030-2000", codec="gb18030"))

    assert found.needed("PID").text(5) == text


def test_without_a_declaration_the_institutions_override_holds_and_else_utf_8() -> None:
    gbk = message("PID|1||7||王五", charset="", codec="gb18030")

    assert parse(gbk, override="GB18030").needed("PID").text(5) == "王五"
    assert parse(message("PID|1||7||王五", charset="")).needed("PID").text(5) == "王五"
    with pytest.raises(MessageError) as caught:
        parse(gbk)
    assert caught.value.location == "PID-5"


def test_a_declaration_goes_before_the_override() -> None:
    found = parse(message("PID|1||7||王五"), override="GB18030")

    assert found.needed("PID").text(5) == "王五"


def test_wrong_bytes_are_refused_with_their_field_and_never_quoted() -> None:
    data = message("EVN|A01", "PID|1||7||X", charset="ASCII").replace(b"||X", "||张".encode())

    with pytest.raises(MessageError) as caught:
        parse(data)

    assert caught.value.location == "PID-5"
    assert "张" not in str(caught.value)


def test_an_unknown_character_set_is_refused_by_name_of_the_field() -> None:
    with pytest.raises(MessageError) as caught:
        decoded(message("PID|1||7", charset="ISO IR87"))
    assert caught.value.location == "MSH-18"


def test_the_declaration_is_found_behind_a_han_facility_in_gbk() -> None:
    head = "MSH|^~\\&|HIS|东部人民医院|||20260101||ADT^A01|C1|P|2.5||||||GB 18030-2000"

    assert declared(head.encode("gb18030")) == "GB 18030-2000"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MSH",
        b"PID|1\r",
        b"<xml/>",
        b"\xef\xbb\xbfMSH|^~\\&|A\r",
        b"MSH||||||||\r",
        b"MSH|^^^^|A|B\r",
        b"MSH|abcd|A|B\r",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_message_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotAMessage):
        parse(data)


@pytest.mark.parametrize("line", ["pid|1", "PI", "PIDX|1", "张三|1", " |"])
def test_a_line_that_is_no_segment_is_refused(line: str) -> None:
    with pytest.raises(MessageError):
        parse(message(line))


def test_a_nul_is_refused_because_no_column_could_hold_it() -> None:
    with pytest.raises(MessageError):
        parse(message("PID|1||7\x008"))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    for given_data in (data, MSH.encode() + b"\r" + data):
        try:
            parse(given_data, override="GB18030")
        except MessageError as error:
            assert error.location or error.condition  # noqa: PT017  # either a message or a refusal


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("20260102", dt.datetime(2026, 1, 2, tzinfo=ZONE)),
        ("202601020304", dt.datetime(2026, 1, 2, 3, 4, tzinfo=ZONE)),
        ("20260102030405.123", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=ZONE)),
        ("20260102030405+0000", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("2026", dt.datetime(2026, 1, 1, tzinfo=ZONE)),
    ],
)
def test_time_stamps_are_aware_and_of_the_province_where_they_say_no_zone(
    value: str, meant: dt.datetime
) -> None:
    assert parse(message(f"EVN|A01|{value}")).needed("EVN").instant(2, ZONE) == meant


@pytest.mark.parametrize(
    "value", ["yesterday", "20261301", "20260230", "2026010299", "20260101+9999"]
)
def test_what_is_no_time_is_refused_with_its_field(value: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse(message(f"EVN|A01|{value}")).needed("EVN").instant(2, ZONE)
    assert caught.value.location == "EVN-2"
