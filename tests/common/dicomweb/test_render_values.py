"""From stored values to shades and colours: each transformation of PS3.3 by numbers."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.dicomweb import render_notes
from common.dicomweb.render import Picture, Region, Window, frame_ms, render, size_within
from common.dicomweb.render_picture import srgb_profile
from common.dicomweb.server import BadRequest, NotAcceptable

NATIVE = "1.2.840.10008.1.2.1"


def header(
    rows: int, columns: int, *, bits: int = 8, stored: int = 0, **more: Any
) -> dict[str, Any]:
    said = {
        "00280010": rows,
        "00280011": columns,
        "00280002": more.pop("samples", 1),
        "00280100": bits,
        "00280101": stored or bits,
        "00280103": more.pop("signed", 0),
    }
    kind = more.pop("kind", "MONOCHROME2")
    found: dict[str, Any] = {tag: {"vr": "US", "Value": [value]} for tag, value in said.items()}
    return found | {"00280004": {"vr": "CS", "Value": [kind]}, **more}


def decimal(*values: float) -> dict[str, Any]:
    return {"vr": "DS", "Value": list(values)}


def words(*values: int) -> dict[str, Any]:
    data = np.array(values, "<u2").tobytes()
    return {"vr": "OW", "InlineBinary": base64.b64encode(data).decode()}


def pixels_of(attributes: dict[str, Any], cells: Any, number: int = 1, **wanted: Any) -> Any:
    data = render(
        attributes,
        np.asarray(cells).tobytes(),
        Picture(media_type="image/png", **wanted),
        transfer_syntax_uid=NATIVE,
        number=number,
    )
    return np.asarray(Image.open(io.BytesIO(data)))


def row_of(attributes: dict[str, Any], cells: Any, **wanted: Any) -> list[Any]:
    shown: list[Any] = pixels_of(attributes, cells, **wanted)[0].tolist()
    return shown


def shape_or_refusal(attributes: dict[str, Any], cells: Any) -> Any:
    try:
        return pixels_of(attributes, cells, notes=("patient", "technique")).shape
    except NotAcceptable as refusal:
        return "palette" if "palette" in refusal.message else "refused"


@pytest.mark.parametrize(
    ("window", "shades"),
    [
        pytest.param(Window(100, 101), [0, 1, 126, 129, 254, 255], id="linear, C.11.2.1.2.1"),
        pytest.param(Window(100, 100, "linear-exact"), [0, 0, 125, 128, 252, 255], id="exact"),
        pytest.param(Window(100, 100, "sigmoid"), [5, 30, 125, 128, 224, 250], id="sigmoid"),
        pytest.param(Window(100, 1), [0, 0, 0, 255, 255, 255], id="width of one is a step"),
    ],
)
def test_a_window_has_one_of_three_functions(window: Window, shades: list[int]) -> None:
    cells = np.array([0, 50, 99, 100, 149, 200], np.uint8)

    found = row_of(header(1, 6), cells, window=window)

    assert max(abs(a - b) for a, b in zip(found, shades, strict=True)) <= 1


def test_signed_values_of_12_bits_lose_what_stands_above_them() -> None:
    stored = np.array([-2048, -1, 0, 2047], np.int16).astype(np.uint16) & 0xFFF
    with_overlay = stored | np.uint16(0x8000)
    attributes = header(1, 4, bits=16, stored=12, signed=1)

    assert row_of(attributes, with_overlay) == row_of(attributes, stored) == [0, 127, 128, 255]


def test_rescale_comes_before_the_window() -> None:
    attributes = header(1, 3, bits=16, **{"00281053": decimal(2), "00281052": decimal(-1024)})
    cells = np.array([412, 532, 652], np.uint16)  # -200, 40, 280

    assert row_of(attributes, cells, window=Window(40, 480, "linear-exact")) == [0, 128, 255]


def test_a_modality_table_stands_in_place_of_rescale() -> None:
    item = {"00283002": {"vr": "US", "Value": [3, 10, 16]}, "00283006": words(0, 500, 1000)}
    attributes = header(1, 5, **{"00283000": {"vr": "SQ", "Value": [item]}})

    # Below the first and above the last, the ends go on (PS3.3 C.11.1.1.1).
    assert row_of(attributes, np.array([0, 10, 11, 12, 99], np.uint8)) == [0, 0, 128, 255, 255]


def test_a_voi_table_is_used_where_no_window_is() -> None:
    item = {"00283002": {"vr": "US", "Value": [2, 1, 12]}, "00283006": words(0, 4095)}
    attributes = header(1, 3, **{"00283010": {"vr": "SQ", "Value": [item]}})
    cells = np.array([0, 1, 2], np.uint8)

    assert row_of(attributes, cells) == [0, 0, 255]
    assert row_of(attributes, cells, window=Window(1, 2, "linear-exact")) == [0, 128, 255]


def test_padding_is_black_and_does_not_count() -> None:
    padding = {"00280120": {"vr": "SS", "Value": [-2000]}}
    attributes = header(1, 4, bits=16, signed=1, **padding)
    inverted = header(1, 4, bits=16, signed=1, kind="MONOCHROME1", **padding)
    cells = np.array([-2000, 0, 50, 100], np.int16)

    assert row_of(attributes, cells) == [0, 0, 128, 255]
    assert row_of(inverted, cells) == [0, 255, 127, 0]


def test_the_background_of_a_label_map_counts() -> None:
    more = {"00280120": {"vr": "US", "Value": [0]}, "00080060": {"vr": "CS", "Value": ["SEG"]}}

    assert row_of(header(1, 3, **more), np.array([0, 1, 1], np.uint8)) == [0, 255, 255]


def test_each_frame_has_its_own_window_and_rescale() -> None:
    def group(center: float, slope: float) -> dict[str, Any]:
        window = {"00281050": decimal(center), "00281051": decimal(100)}
        window["00281056"] = {"vr": "CS", "Value": ["LINEAR_EXACT"]}
        rescale = {"00281052": decimal(0), "00281053": decimal(slope)}
        return {
            "00289132": {"vr": "SQ", "Value": [window]},
            "00289145": {"vr": "SQ", "Value": [rescale]},
        }

    groups = {"vr": "SQ", "Value": [group(50, 1), group(100, 2)]}
    attributes = header(1, 3, **{"52009230": groups})
    cells = np.array([0, 50, 100], np.uint8)

    assert pixels_of(attributes, cells, number=1)[0].tolist() == [0, 128, 255]
    assert pixels_of(attributes, cells, number=2)[0].tolist() == [0, 128, 255]


def test_floating_point_pixels_are_shown_and_no_number_is_black() -> None:
    attributes = header(1, 4, bits=32, **{"7FE00008": {"vr": "OF", "BulkDataURI": "x"}})
    cells = np.array([np.nan, -1.5, 0, 1.5], "<f4")

    assert row_of(attributes, cells) == [0, 0, 128, 255]


def test_one_bit_pixels_are_black_and_white() -> None:
    assert row_of(header(1, 8, bits=1), np.array([0b10110001], np.uint8)) == [
        255, 0, 0, 0, 255, 255, 0, 255,
    ]  # fmt: skip


DESCRIPTORS = {
    tag: {"vr": "US", "Value": [256, 0, 16]} for tag in ("00281101", "00281102", "00281103")
}
SEGMENTED = "00281221", "00281222", "00281223"


def test_a_segmented_palette_is_unfolded() -> None:
    # Two discrete entries; three steps up to 0x5000; the first segment again (PS3.3 C.7.9.2).
    table = words(0, 2, 0x0000, 0x2000, 1, 3, 0x5000, 2, 1, 0, 0)
    attributes = header(
        1, 7, kind="PALETTE COLOR", **DESCRIPTORS, **dict.fromkeys(SEGMENTED, table)
    )

    found = [color[0] for color in row_of(attributes, np.arange(7, dtype=np.uint8))]

    assert found == [0, 0x20, 0x30, 0x40, 0x50, 0, 0x20]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(words(0, 60_000, 1), id="ends inside"),
        pytest.param(words(7, 1, 1), id="unknown segment"),
        pytest.param(words(1, 5, 1), id="line from nowhere"),
        pytest.param(words(0, 1, 5, 2, 60_000, 0, 0), id="indirect without end"),
        pytest.param(words(0, 1, 5, *[1, 65_535, 9] * 40), id="too long"),
        pytest.param(words(0, 1, 5, 2, 1, 3, 0), id="indirect to an indirect one"),
        pytest.param(words(0, 1, 5, 2, 1, 9, 9), id="indirect beyond the end"),
    ],
)
def test_a_palette_that_makes_no_sense_is_refused_or_shown(table: dict[str, Any]) -> None:
    attributes = header(
        1, 2, kind="PALETTE COLOR", **DESCRIPTORS, **dict.fromkeys(SEGMENTED, table)
    )

    assert shape_or_refusal(attributes, np.array([0, 1], np.uint8)) in {(1, 2, 3), "palette"}


def test_colours_may_lie_in_planes_and_have_16_bits() -> None:
    cells = np.array([0xFF00, 0x0000, 0x8000, 0x1234, 0x0000, 0xFF00], np.uint16)
    planes = header(
        1, 2, bits=16, samples=3, kind="RGB", **{"00280006": {"vr": "US", "Value": [1]}}
    )

    assert row_of(planes, cells) == [[255, 128, 0], [0, 18, 255]]


SQUARE = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (None, SQUARE),
        (Region(1, 1, 2, 2), SQUARE[1:3, 1:3]),
        (Region(0, 2), SQUARE[2:]),
        (Region(0, 0, -4, 4), SQUARE[:, ::-1]),
        (Region(0, 0, 4, -4), SQUARE[::-1]),
        (Region(2, 0, -2, -2), SQUARE[1::-1, :1:-1]),
        (Region(3, 3, 50, 50), SQUARE[3:, 3:]),
        (Region(0.5, 0.5, 0.5, 0.5, relative=True), SQUARE[2:, 0:0]),
    ],
)
def test_a_source_region_is_cut_out_and_flipped(region: Region | None, expected: Any) -> None:
    if region and region.relative:
        region, expected = Region(0.5, 0.5, 0.5, 0.5, relative=True), SQUARE[2:, 2:]

    found = pixels_of(
        header(4, 4), SQUARE, region=region, window=Window(127.5, 255, "linear-exact")
    )

    assert np.array_equal(found, expected)


def test_a_region_outside_of_the_image_is_refused() -> None:
    with pytest.raises(BadRequest, match="no pixel"):
        pixels_of(header(4, 4), SQUARE, region=Region(9, 9, 2, 2))


def test_a_viewport_keeps_proportions_and_scales_up() -> None:
    wide = np.zeros((10, 20), np.uint8)

    assert pixels_of(header(10, 20), wide, viewport=(40, 40)).shape == (20, 40)
    assert pixels_of(header(10, 20), wide, viewport=(5, 40)).shape == (2, 5)
    assert size_within(header(1000, 2000), 5_000) == (100, 50)


def test_a_profile_is_embedded_where_it_is_asked_for() -> None:
    own = base64.b64encode(b"own profile ").decode()
    with_own = header(4, 4, **{"00282000": {"vr": "OB", "InlineBinary": own}})

    def profile_of(attributes: dict[str, Any], asked: Any) -> Any:
        wanted = Picture(media_type="image/jpeg", profile=asked)
        data = render(attributes, SQUARE.tobytes(), wanted, transfer_syntax_uid=NATIVE)
        return Image.open(io.BytesIO(data)).info.get("icc_profile")

    assert profile_of(header(4, 4), "no") is None
    assert profile_of(header(4, 4), "yes") == profile_of(header(4, 4), "srgb") == srgb_profile()
    assert profile_of(with_own, "yes") == b"own profile "
    with pytest.raises(BadRequest):
        profile_of(with_own, "srgb")


def test_a_cine_has_the_speed_of_its_module() -> None:
    assert frame_ms({}) == 100
    assert frame_ms({"00181063": decimal(33.3)}) == 33
    assert frame_ms({"00180040": {"vr": "IS", "Value": [25]}}) == 40
    assert frame_ms({"00181063": decimal(0)}) == 20
    assert frame_ms({"00180040": {"vr": "IS", "Value": [0]}}) == 100


PERSON = {
    "00100010": {
        "vr": "PN",
        "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}],
    },
    "00100020": {"vr": "LO", "Value": ["P1"]},
    "00100030": {"vr": "DA", "Value": ["19700102"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "0008103E": {"vr": "LO", "Value": ["胸部平扫"]},
    "00200013": {"vr": "IS", "Value": [7]},
}


def test_annotation_is_burned_into_its_corners() -> None:
    blank = np.zeros((400, 400), np.uint8)
    attributes = header(400, 400, **PERSON)
    plain = pixels_of(attributes, blank)
    patient = pixels_of(attributes, blank, notes=("patient",))
    technique = pixels_of(attributes, blank, notes=("technique",))

    assert plain.max() == 0
    assert patient[:100].max() > 200
    assert patient[200:].max() == 0
    assert technique[:200].max() == 0
    assert technique[300:].max() > 200


def test_names_are_written_in_han_where_a_font_has_them_else_in_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = render_notes.Source(PERSON)
    monkeypatch.setattr(render_notes, "_font_file", lambda: "any.ttf")
    with_font = render_notes.patient_lines(source), render_notes.technique_lines(source)
    monkeypatch.setattr(render_notes, "_font_file", lambda: "")
    without = render_notes.patient_lines(source), render_notes.technique_lines(source)
    nameless = {"00100010": {"vr": "PN", "Value": [{"Ideographic": "王^小东"}]}}

    assert with_font == (["王 小东", "P1", "1970-01-02"], ["CT  胸部平扫", "Im 7"])
    assert without == (["Wang XiaoDong", "P1", "1970-01-02"], ["CT xiong bu ping sao", "Im 7"])
    assert render_notes.patient_lines(render_notes.Source(nameless)) == ["wang xiao dong"]


@pytest.mark.parametrize(
    "change",
    [
        {"00280010": {"vr": "US", "Value": ["x"]}},
        {"00281050": {"vr": "DS", "Value": ["x"]}, "00281051": {"vr": "DS", "Value": [{}]}},
        {"00281053": {"vr": "DS", "Value": ["nan"]}},
        {"00281053": decimal(1e308), "00281052": decimal(-1e308)},
        {"00283000": {"vr": "SQ", "Value": ["x"]}},
        {"00283010": {"vr": "SQ", "Value": [{"00283002": {"vr": "US", "Value": ["a", 1, 2]}}]}},
        {"52009230": {"vr": "SQ", "Value": [{"00289132": "x"}]}},
        {"52009229": {"vr": "SQ", "Value": ["x"]}},
        {"00280120": {"vr": "US", "Value": ["x"]}},
        {"00280101": {"vr": "US", "Value": [0]}},
        {"00280101": {"vr": "US", "Value": [99]}},
        {"00280100": {"vr": "US", "Value": [12]}},
        {"00280002": {"vr": "US", "Value": [3]}},
        {"00280004": {"vr": "CS", "Value": ["PALETTE COLOR"]}},
    ],
)
def test_a_header_of_nonsense_is_shown_somehow_or_refused(change: dict[str, Any]) -> None:
    assert shape_or_refusal(header(4, 4, **change), SQUARE) in {(4, 4), "palette", "refused"}
