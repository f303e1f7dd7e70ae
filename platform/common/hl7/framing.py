"""MLLP, the minimal lower layer protocol: ``VT message FS CR`` (HL7 MLLP release 1, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

VT = 0x0B
FS = 0x1C
CR = 0x0D
_BETWEEN = frozenset(b"\r\n")  # what some senders write after a frame belongs to nothing


@dataclass(frozen=True)
class Frame:
    """One message, or the beginning of one that was longer than is taken."""

    data: bytes
    whole: bool = True


class Framer:
    """Cuts a stream of bytes into frames, however its packets are split or joined.

    Holds at most ``most_bytes`` of a message; of a longer one only the beginning, so that it can still be answered.
    A start within a message begins anew: its sender gave the first one up. FS ends a message also where CR does not
    follow it.
    """

    def __init__(self, *, most_bytes: int, head_bytes: int = 4096) -> None:
        self._most = most_bytes
        self._head = head_bytes
        self._buffer = bytearray()
        self._inside = False
        self._too_long = False
        self.garbage = 0  # bytes outside of frames
        self.given_up = 0  # messages that another start cut off
        self.swallowed = 0  # bytes of too long messages that were thrown away

    @property
    def inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._inside

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that end within this chunk."""
        frames: list[Frame] = []
        at = 0
        while at < len(chunk):
            if not self._inside:
                at = self._find_start(chunk, at)
                continue
            end = chunk.find(FS, at)
            restart = chunk.find(VT, at, end if end >= 0 else len(chunk))
            if restart >= 0:
                self.given_up += 1
                self._begin()
                at = restart + 1
            elif end < 0:
                self._take(chunk[at:])
                break
            else:
                self._take(chunk[at:end])
                frames.append(Frame(bytes(self._buffer), whole=not self._too_long))
                self._inside = False
                self._buffer.clear()
                at = end + 1
        return frames

    def _find_start(self, chunk: bytes, at: int) -> int:
        start = chunk.find(VT, at)
        skipped = chunk[at:] if start < 0 else chunk[at:start]
        self.garbage += sum(byte not in _BETWEEN for byte in skipped)
        if start < 0:
            return len(chunk)
        self._begin()
        return start + 1

    def _begin(self) -> None:
        self._inside, self._too_long = True, False
        self._buffer.clear()

    def _take(self, part: bytes) -> None:
        if self._too_long:
            self.swallowed += len(part)
            return
        self._buffer += part
        if len(self._buffer) > self._most:
            self._too_long = True
            self.swallowed += len(self._buffer) - self._head
            del self._buffer[self._head :]


def framed(data: bytes) -> bytes:
    """A message in its frame."""
    return bytes([VT]) + data + bytes([FS, CR])
