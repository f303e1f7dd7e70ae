import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.dicomweb.errors import MalformedMultipart
from common.dicomweb.multipart import IncomingPart, MultipartPayload, Part, iter_parts

B = "bnd"


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def bodies(data: bytes, *, size: int = 7, boundary: str = B) -> list[bytes]:
    return [b"".join(part.chunks()) for part in iter_parts(pieces(data, size), boundary=boundary)]


def payload(*parts: bytes, head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return (
        b"".join(b"--bnd\r\n" + head + b"\r\n" + part + b"\r\n" for part in parts) + b"--bnd--\r\n"
    )


nasty = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"--bn", b"x", b"\0"]), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(nasty.map(b"".join), min_size=1, max_size=5),
    size=st.integers(1, 60),
    head=st.sampled_from([b"", b"Content-Type: application/dicom\r\n"]),
    preamble=st.sampled_from([b"", b"\r\n", b"This is a multi-part message.\r\n"]),
)
def test_what_was_packed_comes_out_whatever_the_chunks(parts, size, head, preamble):
    data = preamble + payload(*parts, head=head) + b"an epilogue\r\n--bnd\r\n\r\nnot a part"

    assert bodies(data, size=size) == parts


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=200_000), min_size=1, max_size=3),
    size=st.integers(1, 300_000),
)
def test_our_own_payload_is_read_back(parts, size):
    sent = MultipartPayload(
        [Part("application/dicom", [part], size_bytes=len(part)) for part in parts],
        boundary="q" * 32,
    )
    data = b"".join(sent)

    assert len(data) == sent.content_length
    assert bodies(data, size=max(size, 64), boundary="q" * 32) == parts


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"--bnd  \t\r\n\r\nx\r\n--bnd-- ", [b"x"], id="white-space-after-boundary"),
        pytest.param(b"--bnd--", [], id="no-part-at-all"),
        pytest.param(b"--bnd\r\n\r\n--bnd--", [b""], id="empty-part-shares-its-line-end"),
        pytest.param(b"--bnd\r\nA: b\r\n\r\n--bnd--", [b""], id="empty-part-with-header"),
        pytest.param(b"--bnd\r\n\r\n\r\n--bnd--", [b""], id="empty-part"),
        pytest.param(b"--bnd\r\n\r\n\r\n\r\n--bnd--", [b"\r\n"], id="part-of-one-line-end"),
        pytest.param(
            b"--bnd\r\n\r\na\r\n--bndx\r\nb\r\n--bnd--",
            [b"a\r\n--bndx\r\nb"],
            id="longer-boundary-is-data",
        ),
        pytest.param(
            b"--bnd\r\n\r\n--bndx\r\n--bnd--", [b"--bndx"], id="data-begins-like-a-boundary"
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_forms_that_rfc_2046_allows(data, expected, size):
    assert bodies(data, size=size) == expected


def test_a_boundary_that_begins_with_dashes():
    data = b"----=_P\r\n\r\nx\r\n----=_P--"

    assert bodies(data, boundary="--=_P") == [b"x"]


def test_header_names_are_lower_case_and_folded_lines_are_joined():
    data = b'--bnd\r\nCONTENT-Type: multipart/x;\r\n a="b"\r\nContent-Length: 1\r\nrubbish\r\n\r\nx\r\n--bnd--'

    (part,) = list(iter_parts([data], boundary=B))

    assert part.headers == {"content-type": 'multipart/x; a="b"', "content-length": "1"}
    assert part.declared_size == 1


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_the_parts_before_a_cut_are_whole_and_the_cut_part_raises_while_it_is_read(size):
    data = payload(b"one" * 50, b"two" * 50)[:-60]
    parts = iter_parts(pieces(data, size), boundary=B)

    assert b"".join(next(parts).chunks()) == b"one" * 50
    got: list[bytes] = []
    cut = next(parts).chunks()
    with pytest.raises(MalformedMultipart) as fault:
        got.extend(cut)  # keeps what came before the fault
    assert fault.value.reason == MalformedMultipart.CUT_OFF
    assert (b"two" * 50).startswith(b"".join(got))
    assert len(b"".join(got)) > 90
    with pytest.raises(MalformedMultipart):
        next(parts)


@pytest.mark.parametrize(
    "ending", [b"", b"\r", b"\r\n", b"\r\n--bn", b"\r\n--bnd", b"\r\n--bnd-", b"\r\n--bnd \r"]
)
def test_a_last_part_of_its_declared_length_is_complete_without_closing_delimiter(ending):
    data = b"--bnd\r\nContent-Length: 5\r\n\r\nhello" + ending
    parts = iter_parts(pieces(data, 4), boundary=B)

    assert b"".join(next(parts).chunks()) == b"hello"
    with pytest.raises(MalformedMultipart, match="closing delimiter"):
        next(parts)


@pytest.mark.parametrize("declared", [b"4", b"6", b"1000000000000000", b"-1", b"x", b"9" * 5000])
def test_a_wrong_content_length_changes_nothing(declared):
    data = payload(b"hello", head=b"Content-Length: " + declared + b"\r\n")

    assert bodies(data) == [b"hello"]


def test_a_payload_without_its_boundary_is_refused_after_a_bounded_preamble():
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield b"--other\r\n" + b"x" * 991

    with pytest.raises(MalformedMultipart) as fault:
        next(iter_parts(endless(), boundary=B))
    assert fault.value.reason == MalformedMultipart.NO_BOUNDARY
    assert taken < 100_000


@pytest.mark.parametrize(
    "head", [b"A: " + b"x" * 9000 + b"\r\n", b"A: b\r\n" * 2000, b"x" * 100_000]
)
def test_a_part_header_over_8_kib_is_refused(head):
    with pytest.raises(MalformedMultipart) as fault:
        bodies(payload(b"hello", head=head), size=512)
    assert fault.value.reason == MalformedMultipart.LONG_HEADER


def test_what_is_left_unread_of_a_part_is_skipped():
    parts = iter_parts(pieces(payload(b"a" * 1000, b"b" * 1000, b"c"), 16), boundary=B)

    first = next(next(parts).chunks())
    next(parts)
    last = next(parts)

    assert first.startswith(b"a")
    assert b"".join(last.chunks()) == b"c"


def test_a_large_part_passes_in_constant_memory():
    chunk = bytes(range(256)) * 1024

    def source() -> Iterator[bytes]:
        yield b"--bnd\r\n\r\n"
        for _ in range(1024):
            yield bytes(chunk)
        yield b"\r\n--bnd--"

    tracemalloc.start()
    size = sum(len(data) for part in iter_parts(source(), boundary=B) for data in part.chunks())
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == 256 * 2**20
    assert peak < 4 * 2**20


def test_an_abandoned_payload_closes_the_part_that_is_open_and_the_maker_of_parts():
    opened = [io.BytesIO(b"x" * 10), io.BytesIO(b"y" * 10)]
    ended = []

    def make() -> Iterator[Part]:
        try:
            for file in opened:
                yield Part("application/dicom", file)
        finally:
            ended.append(True)

    sent = MultipartPayload(
        make(), boundary="b", media_type="application/dicom; transfer-syntax=1.2"
    )
    next(iter(sent))
    sent.close()

    assert opened[0].closed
    assert ended == [True]
    assert sent.content_type == 'multipart/related; type="application/dicom"; boundary=b'


def test_a_part_without_length_has_no_declared_size():
    assert IncomingPart({}, iter(())).declared_size is None


@settings(max_examples=300, deadline=None)
@given(
    base=st.lists(nasty.map(b"".join), max_size=4),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40)), max_size=4),
    noise=st.lists(st.one_of(st.binary(max_size=30), nasty.map(b"".join)), min_size=4, max_size=4),
    boundary=st.sampled_from([B, "-", "--bnd", "b" * 70, "b nd", "b'd"]),
    size=st.integers(1, 90),
)
def test_any_bytes_end_in_parts_or_a_refusal(base, cuts, noise, boundary, size):
    data = payload(*base)
    for (at, length), put in zip(cuts, noise, strict=False):
        data = data[:at] + put + data[at + length :]

    try:
        found = bodies(data, size=size, boundary=boundary)
    except MalformedMultipart:
        return

    assert sum(map(len, found)) <= len(data)
