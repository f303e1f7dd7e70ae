"""Addresses, folders and pictures that are not what they seem."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from common.dicom.codecs import decoding
from common.dicomweb.errors import AddressNotAllowed
from common.dicomweb.guard import AddressRules
from common.dicomweb.render import Picture, render
from common.dicomweb.server import BadRequest, NotAcceptable
from hospitals.errors import EndpointInvalid, FolderUnusable
from hospitals.services import EndpointSettings
from hospitals.services.endpoints import _checked
from sharing.dicomweb.picture_parameters import read_window


@pytest.mark.parametrize(
    "url",
    [
        "http://pacs.example/\r\nHost: other.example",
        "http://pacs.example/a\tb",
        "http://pacs\n.example/",
        "http://pacs.example/a b",
        "http://pacs.example:0/",
    ],
)
def test_an_address_with_blanks_or_control_characters_is_refused(url: str) -> None:
    with pytest.raises(AddressNotAllowed):
        AddressRules().check_url(url, resolve_name=False)


@pytest.mark.parametrize(
    "address",
    ["192.0.0.192", "168.63.129.16", "2001:0:4136:e378:8000:63bf:80ff:fffe"],
)
def test_metadata_services_and_tunnels_are_no_hospitals(address: str) -> None:
    assert not AddressRules().allows(address)


@pytest.mark.parametrize("name", ["zlib", "rot13", "undefined", "base64", "idna", "punycode"])
def test_a_codec_that_reads_no_text_is_no_character_set(name: str) -> None:
    with pytest.raises(EndpointInvalid):
        _checked(EndpointSettings(base_url="http://203.0.113.5/", character_set=name))


@pytest.mark.parametrize("name", ["GB18030", "gbk", "ISO_IR 192", "utf-8", "latin-1"])
def test_a_character_set_is_one(name: str) -> None:
    given = EndpointSettings(base_url="http://203.0.113.5/", character_set=name)

    assert _checked(given)["character_set"] == name


def test_a_folder_within_our_own_data_is_refused(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"
    for name in ("objects", "spool", "demo/folder-hospital"):
        (settings.DATA_DIR / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(settings.DATA_DIR / "objects")

    for folder in ("data/objects", "data/spool", "data", "link"):
        with pytest.raises(FolderUnusable):
            _checked(EndpointSettings(folder=str(tmp_path / folder)))
    assert _checked(EndpointSettings(folder=str(settings.DATA_DIR / "demo/folder-hospital")))


@pytest.mark.parametrize("text", ["1e308,1e308", "1,1e-308", "1e20,1", "1,1e300,sigmoid"])
def test_a_window_beyond_all_pixels_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_window(text)


def _header(side: int) -> dict[str, Any]:
    words = {"00280010": side, "00280011": side, "00280100": 8, "00280101": 8, "00280002": 1}
    found: dict[str, Any] = {tag: {"vr": "US", "Value": [word]} for tag, word in words.items()}
    return found | {"00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}}


def _jpeg2000(said: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG2000", no_jp2=True)
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\x51")
    struct.pack_into(">II", data, at + 6, said, said)
    return bytes(data)


def _jpeg(said: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, said, said)
    return bytes(data)


@pytest.mark.parametrize(
    ("frame", "syntax"),
    [
        (_jpeg2000(30_000), "1.2.840.10008.1.2.4.90"),
        (_jpeg(60_000), "1.2.840.10008.1.2.4.50"),
    ],
)
def test_a_small_picture_that_says_it_is_huge_reaches_no_decoder(
    frame: bytes, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoder() -> None:
        raise AssertionError("the decoder would make room for what the stream says")

    monkeypatch.setattr(decoding, "decoder_pool", decoder)

    with pytest.raises(NotAcceptable, match="another size"):
        render(_header(64), frame, Picture(), transfer_syntax_uid=syntax)


@pytest.mark.parametrize(
    ("frame", "syntax"),
    [(_jpeg2000(64), "1.2.840.10008.1.2.4.90"), (_jpeg(64), "1.2.840.10008.1.2.4.50")],
)
def test_an_honest_picture_is_rendered(frame: bytes, syntax: str) -> None:
    picture = render(_header(64), frame, Picture(), transfer_syntax_uid=syntax)

    assert Image.open(io.BytesIO(picture)).size == (64, 64)
