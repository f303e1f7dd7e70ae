"""Pictures of archived frames: drawn within bounds of memory, and kept.

A picture follows from the revision, the frame and what was asked for, so it is kept under a key of these
and never grows old: near at hand in the process, and for some minutes in Redis for the other processes where
drawing it costs more than asking there.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec

import orjson
from django.core.cache import cache
from django.db import connections
from PIL import Image
from redis.exceptions import RedisError

from common.dicomweb.render import (
    Picture,
    frame_ms,
    render,
    render_image,
    require_renderable,
    size_within,
)
from common.dicomweb.render_picture import GIF, animate
from common.dicomweb.server import NotAcceptable
from common.kept import Kept
from sharing.dicomweb.bulk import read_value
from sharing.dicomweb.documents import Held, OpenPacks
from sharing.dicomweb.frames import frame_size, read_one, transfer_syntax_of_frames
from sharing.errors import RenderingBusy

if TYPE_CHECKING:
    from common.archive.documents import InstanceEntry

log = logging.getLogger(__name__)
P = ParamSpec("P")

_MIB = 2**20
_KEPT_S = 300
_KEPT_MOST_BYTES = 2 * _MIB
_near: Kept[str, bytes] = Kept(entries=5_000, weight=24 * _MIB)
# A slice of CT is drawn in less time than Redis takes to answer (measured: 0.9 and 1.2 ms).
_SHARED_FROM_BYTES = _MIB
# A large frame takes some bytes a sample while it is drawn: a few at a time, however many threads. More at
# once would not be faster, there are no more processors.
LARGE_SAMPLES = _MIB
LARGE_AT_ONCE = 2
PATIENCE_S = 15.0
_places_for_large = threading.BoundedSemaphore(LARGE_AT_ONCE)
_places_for_animations = threading.BoundedSemaphore(1)
# In threads of their own: the allocator keeps a large block for each thread that ever asked for one, and a web
# server has many (measured: 230 MB more with sixteen).
_drawers = ThreadPoolExecutor(LARGE_AT_ONCE + 1, thread_name_prefix="drawing")
# An animation is held whole until it is written.
_MOST_ANIMATED_FRAMES = 1_000
_MOST_ANIMATED_PIXELS = 32 * _MIB
# Lookup tables, profiles and overlays are read whole; the overlay of the largest picture takes half of this.
_MOST_TABLE_BYTES = 64 * _MIB


@dataclass(frozen=True)
class Shot:
    """One frame of one archived instance."""

    held: Held
    entry: InstanceEntry
    number: int = 1

    def key(self, picture: Picture) -> str:
        """Under which its picture is kept; also its entity tag."""
        return _key(self.held.prefix, self.entry.sop_instance_uid, self.number, picture)

    @property
    def is_costly(self) -> bool:
        """Whether drawing it takes longer than asking whether another process did."""
        frames = self.entry.frames
        return frames.kind != "native" or frame_size(frames, self.number) >= _SHARED_FROM_BYTES

    @property
    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.held.metadata(self.entry.sop_instance_uid))
        return found


@lru_cache(maxsize=4096)
def _key(prefix: str, instance_uid: str, number: int, picture: Picture) -> str:
    return tag_of(prefix, instance_uid, number, picture)


def tag_of(*facts: object) -> str:
    """A name for what follows from these facts alone."""
    text = " ".join(map(str, facts))
    return f"rendered-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def drawn(shot: Shot, picture: Picture) -> bytes:
    """The picture of one frame, kept or drawn now. Raises what ``draw`` does."""
    key, shared = shot.key(picture), shot.is_costly
    body = kept(key, shared=shared)
    if body is None:
        body = draw(shot, picture)
        keep(key, body, shared=shared)
    return body


def draw(shot: Shot, picture: Picture) -> bytes:
    """The picture of one frame.

    Raises:
        NotAcceptable: its pixels cannot be decoded here, or are too many.
        RenderingBusy: it is large, and other large ones are being rendered.
        BadRequest: the source region holds no pixel.
    """
    attributes = shot.attributes
    samples = require_renderable(attributes, frame_size(shot.entry.frames, shot.number))
    if samples < LARGE_SAMPLES:
        return _draw(shot, attributes, picture)
    with _place_in(_places_for_large):
        return _in_drawer(_draw, shot, attributes, picture)


def _in_drawer(work: Callable[P, bytes], *arguments: P.args, **named: P.kwargs) -> bytes:
    def worked() -> bytes:
        try:
            return work(*arguments, **named)
        finally:
            # Series that are stored slice by slice are looked up; no request ends in this thread.
            connections.close_all()

    return _drawers.submit(worked).result()


def _draw(shot: Shot, attributes: dict[str, Any], picture: Picture) -> bytes:
    packs = OpenPacks()
    try:
        return render(**_of_frame(packs, shot, attributes, picture))
    finally:
        packs.close()


def draw_animation(shots: Sequence[Shot], picture: Picture) -> bytes:
    """All frames as one animated GIF; where no viewport is asked for, small enough to be held.

    Raises:
        NotAcceptable: too many frames, or one cannot be decoded.
        RenderingBusy: others are being rendered.
    """
    if len(shots) > _MOST_ANIMATED_FRAMES:
        raise NotAcceptable(f"At most {_MOST_ANIMATED_FRAMES} frames are animated at once.")
    first = shots[0].attributes
    most = _MOST_ANIMATED_PIXELS // len(shots)
    viewport = picture.viewport or size_within(first, most)
    if picture.viewport and viewport[0] * viewport[1] > most:
        raise NotAcceptable(f"{len(shots)} frames need a viewport of at most {most} pixels.")
    wanted = replace(picture, viewport=viewport, media_type=GIF)
    with _place_in(_places_for_animations):
        return _in_drawer(animate, _images(shots, wanted), frame_ms(first))


def _images(shots: Sequence[Shot], picture: Picture) -> Iterator[Image.Image]:
    packs, known, attributes = OpenPacks(), "", {}
    try:
        for shot in shots:
            if shot.entry.sop_instance_uid != known:
                known, attributes = shot.entry.sop_instance_uid, shot.attributes
            require_renderable(attributes, frame_size(shot.entry.frames, shot.number))
            yield render_image(**_of_frame(packs, shot, attributes, picture))
    finally:
        packs.close()


def _of_frame(
    packs: OpenPacks, shot: Shot, attributes: dict[str, Any], picture: Picture
) -> dict[str, Any]:
    """The arguments of ``render`` for one frame, its bytes read."""
    held, entry = shot.held, shot.entry

    def bulk(uri: str) -> bytes:
        path = uri.rpartition("/bulkdata/")[2]
        if path not in entry.bulk:
            return b""
        if entry.bulk[path][1] > _MOST_TABLE_BYTES:
            raise NotAcceptable("A table that the picture needs is larger than any can be.")
        return b"".join(read_value(packs.pack(held.index.pack_key), held, entry, path)[0])

    return {
        "attributes": attributes,
        "frame": read_one(packs, held, entry, shot.number),
        "picture": picture,
        "transfer_syntax_uid": transfer_syntax_of_frames(entry),
        "number": shot.number,
        "bulk": bulk,
    }


@contextmanager
def _place_in(places: threading.BoundedSemaphore) -> Iterator[None]:
    if not places.acquire(timeout=PATIENCE_S):
        raise RenderingBusy
    try:
        yield
    finally:
        places.release()


def kept(key: str, *, shared: bool = True) -> bytes | None:
    """What was drawn under this key, here or, where it is shared, in another process."""
    near = _near.get(key)
    if near is not None or not shared:
        return near
    try:
        body: bytes | None = cache.get(key)
    except (RedisError, OSError):
        log.warning("rendered pictures are not kept: the cache does not answer")
        return None
    if body is not None:
        _near.put(key, body, weight=len(body))
    return body


def keep(key: str, body: bytes, *, shared: bool = True) -> None:
    """Keep what was drawn, unless it is very large."""
    if len(body) > _KEPT_MOST_BYTES:
        return
    _near.put(key, body, weight=len(body))
    if not shared:
        return
    try:
        cache.set(key, body, timeout=_KEPT_S)
    except (RedisError, OSError):
        log.warning("rendered pictures are not kept: the cache does not answer")


def forget_pictures() -> None:
    """Draw anew in this process."""
    _near.clear()
