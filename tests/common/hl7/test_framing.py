"""MLLP frames are found in whatever packets they come, and a hostile stream is bounded."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.hl7.framing import Framer, framed

MOST = 1000


def fed(*chunks: bytes) -> tuple[Framer, list[bytes]]:
    framer = Framer(most_bytes=MOST, head_bytes=50)
    return framer, [frame.data for chunk in chunks for frame in framer.feed(chunk)]


def test_a_frame_in_one_packet_is_one_message() -> None:
    assert fed(framed(b"MSH|1"))[1] == [b"MSH|1"]


def test_two_frames_in_one_packet_are_two_messages() -> None:
    assert fed(framed(b"one") + framed(b"two"))[1] == [b"one", b"two"]


@given(
    st.lists(
        st.binary(min_size=1, max_size=40).filter(lambda b: not set(b) & {0x0B, 0x1C}), max_size=5
    ),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_however_the_packets_are_cut_the_messages_are_the_same(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(framed(body) for body in bodies)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in pairwise(edges)]

    assert fed(*chunks)[1] == bodies


def test_garbage_before_a_frame_is_counted_and_passed_over() -> None:
    framer, found = fed(b"GET / HTTP/1.1\r\n\r\n" + framed(b"MSH"))

    assert found == [b"MSH"]
    assert framer.garbage == len("GET / HTTP/1.1")


def test_a_start_within_a_message_begins_anew() -> None:
    framer, found = fed(b"\x0bhalf a mess", b"age\x0bwhole\x1c\r")

    assert found == [b"whole"]
    assert framer.given_up == 1


def test_an_end_without_carriage_return_ends_too() -> None:
    assert fed(b"\x0bone\x1c", b"\x0btwo\x1c\n")[1] == [b"one", b"two"]


def test_of_a_message_that_is_too_long_only_the_beginning_is_held() -> None:
    framer = Framer(most_bytes=MOST, head_bytes=50)
    framer.feed(b"\x0b" + b"M" * 900)
    assert framer.feed(b"M" * 900) == []
    for _ in range(100):
        framer.feed(b"M" * 10_000)
        assert len(framer._buffer) == 50

    (frame,) = framer.feed(b"\x1c\r" + framed(b"next")[:-2])[:1]
    assert not frame.whole
    assert frame.data == b"M" * 50
    assert framer.swallowed > 1_000_000
    assert framer.inside
