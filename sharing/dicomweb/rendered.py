"""Rendered resources and thumbnails of instances and frames (PS3.18 §10.4.1.1.3 and .6, 2024e)."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError

from common.dicomweb.media_types import Representation
from common.dicomweb.render import (
    LARGE_SAMPLES,
    MAX_SIDE,
    Picture,
    Voi,
    Window,
    render,
    require_renderable,
)
from common.dicomweb.server import BadRequest, NotAcceptable, not_modified
from sharing.dicomweb import trail
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks, held_series
from sharing.dicomweb.frames import (
    frame_size,
    parse_frame_list,
    read_one,
    require_frames,
    transfer_syntax_of_frames,
)
from sharing.dicomweb.wado import RetrieveView
from sharing.errors import RenderingBusy

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry

log = logging.getLogger(__name__)

_OFFERS = (
    Representation("image/jpeg", multipart=False),
    Representation("image/png", multipart=False),
)
_KEPT_S = 300
_KEPT_MOST_BYTES = 512 * 1024
_THUMBNAIL = (128, 128)
# A large frame takes some 8 bytes a sample while it is rendered: a few at a time, however many threads.
LARGE_AT_ONCE = 2
PATIENCE_S = 15.0
_places_for_large = threading.BoundedSemaphore(LARGE_AT_ONCE)
_MOST_WINDOW, _LEAST_WIDTH = 1e9, 1e-6  # no stored value lies outside
_FUNCTIONS: dict[str, Voi] = {
    "": "linear",
    "linear": "linear",
    "linear-exact": "linear-exact",
    "sigmoid": "sigmoid",
}


class RenderedView(RetrieveView):
    """``…/rendered``: JPEG or PNG. Of a multi-frame instance without a frame, the first one."""

    default_viewport: tuple[int, int] | None = None
    default_quality = 90

    def get(
        self, request: HttpRequest, *, instance_uid: str, frames: str = "1", **_: str
    ) -> HttpResponseBase:
        numbers = parse_frame_list(frames)
        if len(numbers) > 1:
            raise NotAcceptable("One frame is rendered at a time.")
        chosen = self.negotiate(_OFFERS, refusal="Pictures are given as image/jpeg or image/png.")
        picture = self._picture(request.GET, chosen.media_type)
        place = self.series()
        held = held_series(place)
        entry = held.instance(instance_uid)
        if entry.frames.count == 0:
            raise NotAcceptable("This instance has no picture that can be shown.")
        require_frames(entry.frames, numbers)
        key = _key(place.prefix, instance_uid, numbers[0], picture)
        same = not_modified(request, f'"{key}"')
        if same is not None:
            return same
        body = _kept(key)
        if body is None:
            body = draw(held, entry, numbers[0], picture)
            _keep(key, body)
        trail.record_read(self.actor, place.study, purpose=trail.VIEW)
        answer = HttpResponse(body, content_type=picture.media_type)
        answer["ETag"] = f'"{key}"'
        answer["Cache-Control"] = "private, no-cache"
        answer["Vary"] = "Accept, Cookie, Authorization"
        return answer

    def _picture(self, parameters: QueryDict, media_type: str) -> Picture:
        return Picture(
            media_type=media_type,
            quality=read_quality(parameters.get("quality", ""), self.default_quality),
            viewport=read_viewport(parameters.get("viewport", "")) or self.default_viewport,
            window=read_window(parameters.get("window", "")),
        )


class ThumbnailView(RenderedView):
    """``…/thumbnail``: a small picture; 128 pixels on the longer side unless a viewport is given."""

    default_viewport = _THUMBNAIL
    default_quality = 75


def draw(held: Held, entry: InstanceEntry, number: int, picture: Picture) -> bytes:
    """The picture of one frame.

    Raises:
        NotAcceptable: its pixels cannot be decoded here, or are too many.
        RenderingBusy: it is large, and other large ones are being rendered.
    """
    attributes = orjson.loads(held.metadata(entry.sop_instance_uid))
    samples = require_renderable(attributes, frame_size(entry.frames, number))
    packs = OpenPacks()
    with _place_for(samples):
        try:
            pack = packs.pack(held.index.pack_key)

            def bulk(uri: str) -> bytes:
                path = uri.rpartition("/bulkdata/")[2]
                known = path in entry.bulk
                return b"".join(read_value(pack, held, entry, path)[0]) if known else b""

            return render(
                attributes,
                read_one(packs, held, entry, number),
                picture,
                transfer_syntax_uid=transfer_syntax_of_frames(entry),
                number=number,
                bulk=bulk,
            )
        finally:
            packs.close()


@contextmanager
def _place_for(samples: int) -> Iterator[None]:
    if samples < LARGE_SAMPLES:
        yield
        return
    if not _places_for_large.acquire(timeout=PATIENCE_S):
        raise RenderingBusy
    try:
        yield
    finally:
        _places_for_large.release()


def read_window(text: str) -> Window | None:
    """``center,width,function`` (§8.3.5.1.4).

    Raises:
        BadRequest: not of that form.
    """
    if not text:
        return None
    center, width, function = (*text.split(","), "", "")[:3]
    try:
        values = float(center), float(width)
    except ValueError as error:
        raise BadRequest("The window is not of the form center,width,function.") from error
    known = function.strip().lower().replace("_", "-")
    if known not in _FUNCTIONS or not _is_window(*values):
        raise BadRequest(
            "The window needs a width above 0 and linear, linear-exact or sigmoid as function."
        )
    return Window(*values, function=_FUNCTIONS[known])


def _is_window(center: float, width: float) -> bool:
    """Whether both are numbers that pixels can have; a NaN is not."""
    return abs(center) <= _MOST_WINDOW and _LEAST_WIDTH <= width <= _MOST_WINDOW


def read_viewport(text: str) -> tuple[int, int] | None:
    """``vw,vh`` (§8.3.5.1.3); source regions are not offered.

    Raises:
        BadRequest: not of that form, or larger than is rendered.
    """
    if not text:
        return None
    sides = text.split(",")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise BadRequest("The viewport is not of the form width,height.")
    # Cut behind the digits that matter: what is longer is too large in any case.
    width, height = (int(side.lstrip("0")[:6] or "0") for side in sides)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BadRequest(f"The viewport has sides of 1 to {MAX_SIDE}.")
    return width, height


def read_quality(text: str, default: int) -> int:
    """1 to 100 (§8.3.5.1.2).

    Raises:
        BadRequest: something else.
    """
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100):
        raise BadRequest("The quality is a whole number from 1 to 100.")
    return int(text)


def _key(prefix: str, instance_uid: str, number: int, picture: Picture) -> str:
    text = f"{prefix} {instance_uid} {number} {picture}"
    return f"rendered-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _kept(key: str) -> bytes | None:
    try:
        kept: bytes | None = cache.get(key)
    except (RedisError, OSError):
        log.warning("rendered pictures are not kept: the cache does not answer")
        return None
    return kept


def _keep(key: str, body: bytes) -> None:
    if len(body) > _KEPT_MOST_BYTES:
        return
    try:
        cache.set(key, body, timeout=_KEPT_S)
    except (RedisError, OSError):
        log.warning("rendered pictures are not kept: the cache does not answer")
