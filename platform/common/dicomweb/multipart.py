"""multipart/related payloads read while they arrive, and written while they are made (PS3.18 §8.6.1.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.dicomweb.errors import MalformedMultipart

MAX_HEADER_BYTES = 8 * 1024
MAX_PREAMBLE_BYTES = 64 * 1024
MAX_PADDING_BYTES = 256  # white space between a boundary and its line end (RFC 2046 §5.1.1)
SMALL_CHUNK_BYTES = 64 * 1024


class IncomingPart:
    """One part of a payload that is still arriving: its headers are here, its bytes are not."""

    def __init__(self, headers: dict[str, str], chunks: Iterator[bytes]) -> None:
        self.headers = headers
        self._chunks = chunks

    @property
    def content_type(self) -> str:
        """The part's Content-Type as sent; empty when there is none."""
        return self.headers.get("content-type", "")

    @property
    def declared_size(self) -> int | None:
        """The part's Content-Length: a hint. The boundary says where the part ends."""
        text = self.headers.get("content-length", "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def chunks(self) -> Iterator[bytes]:
        """The bytes, once, in arriving order. What is left unread when the next part is asked for is skipped.

        Raises:
            MalformedMultipart: the payload ends before the part does; all that arrived was delivered.
        """
        return self._chunks


def iter_parts(chunks: Iterable[bytes], *, boundary: str) -> Iterator[IncomingPart]:
    """Split a multipart/related payload while it arrives (PS3.18 §8.6.1.2.1; RFC 2046 §5.1.1).

    Holds at most one chunk and one part header; part bodies are read in chunks, mostly the very objects that
    came in. Preamble and epilogue are skipped. A last part without closing delimiter is complete if its own
    Content-Length says so; it is delivered, and the fault is raised after it.

    Raises:
        MalformedMultipart: no first boundary, a part header over 8 KiB, no closing delimiter.
    """
    return _Splitter(chunks, boundary).parts()


class _Splitter:
    """The bytes not yet given out, and the delimiter that is looked for in them."""

    def __init__(self, chunks: Iterable[bytes], boundary: str) -> None:
        self._source = iter(chunks)
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        # The first delimiter may stand at the very start, without a line end before it.
        self._held = b"\r\n"
        self._at = 0
        self._closed = False
        self._cut_off = False

    def parts(self) -> Iterator[IncomingPart]:
        self._skip_preamble()
        while not self._closed:
            headers = self._read_headers()
            body = self._read_body(_declared_size(headers))
            yield IncomingPart(headers, body)
            for _ in body:
                pass  # what the caller left unread
            if self._cut_off:
                raise _cut_off()

    def _more(self) -> bool:
        """Append the next chunk to what is held; False at the end of the payload."""
        for chunk in self._source:
            if chunk:
                held = self._held
                self._held = held[self._at :] + chunk if len(held) > self._at else chunk
                self._at = 0
                return True
        return False

    def _skip_preamble(self) -> None:
        skipped = 0
        while True:
            found, start = self._find_delimiter()
            if found:
                return
            skipped += start - self._at
            self._at = start
            if skipped > MAX_PREAMBLE_BYTES or not self._more():
                raise MalformedMultipart(
                    "The payload does not contain the boundary that its header names.",
                    reason=MalformedMultipart.NO_BOUNDARY,
                )

    def _find_delimiter(self) -> tuple[bool, int]:
        """Whether a delimiter line is held, and the index before which there is none.

        When found, the reading position moves behind the line and the index is where the body ends.
        """
        search = self._at
        while True:
            start = self._held.find(self._delimiter, search)
            if start < 0:
                return False, self._first_possible_start()
            end = self._line_end(start + len(self._delimiter))
            if end is None:
                return False, start  # more bytes are needed to know
            if end >= 0:
                self._at = end
                return True, start
            search = start + 2  # body bytes that only look like a delimiter

    def _first_possible_start(self) -> int:
        """Index of the first byte at the end of the buffer that could begin a delimiter."""
        held, delimiter = self._held, self._delimiter
        start = held.find(b"\r", max(self._at, len(held) - len(delimiter) + 1))
        while start >= 0:
            if delimiter.startswith(held[start:]):
                return start
            start = held.find(b"\r", start + 1)
        return len(held)

    def _line_end(self, after: int) -> int | None:
        """Index behind a delimiter line; -1 if it is none; None if more bytes are needed to know."""
        tail = self._held[after : after + MAX_PADDING_BYTES]
        if tail.startswith(b"--"):
            self._closed = True
            return after + 2
        padding = len(tail) - len(tail.lstrip(b" \t"))
        rest = tail[padding:]
        if rest.startswith(b"\r\n"):
            return after + padding + 2
        if (padding < MAX_PADDING_BYTES and rest in (b"", b"\r")) or tail == b"-":
            return None
        return -1

    def _read_headers(self) -> dict[str, str]:
        while True:
            if self._held.startswith(b"\r\n", self._at):
                return {}  # the blank line stays, as below
            end = self._held.find(b"\r\n\r\n", self._at, self._at + MAX_HEADER_BYTES + 4)
            if end >= 0:
                block = self._held[self._at : end]
                # The blank line's own end stays: it may be the start of the next delimiter (an empty part).
                self._at = end + 2
                return _parse_headers(block)
            if len(self._held) - self._at > MAX_HEADER_BYTES:
                raise MalformedMultipart(
                    "The header of a part is longer than 8 KiB.",
                    reason=MalformedMultipart.LONG_HEADER,
                )
            if not self._more():
                raise _cut_off()

    def _read_body(self, declared: int | None) -> Generator[bytes, None, None]:
        empty = self._starts_with_delimiter()
        if not empty and self._held.startswith(b"\r\n", self._at):
            self._at += 2
        size = 0
        while True:
            begin = self._at
            found, end = self._find_delimiter()
            if end > begin:
                size += end - begin
                whole = begin == 0 and end == len(self._held)
                data = self._held if whole else self._held[begin:end]
                self._at = max(self._at, end)
                yield data
            if found:
                return
            if not self._more():
                yield from self._last_bytes(size, declared)
                return

    def _starts_with_delimiter(self) -> bool:
        while len(self._held) - self._at < len(self._delimiter) + MAX_PADDING_BYTES:
            start = self._held[self._at : self._at + len(self._delimiter)]
            if not self._delimiter.startswith(start) or not self._more():
                break
        if not self._held.startswith(self._delimiter, self._at):
            return False
        return self._line_end(self._at + len(self._delimiter)) != -1

    def _last_bytes(self, size: int, declared: int | None) -> Iterator[bytes]:
        """The payload ended inside a part: give out what is held, then say so unless the part is complete."""
        self._cut_off = self._closed = True
        rest = self._held[self._at :]
        self._held, self._at = b"", 0
        if rest.startswith(self._delimiter):
            return  # the boundary came, only the end of its line did not
        if declared is not None and size <= declared <= size + len(rest):
            if declared > size:
                yield rest[: declared - size]
            return
        if rest:
            yield rest
        raise _cut_off()


def _cut_off() -> MalformedMultipart:
    return MalformedMultipart(
        "The payload ends before its closing delimiter.", reason=MalformedMultipart.CUT_OFF
    )


def _declared_size(headers: dict[str, str]) -> int | None:
    return IncomingPart(headers, iter(())).declared_size


def _parse_headers(block: bytes) -> dict[str, str]:
    """Header fields by lower-case name; a folded line continues the one before; other lines are ignored."""
    headers: dict[str, str] = {}
    name = ""
    for line in block.decode("latin-1").split("\r\n"):
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        if colon:
            name = key.strip().lower()
            headers[name] = value.strip()
    return headers


@dataclass(frozen=True)
class Part:
    """One part to be sent. ``chunks`` is read once and closed if it can be."""

    media_type: str
    chunks: Iterable[bytes]
    size_bytes: int | None = None
    location: str = ""

    def header(self) -> bytes:
        """The part's header fields, with the blank line."""
        lines = [f"Content-Type: {self.media_type}"]
        if self.size_bytes is not None:
            lines.append(f"Content-Length: {self.size_bytes}")
        if self.location:
            lines.append(f"Content-Location: {self.location}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class MultipartPayload:
    """A multipart/related body made part by part, for a streaming response.

    ``parts`` may be made lazily; the root media type is then given by ``media_type``. ``close()`` closes the
    part that is being read and the maker of the parts, so that an abandoned response leaves nothing open.
    """

    def __init__(
        self, parts: Iterable[Part], *, boundary: str, media_type: str | None = None
    ) -> None:
        self._known = parts if isinstance(parts, Sequence) else None
        if media_type is None:
            if not self._known:
                raise ValueError("the root media type must be given when the parts are not known")
            media_type = self._known[0].media_type
        root = media_type.split(";", 1)[0].strip()
        self.content_type = f'multipart/related; type="{root}"; boundary={boundary}'
        self._boundary = boundary.encode("ascii")
        self._parts = iter(parts)
        self._source = parts
        self._open: Iterable[bytes] | None = None

    @property
    def content_length(self) -> int | None:
        """Size of the whole body, when every part's size is known."""
        if self._known is None:
            return None
        total = len(self._boundary) + 6 + (2 if self._known else 0)
        for number, part in enumerate(self._known):
            if part.size_bytes is None:
                return None
            total += len(self._boundary) + (6 if number else 4) + len(part.header())
            total += part.size_bytes
        return total

    def __iter__(self) -> Iterator[bytes]:
        pending = b""
        for part in self._parts:
            self._open = part.chunks
            pending += b"--" + self._boundary + b"\r\n" + part.header()
            for chunk in part.chunks:
                if len(chunk) <= SMALL_CHUNK_BYTES and pending:
                    yield pending + chunk  # one write instead of two
                else:
                    if pending:
                        yield pending
                    yield chunk
                pending = b""
            self._close_part()
            pending += b"\r\n"
        yield pending + b"--" + self._boundary + b"--\r\n"

    def _close_part(self) -> None:
        close: Callable[[], None] | None = getattr(self._open, "close", None)
        self._open = None
        if close is not None:
            close()

    def close(self) -> None:
        """Release what is open; called by the web server at the end of the response."""
        self._close_part()
        close: Callable[[], None] | None = getattr(self._source, "close", None)
        if close is not None:
            close()
