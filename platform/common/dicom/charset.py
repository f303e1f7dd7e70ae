"""Text of a data set in Unicode (Specific Character Set, PS3.3 C.12.1.1.2; PS3.5 section 6.1.2)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache

_ESC = b"\x1b"
_LATIN = "latin-1"
# Chinese codings are all read as their superset: devices declare GB2312 or GBK and send GB18030.
_CHINESE = "gb18030"

_NUMBERED = {
    "6": "ascii",
    "13": "shift_jis",
    "14": "shift_jis",
    "58": _CHINESE,
    "87": "iso2022_jp",
    "100": _LATIN,
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "iso8859_11",
    "192": "utf-8",
    "203": "iso8859_15",
}
_NAMED = {
    "GB18030": _CHINESE,
    "GBK": _CHINESE,
    "GB2312": _CHINESE,
    "ISO_2022_GBK": _CHINESE,
    "ISO_2022_58": _CHINESE,
    "UTF_8": "utf-8",
    "UTF8": "utf-8",
}
# PS3.3 tables C.12-3 and C.12-4: what an escape sequence switches to.
_ESCAPES = {
    b"(B": "ascii",
    b"-A": _LATIN,
    b")I": "shift_jis",
    b"(J": "shift_jis",
    b"$B": "iso2022_jp",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-F": "iso8859_7",
    b"-G": "iso8859_6",
    b"-H": "iso8859_8",
    b"-L": "iso8859_5",
    b"-M": "iso8859_9",
    b"-T": "iso8859_11",
    b"-b": "iso8859_15",
    b"$)C": "euc_kr",
    b"$(D": "iso2022_jp_2",
    b"$)A": _CHINESE,
}
# Python's own codec follows these escape sequences, so they stay in front of the bytes.
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})
_FRAGMENT = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_RESET = re.compile(rb"[\r\n\t\f\\]")
_RESET_IN_NAME = re.compile(rb"[\r\n\t\f\\^=]")


def _codec_name(term: str) -> str | None:
    """Python's name of one Specific Character Set term; None where the term is unknown."""
    plain = re.sub(r"[\s_\-]+", "_", term.strip(" \0").upper())
    if plain in _NAMED:
        return _NAMED[plain]
    numbered = re.fullmatch(r"ISO_(?:2022_)?IR_?(\d+)", plain)
    return _NUMBERED.get(numbered[1]) if numbered else None


# An override that ends so is also used where Latin-1 or ASCII is declared and the bytes are Chinese all the same.
FORCED = "!"
_HIGH_RUN = re.compile(rb"[\x80-\xff]{2}")
_CHINESE_TEXT = re.compile(
    "[\\x00-\\x7f\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\u2018-\u2026\u00b7]*"
)


def chinese_instead(raw: bytes, codec: str) -> str:
    """The text in this Chinese coding; empty where it is none, as a Latin-1 text with single accented letters."""
    if not _HIGH_RUN.search(raw):
        return ""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return ""
    return text if _CHINESE_TEXT.fullmatch(text) else ""


@lru_cache(maxsize=256)
def _resolve(declared: tuple[str, ...], override: str) -> tuple[str, str]:
    """(codec declared first or "" where nothing usable is declared, override codec or "")."""
    spare = ""
    override = override.removesuffix(FORCED)
    if override:
        spare = _codec_name(override) or ""
        if not spare:
            try:
                spare = codecs.lookup(override).name
            except LookupError:
                spare = ""
    first = _codec_name(declared[0]) if declared and declared[0].strip(" \0") else None
    extended = len(declared) > 1
    # With code extensions an empty first value means the default repertoire (PS3.3 C.12.1.1.2).
    if first is None and extended and not declared[0].strip(" \0"):
        first = "ascii"
    return first or "", spare


class TextCodec:
    """Decodes the text of one data set. ``doubtful`` turns true when bytes did not fit."""

    __slots__ = ("_first", "_forced", "_override", "doubtful")

    def __init__(self, declared: tuple[str, ...], override: str) -> None:
        self._first, self._override = _resolve(declared, override)
        self._forced = override.endswith(FORCED) and self._first in ("", "ascii", _LATIN)
        self.doubtful = False

    def decode(self, raw: bytes, *, is_name: bool = False) -> str:
        """The text of a value, all values of a multi-valued one together; never raises.

        Split at backslashes only afterwards: in GB18030 and Shift JIS a backslash byte can be the
        second half of a character.
        """
        if _ESC in raw:
            return self._decode_escaped(raw, _RESET_IN_NAME if is_name else _RESET)
        if raw.isascii():
            return raw.decode("ascii")
        return self._decode_plain(raw)

    def _decode_plain(self, raw: bytes) -> str:
        """Bytes without escape sequences, some beyond ASCII."""
        first = self._first
        if self._forced and (text := chinese_instead(raw, self._override)):
            self.doubtful = True
            return text
        if first and first != "ascii":
            try:
                return raw.decode(first)
            except UnicodeDecodeError:
                self.doubtful = True
                return self._guess(raw) or raw.decode(first, errors="replace")
        if self._override:
            try:
                return raw.decode(self._override)
            except UnicodeDecodeError:
                self.doubtful = True
                return raw.decode(self._override, errors="replace")
        # Nothing says what these are. Valid UTF-8 beyond ASCII is hardly ever anything else.
        self.doubtful = True
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode(_LATIN)

    def _guess(self, raw: bytes) -> str:
        if not self._override:
            return ""
        try:
            return raw.decode(self._override)
        except UnicodeDecodeError:
            return ""

    def _decode_escaped(self, raw: bytes, reset: re.Pattern[bytes]) -> str:
        """Code extensions (PS3.5 section 6.1.2.5): each escape holds until the next or a delimiter."""
        return "".join(self._fragment(part, reset) for part in _FRAGMENT.findall(raw))

    def _fragment(self, part: bytes, reset: re.Pattern[bytes]) -> str:
        if not part.startswith(_ESC):
            return self.decode(part)
        for size in (3, 2):
            codec = _ESCAPES.get(part[1 : 1 + size])
            if codec is not None:
                break
        else:
            self.doubtful = True
            rest = part[1:]
            return rest.decode("ascii", errors="replace")
        if codec in _STATEFUL:
            return self._strictly(part, codec)
        body = part[1 + size :]
        found = reset.search(body)
        if found is None:
            return self._strictly(body, codec)
        return self._strictly(body[: found.start()], codec) + self.decode(body[found.start() :])

    def _strictly(self, raw: bytes, codec: str) -> str:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            self.doubtful = True
            return raw.decode(codec, errors="replace")


def text_codec(declared: str | Sequence[str], override: str = "") -> TextCodec:
    """The decoder for this Specific Character Set.

    ``override`` (an institution's own character set) is used where nothing is declared, where the
    declared term is unknown, and where bytes do not fit what is declared; with ``FORCED`` at its end also where
    Latin-1 or ASCII is declared and the bytes are Chinese (``chinese_instead``).
    """
    terms = declared.split("\\") if isinstance(declared, str) else [str(term) for term in declared]
    return TextCodec(tuple(terms), override)


def decode_text(
    raw: bytes, *, declared: str | Sequence[str] = "", override: str = "", is_name: bool = False
) -> tuple[str, bool]:
    """The text, and whether it is doubtful: bytes that did not fit were replaced or guessed."""
    codec = text_codec(declared, override)
    return codec.decode(raw, is_name=is_name), codec.doubtful
