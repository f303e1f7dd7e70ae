"""WADO-URI: one instance by query parameters (PS3.18 §9, 2024e), over all institutions.

The primary visible copy answers, as at the common root of DICOMweb. Each request becomes one of the RESTful
views, so that rights, audit, transcoding and pictures are the same in both services.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.dicomweb.media_types import DICOM, MediaType, parse_accept
from common.dicomweb.render import MAX_SIDE, Picture, Region, Window
from common.dicomweb.render_picture import GIF, JPEG, PNG
from common.dicomweb.server import BadRequest, NotAcceptable, check_uids
from sharing.dicomweb.documents import held_series
from sharing.dicomweb.picture_parameters import read_notes, read_quality, read_window
from sharing.dicomweb.rendered import RenderedView
from sharing.dicomweb.rendered_documents import HTML, MP4, MPEG, PDF, TEXT
from sharing.dicomweb.wado import RetrieveInstanceView, RetrieveView

if TYPE_CHECKING:
    from django.http import QueryDict

_UIDS = {"study_uid": "studyUID", "series_uid": "seriesUID", "instance_uid": "objectUID"}
OFFERED = {DICOM, JPEG, PNG, GIF, HTML, TEXT, PDF, MP4, MPEG}
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."  # SOP classes of structured reports begin so
# Of pictures only (§9.1.2.2): together with application/dicom they mean nothing.
_OF_PICTURES = (
    "rows",
    "columns",
    "region",
    "windowCenter",
    "windowWidth",
    "frameNumber",
    "imageQuality",
    "annotation",
)
_NOT_OFFERED = {
    "presentationUID": "Presentation states are not applied here.",
    "presentationSeriesUID": "Presentation states are not applied here.",
}
PARAMETERS = frozenset(
    ("contentType", "transferSyntax", "charset", "anonymize", *_OF_PICTURES, *_NOT_OFFERED)
)


class WadoUriView(RetrieveView):
    """``/wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…``."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponseBase:
        given = request.GET
        uids = require_request(given)
        self.kwargs.update(uids)  # as if they stood in the path
        wanted = self._media_type(given)
        if wanted == DICOM:
            _refuse_picture_parameters(given)
            return InstanceByQuery.as_view()(request, **uids)
        if given.get("transferSyntax"):
            raise BadRequest("A transferSyntax goes with contentType=application/dicom only.")
        # Checked whatever the instance is; the view reads them again.
        read_wado_picture(given)
        view = RenderedByQuery.as_view(wanted=wanted)
        return view(request, **uids, frames=given.get("frameNumber", ""))

    def _media_type(self, given: QueryDict) -> str:
        asked = parse_accept(",".join(given.getlist("contentType")))
        for each in asked:
            if each.name == "*/*":
                return self._default(given)
            if each.name in OFFERED:
                return each.name
        if asked:
            raise NotAcceptable(f"As contentType, {', '.join(sorted(OFFERED))} are offered.")
        return self._default(given)

    def _default(self, given: QueryDict) -> str:
        """What an instance is given as where no contentType is named (§9.1.2.2.1)."""
        entry = held_series(self.series()).instance(self.kwargs["instance_uid"])
        if entry.frames.count == 1 or (entry.frames.count and given.get("frameNumber")):
            return JPEG
        return HTML if entry.sop_class_uid.startswith(_REPORTS) else DICOM


class InstanceByQuery(RetrieveInstanceView):
    """The instance itself, in the transfer syntax that is named, else in the default one."""

    @cached_property
    def accepted(self) -> list[MediaType]:
        syntax = self.request.GET.get("transferSyntax", "")
        return [MediaType(DICOM, {"transfer-syntax": syntax} if syntax else {})]


class RenderedByQuery(RenderedView):
    """A picture of the instance, or its text."""

    wanted = JPEG

    @cached_property
    def accepted(self) -> list[MediaType]:
        return [MediaType(self.wanted)]

    @property
    def asked(self) -> Picture:
        return read_wado_picture(self.request.GET)


def require_request(given: QueryDict) -> dict[str, str]:
    """The three UIDs.

    Raises:
        BadRequest: one is missing or none, or something is asked for that is not offered.
    """
    if given.get("requestType", "").upper() != "WADO":
        raise BadRequest("The requestType is WADO.")
    uids = {name: given.get(parameter, "") for name, parameter in _UIDS.items()}
    missing = [_UIDS[name] for name, uid in uids.items() if not uid]
    if missing:
        raise BadRequest(f"Missing: {', '.join(missing)}.")
    check_uids(dict[str, Any](uids))
    if given.get("anonymize"):
        raise BadRequest("Anonymized instances are not given here: ask without anonymize.")
    for name, reason in _NOT_OFFERED.items():
        if given.get(name):
            raise BadRequest(reason)
    charsets = {each.split(";")[0].strip().lower() for each in given.get("charset", "").split(",")}
    if not charsets & {"", "utf-8", "utf8", "*"}:
        raise NotAcceptable("Text is given in UTF-8.")
    return uids


def _refuse_picture_parameters(given: Mapping[str, Any]) -> None:
    named = [name for name in _OF_PICTURES if given.get(name)]
    if named:
        raise BadRequest(f"With contentType=application/dicom there is no {', '.join(named)}.")


def read_wado_picture(given: QueryDict) -> Picture:
    """What the parameters of §9.1.2.2 ask for.

    Raises:
        BadRequest: one is not of its form.
    """
    return Picture(
        quality=read_quality(given.get("imageQuality", ""), 90),
        viewport=_read_size(given.get("columns", ""), given.get("rows", "")),
        region=read_region(given.get("region", "")),
        window=_read_window(given.get("windowCenter", ""), given.get("windowWidth", "")),
        notes=read_notes(given.get("annotation", ""))[0],
    )


def _read_size(columns: str, rows: str) -> tuple[int, int] | None:
    if not columns and not rows:
        return None
    sides = [each or str(MAX_SIDE) for each in (columns, rows)]
    if not all(side.isascii() and side.isdigit() and len(side) <= 6 for side in sides):
        raise BadRequest("Rows and columns are whole numbers.")
    width, height = map(int, sides)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BadRequest(f"Rows and columns are from 1 to {MAX_SIDE}.")
    return width, height


def _read_window(center: str, width: str) -> Window | None:
    if not center and not width:
        return None
    if not center or not width or "," in center + width:
        raise BadRequest("The windowCenter and the windowWidth are given together.")
    return read_window(f"{center},{width}")


def read_region(text: str) -> Region | None:
    """``x1,y1,x2,y2`` in parts of the image, from 0 to 1.

    Raises:
        BadRequest: not of that form.
    """
    if not text:
        return None
    try:
        left, top, right, bottom = (float(each) for each in text.split(","))
    except ValueError as error:
        raise BadRequest("The region is not of the form x1,y1,x2,y2.") from error
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):  # nor a NaN
        raise BadRequest(
            "The region goes from 0,0 to 1,1, and its second corner lies behind the first."
        )
    return Region(left, top, right - left, bottom - top, relative=True)
