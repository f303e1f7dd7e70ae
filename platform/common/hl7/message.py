"""A message as segments, fields, repetitions, components and subcomponents (HL7 v2.9 chapter 2).

Not a model of every message: receivers ask for the few fields they use. A parser of ours and not a library's: see
ADR 0027.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from common.hl7 import charset
from common.hl7.errors import REQUIRED_FIELD_MISSING, SEGMENT_SEQUENCE, MessageError, NotAMessage
from common.hl7.escapes import Delimiters, unescaped

# "Delete what you hold" (chapter 2, section 2.5.3), other than an empty field: "I say nothing".
NULL = '""'
MOST_SEGMENTS = 20_000
_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_TIME = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})?(?P<day>\d{2})?"
    r"(?:(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:\.\d{1,4})?)?)?"
    r"(?P<zone>[+-]\d{4})?\Z"
)


@dataclass(frozen=True)
class Repetition:
    """One value of a field: its components."""

    raw: str
    delimiters: Delimiters
    codec: str

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """A component, or a part of one, unescaped and without the spaces around it; "" for none or for null."""
        parts = self.raw.split(self.delimiters.component)
        if component > len(parts):
            return ""
        inner = parts[component - 1].split(self.delimiters.subcomponent)
        if subcomponent > len(inner):
            return ""
        found = inner[subcomponent - 1]
        return "" if found == NULL else self._unescaped(found).strip()

    def whole(self) -> str:
        """The value as one text: of fields that have no components, whatever stands in them."""
        return "" if self.raw == NULL else self._unescaped(self.raw)

    def _unescaped(self, text: str) -> str:
        return unescaped(text, self.delimiters, codec=self.codec)


@dataclass(frozen=True)
class Segment:
    """One line of a message. Fields count from 1; of MSH the first is the separator itself."""

    name: str
    fields: tuple[str, ...]
    delimiters: Delimiters
    codec: str

    def raw(self, number: int) -> str:
        """A field as it was written."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[Repetition]:
        """Every value of a field that says something."""
        raw = self.raw(number)
        if not raw or raw == NULL:
            return []
        parts = raw.split(self.delimiters.repetition)
        return [Repetition(part, self.delimiters, self.codec) for part in parts if part]

    def text(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """A component of a field's first value."""
        values = self.repetitions(number)
        return self._said(number, lambda: values[0].text(component, subcomponent) if values else "")

    def whole(self, number: int) -> str:
        """A field's values as one text, each on a line of its own."""
        values = self.repetitions(number)
        return self._said(number, lambda: "\n".join(value.whole() for value in values))

    def _said(self, number: int, read: Callable[[], str]) -> str:
        try:
            return read()
        except MessageError as error:
            raise MessageError(error.message, location=f"{self.name}-{number}") from error

    def is_null(self, number: int) -> bool:
        """Whether the sender asks to delete the value."""
        return self.raw(number) == NULL

    def needed(self, number: int, component: int = 1) -> str:
        """A component that must be there.

        Raises:
            MessageError: it is empty.
        """
        value = self.text(number, component)
        if not value:
            raise MessageError(
                f"{self.name}-{number} is empty.",
                condition=REQUIRED_FIELD_MISSING,
                location=f"{self.name}-{number}",
            )
        return value

    def instant(self, number: int, zone: ZoneInfo) -> dt.datetime | None:
        """A time stamp (TS, DTM): aware, in ``zone`` where it names none; None when the field is empty.

        Raises:
            MessageError: it is no time stamp.
        """
        value = self.text(number)
        return self._time(number, value, zone) if value else None

    def day(self, number: int) -> dt.date | None:
        """A date (DT, or the day of a time stamp). A date without day or month is none."""
        value = self.text(number)
        if not value or len(value) < 8:
            return None
        return self._time(number, value[:8], ZoneInfo("UTC")).date()

    def _time(self, number: int, value: str, zone: ZoneInfo) -> dt.datetime:
        found = _TIME.match(value)
        place = f"{self.name}-{number}"
        if found is None:
            raise MessageError(f"{place} is no time stamp.", location=place)
        try:
            return _moment(found, zone)
        except ValueError as error:
            raise MessageError(f"{place} is no time that exists.", location=place) from error


def _moment(found: re.Match[str], zone: ZoneInfo) -> dt.datetime:
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    info: dt.tzinfo = _zone_of(found["zone"]) if found["zone"] else zone
    return dt.datetime(year, month, day, hour, minute, second, tzinfo=info)


def _zone_of(offset: str) -> dt.tzinfo:
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return dt.timezone(dt.timedelta(minutes=-minutes if offset[0] == "-" else minutes))


@dataclass(frozen=True)
class Message:
    """A parsed message."""

    segments: tuple[Segment, ...]
    delimiters: Delimiters
    codec: str

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    @property
    def kind(self) -> str:
        """The message's code: ``ADT``."""
        return self.header.text(9, 1).upper()

    @property
    def event(self) -> str:
        """The trigger event: ``A01``. From EVN-1 where MSH-9 does not say it, as version 2.2 allowed."""
        event = self.header.text(9, 2)
        evn = self.first("EVN")
        return (event or (evn.text(1) if evn else "")).upper()

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of this name, in order."""
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next(self.all(name), None)

    def needed(self, name: str) -> Segment:
        """The first segment of this name.

        Raises:
            MessageError: there is none.
        """
        found = self.first(name)
        if found is None:
            raise MessageError(
                f"The message has no {name} segment.", condition=SEGMENT_SEQUENCE, location=name
            )
        return found

    def groups(self, name: str) -> list[list[Segment]]:
        """The segments from each one of this name to the next: an order with what belongs to it."""
        found: list[list[Segment]] = []
        for segment in self.segments:
            if segment.name == name:
                found.append([segment])
            elif found:
                found[-1].append(segment)
        return found


def parse(data: bytes, *, override: str = "") -> Message:
    """Part a message. ``override``: the character set of this sender where it declares none.

    Raises:
        NotAMessage: no usable MSH segment.
        MessageError: bytes outside of the character set, with the field; or a line that is no segment.
    """
    delimiters_of(data)  # before text is made of it: whether it is a message at all
    text, codec = charset.decoded(data, override=override)
    if "\x00" in text:
        raise MessageError("The message holds a NUL, which no text has.", location="MSH")
    delimiters = delimiters_of(text[:16].encode("utf-8"))
    lines = lines_of(text)
    if len(lines) > MOST_SEGMENTS:
        raise MessageError(
            "The message has too many segments.", condition=SEGMENT_SEQUENCE, location="MSH"
        )
    return Message(tuple(_segment(line, delimiters, codec) for line in lines), delimiters, codec)


def lines_of(text: str) -> list[str]:
    """The segments of a message, unread. They end with CR; what some systems write instead (CR LF, LF) is read too.

    A lone LF among segments that end with CR is a line break within a text, as some systems send it.
    """
    end = "\r" if "\r" in text else "\n"
    return [line for line in (part.strip("\n") for part in text.split(end)) if line.strip()]


def delimiters_of(data: bytes) -> Delimiters:
    """MSH-1 and MSH-2.

    Raises:
        NotAMessage: there is no MSH at the beginning, or its delimiters cannot be told apart.
    """
    if data[:3] != b"MSH" or len(data) < 8:
        raise NotAMessage
    separator = chr(data[3])
    marks = data[4:16].decode("ascii", "replace").split(separator)[0]
    if not 2 <= len(marks) <= 5 or len(set(separator + marks)) != len(marks) + 1:
        raise NotAMessage("The delimiters in MSH-1 and MSH-2 cannot be told apart.")
    if any(mark.isalnum() or mark <= " " or mark > "~" for mark in separator + marks):
        raise NotAMessage("The delimiters in MSH-1 and MSH-2 are no delimiters.")
    filled = marks.ljust(4, "\0")  # a character that no message holds: never met
    return Delimiters(
        field=separator,
        component=filled[0],
        repetition=filled[1],
        escape=filled[2] if filled[2] != "\0" else "",
        subcomponent=filled[3],
    )


def _segment(line: str, delimiters: Delimiters, codec: str) -> Segment:
    fields = line.split(delimiters.field)
    name = fields[0]
    if not _SEGMENT_NAME.match(name):
        raise MessageError("A line of the message is no segment.", condition=SEGMENT_SEQUENCE)
    if name == "MSH":  # its first field is the separator: counted, and not between separators
        fields = [name, delimiters.field, *fields[1:]]
    return Segment(name, tuple(fields), delimiters, codec)
