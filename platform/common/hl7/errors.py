"""What can be wrong with a message, in the words of table 0357 (message error condition codes)."""

from __future__ import annotations

from common.errors import DomainError

SEGMENT_SEQUENCE = "100"
REQUIRED_FIELD_MISSING = "101"
DATA_TYPE_ERROR = "102"
TABLE_VALUE_NOT_FOUND = "103"
UNSUPPORTED_MESSAGE_TYPE = "200"
UNSUPPORTED_EVENT = "201"
UNSUPPORTED_PROCESSING_ID = "202"
UNSUPPORTED_VERSION = "203"
UNKNOWN_KEY = "204"
DUPLICATE_KEY = "205"
INTERNAL_ERROR = "207"


class MessageError(DomainError):
    """A message, or a field of it, cannot be used. ``location`` is segment and field: ``PID-3``.

    The text names the field and what is wrong, never the value: it goes into logs and lists.
    """

    code = "hl7-message-invalid"

    def __init__(self, text: str, *, condition: str = DATA_TYPE_ERROR, location: str = "") -> None:
        super().__init__(text)
        self.condition = condition
        self.location = location


class NotAMessage(MessageError):
    """The bytes are no HL7 version 2 message: they do not begin with a usable MSH segment."""

    code = "hl7-not-a-message"

    def __init__(self, text: str = "") -> None:
        super().__init__(
            text or "The bytes do not begin with a usable MSH segment.",
            condition=SEGMENT_SEQUENCE,
            location="MSH",
        )
