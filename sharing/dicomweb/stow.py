"""Store Transaction (STOW-RS, PS3.18 §10.5, 2024e): what a sender stores into its institution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from common.dicom.errors import MalformedDicom
from common.dicom.xml_model import native_xml, read_native_xml
from common.dicomweb.errors import MalformedMultipart
from common.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    MediaType,
    Representation,
    parse_media_type,
)
from common.dicomweb.multipart import IncomingPart, iter_parts
from common.dicomweb.request_body import (
    BodyBroken,
    BodyTooLarge,
    EncodingUnsupported,
    LengthRequired,
    body_chunks,
    discard,
)
from common.dicomweb.server import BadRequest
from common.errors import DomainError
from common.problem import dicomweb_error
from sharing.dicomweb.origin import OriginView
from sharing.dicomweb.store_response import status_of, store_response
from sharing.dicomweb.store_slots import StoreSlots
from sharing.dicomweb.writing import require_same_origin, store_target
from sharing.services.spool import spool_folder
from sharing.services.storing import Failure, Outcome, StoreRequest, open_request
from sharing.services.storing.bulk import BulkSpool
from sharing.services.storing.derived import reader_may_store

DICOM_XML = "application/dicom+xml"
METADATA = (DICOM_JSON, "application/json", DICOM_XML)
MOST_METADATA_BYTES = 32 * 2**20  # of one request, in however many parts
# Objects and arrays of its JSON: in memory each takes fifty times the bytes that it was sent in.
MOST_METADATA_NODES = 2_000_000
MOST_PARTS = 100_000  # and data sets
OFFERS = (
    Representation(DICOM_JSON, multipart=False),
    Representation("application/json", multipart=False),
    Representation(DICOM_XML, multipart=False),
)
ACCEPTED = (
    f'Send multipart/related with type="{DICOM}", "{DICOM_JSON}" or "{DICOM_XML}" and a boundary, '
    "or one of these types alone."
)

_slots = StoreSlots(settings.WEB_THREADS - 4)


class UnsupportedMediaType(BadRequest):
    """The body is of a type that cannot be stored (PS3.18 §10.5.3, 415)."""

    code = "unsupported-media-type"


STATUS: dict[type[Exception], tuple[int, dict[str, str]]] = {
    UnsupportedMediaType: (415, {}),
    EncodingUnsupported: (415, {"Accept-Encoding": "identity"}),
    LengthRequired: (411, {}),
    BodyTooLarge: (413, {}),
}


class StoreView(OriginView):
    """``POST /studies`` and ``POST /studies/{study}``."""

    http_method_names = ["post"]

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer; a refusal after some of the body, so that the sender gets to read it."""
        try:
            answer = super().handle(request, *args, **kwargs)
        except (DomainError, DatabaseError):
            discard(request)
            raise
        if answer.status_code >= 400:
            discard(request)
        return answer

    def post(self, request: HttpRequest, *, study_uid: str = "", **_: str) -> HttpResponseBase:
        require_same_origin(request)
        target = store_target(self.actor, self.institution_code)
        try:
            chosen = self.negotiate(
                OFFERS, refusal=f"The answer is given as {DICOM_JSON} or {DICOM_XML}."
            )
            chunks, media_type = self._body(request)
            rule = None
            if target.derived_only:
                rule = reader_may_store(self.actor, institution_id=target.institution_id)
            with (
                _slots.taken(self.actor.pk),
                open_request(
                    actor=self.actor,
                    target=target,
                    study_instance_uid=study_uid,
                    may_store=rule,
                ) as store,
            ):
                receive(store, chunks, media_type)
                outcomes = store.finish()
        except tuple(STATUS) as refusal:
            status, headers = STATUS[type(refusal)]
            return dicomweb_error(
                request, status, str(refusal), code=getattr(refusal, "code", ""), headers=headers
            )
        return self._answer(outcomes, target.institution_code, chosen.media_type)

    def _body(self, request: HttpRequest) -> tuple[Iterator[bytes], MediaType]:
        media_type = parse_media_type(request.headers.get("Content-Type", ""))
        if media_type is None or media_type.root not in (DICOM, *METADATA):
            raise UnsupportedMediaType(ACCEPTED)
        if media_type.is_multipart and media_type.name != "multipart/related":
            raise UnsupportedMediaType(ACCEPTED)
        if media_type.is_multipart and not 1 <= len(media_type.boundary) <= 200:
            raise BadRequest("The Content-Type names no boundary.")
        return body_chunks(request, most_bytes=settings.STORE_MAX_BYTES), media_type

    def _answer(self, outcomes: list[Outcome], code: str, media_type: str) -> HttpResponse:
        body = store_response(outcomes, root_url=self.root.of_institution(code))
        data = native_xml(body) if media_type == DICOM_XML else orjson.dumps(body)
        return HttpResponse(data, status=status_of(outcomes), content_type=media_type)


def receive(store: StoreRequest, chunks: Iterator[bytes], media_type: MediaType) -> None:
    """Hand the body over instance by instance. Where the sender breaks off, what came whole stays.

    Raises:
        BodyTooLarge, BadRequest: nothing can be made of the body.
    """
    try:
        if not media_type.is_multipart:
            parts: Iterable[IncomingPart] = [
                IncomingPart({"content-type": media_type.name}, chunks)
            ]
        else:
            parts = iter_parts(chunks, boundary=media_type.boundary)
        if media_type.root == DICOM:
            _receive_files(store, parts)
        else:
            _receive_metadata(store, parts, media_type.root)
    except MalformedMultipart as error:
        if error.reason == MalformedMultipart.NO_BOUNDARY:
            raise BadRequest(error.message) from error
        store.refuse(Failure.PROCESSING, error.message)
    except BodyBroken as error:
        store.refuse(Failure.PROCESSING, error.message)
    for _ in chunks if not media_type.is_multipart else ():
        pass


def _receive_files(store: StoreRequest, parts: Iterable[IncomingPart]) -> None:
    for number, part in enumerate(parts):
        if number >= MOST_PARTS:
            raise BadRequest("The request has more parts than are taken at once.")
        media_type = parse_media_type(part.content_type)
        if media_type is not None and media_type.name not in (DICOM, "application/octet-stream"):
            store.refuse(Failure.NOT_UNDERSTOOD, f"A part is not {DICOM}.")
            continue
        store.take(part.chunks())


def _receive_metadata(store: StoreRequest, parts: Iterable[IncomingPart], root: str) -> None:
    described = _Described(store)
    with spool_folder("bulk") as folder, BulkSpool(folder / "bulk") as bulk:
        try:
            for part in parts:
                media_type = parse_media_type(part.content_type)
                if media_type is None or media_type.name in METADATA:
                    described.add(part, media_type.name if media_type else root)
                else:
                    location = part.headers.get("content-location", "")
                    bulk.add(location, part.content_type, part.chunks())
        except MalformedDicom as error:
            store.refuse(Failure.NOT_UNDERSTOOD, error.message)
        except BodyTooLarge:
            described.data_sets.clear()  # nothing of it is stored: no use to make files of it
            raise
        finally:
            for attributes in described.data_sets:
                store.compose(attributes, find_bulk=bulk.find)


class _Described:
    """The data sets that a request describes. Bounded over all of its parts, since they are held in memory."""

    def __init__(self, store: StoreRequest) -> None:
        self.data_sets: list[dict[str, Any]] = []
        self._store = store
        self._bytes = self._nodes = self._items = 0

    def add(self, part: IncomingPart, kind: str) -> None:
        """Read one part with metadata.

        Raises:
            BodyTooLarge: this is more than is held in memory.
        """
        raw = bytearray()
        for chunk in part.chunks():
            raw += chunk
            self._bytes += len(chunk)
            if self._bytes > MOST_METADATA_BYTES:
                raise BodyTooLarge("The metadata are larger than 32 MiB.")
        try:
            found = read_native_xml(bytes(raw)) if kind == DICOM_XML else self._json(raw)
        except MalformedDicom as error:
            self._store.refuse(Failure.NOT_UNDERSTOOD, error.message)
            return
        except ValueError:
            self._store.refuse(Failure.NOT_UNDERSTOOD, "The metadata are not JSON.")
            return
        items = found if isinstance(found, list) else [found]
        self._items += len(items)
        if self._items > MOST_PARTS:
            raise BodyTooLarge("The metadata hold more data sets than are taken at once.")
        good = [item for item in items if isinstance(item, dict)]
        for _ in range(len(items) - len(good)):
            self._store.refuse(
                Failure.NOT_UNDERSTOOD, "The metadata hold something else than data sets."
            )
        self.data_sets += good

    def _json(self, raw: bytearray) -> Any:
        self._nodes += raw.count(b"{") + raw.count(b"[")
        if self._nodes > MOST_METADATA_NODES:
            raise BodyTooLarge("The metadata have more values than are taken at once.")
        return orjson.loads(raw)
