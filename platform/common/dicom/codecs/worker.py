"""A decoder process: frames in, pixels out, over two pipes. Started by the pool with ``python -m``.

It is given no setting and no secret (its environment is made for it), can write no file, has a limit of
memory, and ends itself when a frame takes too long or when the other end of its pipe is gone.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from pathlib import Path

from common.dicom.codecs import jobs
from common.dicom.codecs.errors import NotDecodable, NotEncodable

REQUEST = struct.Struct("<IQ")  # bytes of the description, bytes of the frame
ANSWER = struct.Struct("<BQ")  # 0: done, 1: refused with a text; bytes that follow
_CHUNK_BYTES = 2**20


def main() -> None:
    memory_bytes, time_s = int(sys.argv[1]), float(sys.argv[2])
    source, sink = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libraries print what they think of a frame
        os.dup2(quiet, stream)
    jobs.warm_up()
    _limit(memory_bytes)
    while (head := _read(source, REQUEST.size)) is not None:
        told, size = REQUEST.unpack(head)
        # The default action of the signal is the end of the process, in the middle of native code too.
        signal.setitimer(signal.ITIMER_REAL, time_s)
        description, frame = _read(source, told), _read(source, size)
        if description is None or frame is None:
            return
        state, answer = _work(description, frame)
        _write(sink, ANSWER.pack(state, len(answer)), answer)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _work(description: bytearray, frame: bytearray) -> tuple[int, bytes]:
    try:
        return 0, jobs.run(json.loads(description), bytes(frame))
    except (NotDecodable, NotEncodable) as refusal:
        return 1, refusal.message.encode()
    except MemoryError:
        return 1, b"The frame needs more memory than a decoder may have."
    except Exception:  # noqa: BLE001 - the codecs raise what they like on bytes from outside
        return 1, b"The codestream is damaged."


def _limit(memory_bytes: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(source: int, size: int) -> bytearray | None:
    """Exactly so many bytes; None when the other end is gone."""
    found = bytearray(size)
    view, done = memoryview(found), 0
    while done < size:
        count = os.readv(source, [view[done : done + _CHUNK_BYTES]])
        if count == 0:
            return None
        done += count
    return found


def _write(sink: int, head: bytes, body: bytes) -> None:
    pending = [memoryview(head), memoryview(body)]
    while pending:
        count = os.writev(sink, pending)
        while pending and count >= len(pending[0]):
            count -= len(pending.pop(0))
        if pending:
            pending[0] = pending[0][count:]


if __name__ == "__main__":
    main()
