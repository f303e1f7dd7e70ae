"""The serving side of DICOMweb: one base view, and multipart payloads that stream (PS3.18 §8)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views import View

from common.dicom.codecs.errors import NotDecodable, NotEncodable
from common.dicom.uids import is_valid_uid
from common.dicomweb.media_types import MediaType, Representation, choose, parse_accept
from common.dicomweb.multipart import MultipartPayload, Part
from common.errors import DomainError, NotFound
from common.problem import dicomweb_error, domain_error_response

WHOLE_BYTES = 2**20  # payloads up to this size are made at once, not streamed


class NotAcceptable(DomainError):
    """None of the media types or transfer syntaxes asked for can be given (PS3.18 §8.7)."""

    code = "not-acceptable"


class BadRequest(DomainError):
    """The request is not valid (PS3.18 §8.5, 400)."""

    code = "bad-request"


class Closable(Protocol):
    """What holds something open."""

    def close(self) -> None: ...


class ServedPayload(MultipartPayload):
    """A payload that owns what it reads from: opened packs are closed with the response.

    ``parameters`` are further ones of the outer media type, as ``transfer-syntax``.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        *,
        media_type: str,
        resources: Closable,
        parameters: str = "",
    ) -> None:
        super().__init__(parts, boundary=f"{random.getrandbits(128):032x}", media_type=media_type)
        self.content_type += parameters
        self._resources = resources

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        self.close()

    def close(self) -> None:
        super().close()
        self._resources.close()

    def response(self) -> HttpResponseBase:
        """The payload as an answer, with its length where every part's is known."""
        size = self.content_length
        if size is not None and size <= WHOLE_BYTES:
            # A frame: one write to the client instead of four, and what cannot be read is an error still.
            with closing(self):
                return HttpResponse(b"".join(self), content_type=self.content_type)
        answer = StreamingHttpResponse(self, content_type=self.content_type)
        if size is not None:
            answer["Content-Length"] = str(size)
        return answer


class DICOMwebView(View):
    """Turns refusals into PS3.18 answers with text, and answers HEAD and OPTIONS for every resource."""

    http_method_names = ["get", "head", "options"]  # as the base class has it
    allowed = "GET, HEAD, OPTIONS"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            check_uids(kwargs)
            answer = self.handle(request, *args, **kwargs)
        except (NotAcceptable, NotDecodable, NotEncodable) as refusal:
            answer = dicomweb_error(request, 406, refusal.message, code=refusal.code)
        except DomainError as refusal:
            answer = domain_error_response(request, refusal)
        return _without_body(answer) if request.method == "HEAD" else answer

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """What the method's handler answers."""
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def accepted(self) -> list[MediaType]:
        """What the caller accepts, best first; the query parameter outweighs the header (§8.3.3.1).

        Nothing said means anything; nothing that can be read means the same.
        """
        asked = ",".join(self.request.GET.getlist("accept"))
        return parse_accept(asked or self.request.headers.get("Accept", ""))

    def negotiate(
        self,
        offers: Sequence[Representation],
        *,
        refusal: str,
        default_transfer_syntax_uid: str = "",
    ) -> Representation:
        """The offer that the caller likes best.

        Raises:
            NotAcceptable: with ``refusal``, which says what could be had.
        """
        chosen = choose(
            self.accepted, offers, default_transfer_syntax_uid=default_transfer_syntax_uid
        )
        if chosen is None:
            raise NotAcceptable(refusal)
        return chosen

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        text = f"This resource answers {self.allowed}."
        return dicomweb_error(request, 405, text, headers={"Allow": self.allowed})

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = HttpResponse(status=204, content_type="text/plain; charset=utf-8")
        answer["Allow"] = self.allowed
        return answer


def resource(**views: type[DICOMwebView]) -> Callable[..., HttpResponseBase]:
    """One address whose methods are answered by views of their own: ``resource(get=…, post=…)``.

    HEAD and OPTIONS go with ``get``; ``Allow`` names the methods of all.
    """
    methods = [name.upper() for name in views]
    if "GET" in methods:
        methods += ["HEAD", "OPTIONS"]
    allowed = ", ".join(methods)
    handlers = {name.upper(): view.as_view(allowed=allowed) for name, view in views.items()}
    fallback = next(iter(handlers.values()))

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return handlers.get(request.method or "", fallback)(request, *args, **kwargs)

    return answer


class NoSuchResource(DICOMwebView):
    """Anything else under a DICOMweb root."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        raise NotFound("There is no such DICOMweb resource.")


def check_uids(path: dict[str, Any]) -> None:
    """Refuse UIDs in the path that are none (PS3.5 §9.1).

    Raises:
        BadRequest: naming which one, never repeating it.
    """
    for name, value in path.items():
        if name.endswith("_uid") and not is_valid_uid(value):
            raise BadRequest(f"The {name.replace('_', ' ')} in the address is not a valid UID.")


def not_modified(request: HttpRequest, etag: str) -> HttpResponse | None:
    """304 when the caller already holds what ``etag`` names (RFC 9110 §13.1.2)."""
    known = request.headers.get("If-None-Match", "")
    bare = {each.strip().removeprefix("W/") for each in known.split(",")}
    if etag.removeprefix("W/") not in bare and "*" not in bare:
        return None
    answer = HttpResponse(status=304)
    del answer["Content-Type"]
    answer["ETag"] = etag
    return answer


def weak_tag(*pieces: str) -> str:
    """A weak entity tag of what an answer is made from."""
    return f'W/"{hashlib.sha256(" ".join(pieces).encode()).hexdigest()[:32]}"'


def _without_body(answer: HttpResponseBase) -> HttpResponseBase:
    """The same head. WSGI servers send what they are given, so the body is dropped here.

    A stream stays one: of a length that nobody knows none is said, where an empty body would say 0.
    """
    head: HttpResponseBase
    if isinstance(answer, HttpResponse):
        head = HttpResponse(status=answer.status_code)
        head["Content-Length"] = str(len(answer.content))
    else:
        head = StreamingHttpResponse(iter(()), status=answer.status_code)
    for name, value in answer.items():
        head[name] = value
    answer.close()
    return head
