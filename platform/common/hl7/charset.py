"""Character sets of messages (MSH-18, table 0211), decoded before anything is parted.

In GBK and GB 18030 the second byte of a Han character may be ``|``, ``^`` or ``\\``: a message that is parted first
and decoded then loses fields.
"""

from __future__ import annotations

from common.hl7.errors import MessageError

# As table 0211 writes them, and as systems in the country do; the key has no spaces, hyphens and slashes.
_CODECS = {
    "ASCII": "ascii",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",  # withdrawn from the table; what is sent under it is UTF-8
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "BIG5": "big5",
    "BIG52003": "big5",
    "88591": "iso8859-1",
    "8859_1": "iso8859-1",
    "885915": "iso8859-15",
}
NAMES = ("ASCII", "UNICODE UTF-8", "GB 18030-2000", "BIG-5", "8859/1", "8859/15")
UNDECLARED = "utf-8"


def codec_of(name: str) -> str:
    """The codec of a name in MSH-18, or of an institution's override.

    Raises:
        MessageError: a character set that is not read here.
    """
    key = "".join(letter for letter in name.upper() if letter.isalnum() or letter == "_")
    codec = _CODECS.get(key)
    if codec is None:
        raise MessageError("The character set in MSH-18 is not read here.", location="MSH-18")
    return codec


def declared(head: bytes) -> str:
    """MSH-18 of the first segment, its first repetition; empty where none is said."""
    line = head.split(b"\r", 1)[0].split(b"\n", 1)[0]
    if len(line) < 8:
        return ""
    text = _readable(line)
    fields = text.split(text[3])
    value = fields[17] if len(fields) > 17 else ""
    repetition = text[5] if len(text) > 5 else "~"
    return value.split(repetition)[0].strip()


def _readable(line: bytes) -> str:
    """The header as text, to find its fields: names of facilities in it may be Han already."""
    for codec in ("utf-8", "gb18030"):
        try:
            return line.decode(codec)
        except UnicodeDecodeError:
            continue
    return line.decode("iso8859-1")


def decoded(data: bytes, *, override: str = "") -> tuple[str, str]:
    """The message as text, and the codec it was in.

    What MSH-18 declares goes before the institution's override; where neither says anything it is UTF-8, of which
    ASCII is a part.

    Raises:
        MessageError: bytes that the character set does not have, with the field they stand in; or an unknown set.
    """
    name = declared(data)
    codec = codec_of(name) if name else codec_of(override) if override else UNDECLARED
    try:
        return data.decode(codec), codec
    except UnicodeDecodeError as error:
        place = _place_of_fault(data, codec)
        text = f"Bytes in {place} are not in the character set {name or override or 'UTF-8'}."
        raise MessageError(text, location=place) from error


def _place_of_fault(data: bytes, codec: str) -> str:
    separator = chr(data[3]) if len(data) > 3 else "|"
    for line in data.split(b"\r" if b"\r" in data else b"\n"):
        try:
            line.decode(codec)
        except UnicodeDecodeError as error:
            before = line[: error.start].decode(codec, "replace")
            before = before.lstrip("\n")
            name = before[:3] if before[:3].isalnum() else "?"
            count = before.count(separator) + (1 if name == "MSH" else 0)
            return f"{name}-{count}"
    return "MSH"
