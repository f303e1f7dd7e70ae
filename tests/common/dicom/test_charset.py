"""Text arrives in Unicode, whatever was declared and whatever was sent."""

from __future__ import annotations

import io

import pytest

from common.dicom.charset import decode_text, text_codec
from common.dicom.part10 import Instance, read_instance
from tests.common.dicom.builder import element, part10, text, uids
from tests.support.dicom_files import row, rows

needs_collection = pytest.mark.skipif(
    not rows(), reason="the collection of DICOM files is not here"
)


def read(data: bytes, character_set: str = "") -> Instance:
    return read_instance(io.BytesIO(data), offset=0, length=len(data), character_set=character_set)


def named(raw: bytes, *, declared: str = "", character_set: str = "") -> Instance:
    charset = element(0x00080005, "CS", text(declared)) if declared else b""
    by_tag = uids()
    # 0008,0005 comes before the SOP UIDs, the name between those and the study's.
    sop, study = by_tag[: by_tag.index(b"\x20\0\x0d\0")], by_tag[by_tag.index(b"\x20\0\x0d\0") :]
    return read(part10(charset + sop + element(0x00100010, "PN", text(raw)) + study), character_set)


def name_of(instance: Instance) -> dict[str, str]:
    found: dict[str, str] = instance.attributes["00100010"]["Value"][0]
    return found


@pytest.mark.parametrize(
    ("coding", "declared", "override", "doubtful"),
    [
        pytest.param("gb18030", "GB18030", "", False, id="gb18030-declared"),
        pytest.param("gbk", "GBK", "", False, id="gbk-declared"),
        pytest.param("gb18030", "GBK", "", False, id="more-than-gbk-declared"),
        pytest.param("utf-8", "ISO_IR 192", "", False, id="utf-8-declared"),
        pytest.param("gbk", "", "GBK", False, id="gbk-undeclared-with-override"),
        pytest.param("gb18030", "", "GB18030", False, id="gb18030-undeclared-with-override"),
        pytest.param("utf-8", "", "ISO_IR 192", False, id="utf-8-undeclared-with-override"),
        pytest.param("gbk", "NONSENSE", "GB18030", False, id="unknown-term-with-override"),
        pytest.param("utf-8", "", "", True, id="utf-8-undeclared-is-recognised"),
        pytest.param("gbk", "ISO_IR 192", "GBK", True, id="does-not-fit-what-is-declared"),
    ],
)
def test_chinese_names(coding, declared, override, doubtful):
    # In GBK the second byte of 昞 and of 誠 is a backslash or near it: not a value delimiter.
    instance = named(
        "张昞誠^小明=王^小明".encode(coding), declared=declared, character_set=override
    )

    assert name_of(instance) == {"Alphabetic": "张昞誠^小明", "Ideographic": "王^小明"}
    assert instance.charset_doubtful is doubtful


def test_a_backslash_byte_inside_a_character_does_not_split_the_value():
    raw = "乗".encode("gbk")  # 81 5C
    assert raw.endswith(b"\\")

    assert name_of(named(raw + b"^A", declared="GB18030")) == {"Alphabetic": "乗^A"}


def test_bytes_that_fit_nothing_are_replaced_and_flagged():
    instance = named(b"\xd5\xc5\xff\xff", declared="ISO_IR 192")

    assert "\ufffd" in name_of(instance)["Alphabetic"]
    assert instance.charset_doubtful


def test_ascii_is_never_doubtful():
    assert not named(b"Wang^XiaoMing", declared="NONSENSE").charset_doubtful


@pytest.mark.parametrize(
    ("raw", "declared", "expected"),
    [
        # PS3.5 annexes H, I, J and K: the standard's own examples.
        (
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "\\ISO 2022 IR 87",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "\\ISO 2022 IR 149",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "\\ISO 2022 IR 58",
            "Zhang^XiaoDong=张^小东=",
        ),
        (b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f", "ISO_IR 192", "Wang^XiaoDong=王^小"),
        (b"\xc4neas^R\xfcdiger", "ISO-IR 100", "Äneas^Rüdiger"),
        (b"\xbb\xee\xda", "ISO_IR 144", "Люк"),
    ],
)
def test_code_extensions(raw, declared, expected):
    assert decode_text(raw, declared=declared, is_name=True) == (expected, False)


def test_an_unknown_escape_is_flagged_and_does_not_raise():
    decoded, doubtful = decode_text(b"a\x1b$Zbc\xff", declared="\\ISO 2022 IR 87")

    assert decoded.startswith("a")
    assert doubtful


def test_an_unknown_override_is_as_none():
    codec = text_codec("", "no-such-thing")

    assert codec.decode(b"\xe9") == "é"
    assert codec.doubtful


def test_an_item_may_have_a_character_set_of_its_own():
    inner = element(0x00080005, "CS", text("GB18030"))
    inner += element(0x00080104, "LO", text("胸部".encode("gb18030")))
    value = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    after = element(0x00400555, "SQ", value)
    data = part10(element(0x00080005, "CS", text("ISO_IR 192")) + uids() + after)

    found = read(data).attributes["00400555"]["Value"][0]

    assert found["00080104"]["Value"] == ["胸部"]


@needs_collection
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "pydicom/charset/chrx1.dcm",
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"},
        ),
        (
            "pydicom/charset/chrx2.dcm",
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
        ),
        (
            "pydicom/charset/chrh31.dcm",
            {
                "Alphabetic": "Yamada^Tarou",
                "Ideographic": "山田^太郎",
                "Phonetic": "やまだ^たろう",
            },
        ),
        (
            "pydicom/charset/chri2.dcm",
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        ),
    ],
)
def test_names_of_real_files(name, expected):
    found = row(name)
    with found.path.open("rb") as file:
        instance = read_instance(file, offset=0, length=found.path.stat().st_size)

    assert name_of(instance) == expected
    assert not instance.charset_doubtful


@needs_collection
def test_a_region_of_a_larger_file_is_read_as_the_file_alone():
    found = row("pydicom/charset/chrx2.dcm")
    stored = found.path.read_bytes()
    inside = b"x" * 777 + stored + b"y" * 999

    instance = read_instance(io.BytesIO(inside), offset=777, length=len(stored))

    assert instance == read(stored)
