"""Documents that are sent to the API, read within bounds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

MOST_BYTES = 2**20


class DocumentTooLarge(APIException):
    """The document is over a mebibyte; the framework itself would read any length into memory."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "document-too-large"


class BoundedJSONParser(JSONParser):
    """JSON of at most ``MOST_BYTES``, of a depth that can be read, without NUL, which no column can hold."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise DocumentTooLarge(_("The document is too large."))
        if b"\\u0000" in data or b"\x00" in data:
            raise ParseError(_("The document holds a NUL character."))
        try:
            parsed: dict[str, Any] = super().parse(io.BytesIO(data), media_type, parser_context)
        except RecursionError as error:
            raise ParseError(_("The document is nested too deeply.")) from error
        return parsed
