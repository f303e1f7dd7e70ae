"""A few decoder processes, so that a crash, a bomb or a hang ends one frame and not the server (ADR 0013).

Processes are started with an own interpreter, never forked from this one: the callers are threads of a
web server or a Celery worker. They end when their pipe does, so none outlives this process, however it
ends; in the middle of a frame the time limit ends them.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings

from common.dicom.codecs.errors import DecodersBusy, NotDecodable
from common.dicom.codecs.worker import ANSWER, REQUEST

PATIENCE_S = 15.0  # in the queue for a decoder
_GRACE_S = 2.0  # a decoder ends itself at its time limit; a stopped one is ended from here
_PIPE_BYTES = 2**20  # most frames fit, so that neither end waits for the other in the middle of one
_PLATFORM = Path(__file__).resolve().parents[3]
_MAX_REFUSAL_BYTES = 1_000


class _Ended(Exception):
    """The process is gone, or was ended because it took too long."""


class _Decoder:
    """One process, used by one thread at a time."""

    def __init__(self, *, memory_bytes: int, time_s: float) -> None:
        self._time_s = time_s
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-s",
                "-m",
                "common.dicom.codecs.worker",
                str(memory_bytes),
                str(time_s),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(_PLATFORM), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the server, which then ends us
        )
        self._pipes = (
            cast("IO[bytes]", self._process.stdin),
            cast("IO[bytes]", self._process.stdout),
        )
        self._to, self._from = (pipe.fileno() for pipe in self._pipes)
        for end in (self._to, self._from):
            os.set_blocking(end, False)
            with contextlib.suppress(OSError):  # a system may allow less
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def run(self, job: bytes, frame: bytes, *, most_bytes: int) -> bytes:
        """The answer to one job.

        Raises:
            NotDecodable: as the process says.
            _Ended: the process is of no use any more.
        """
        deadline = time.monotonic() + self._time_s + _GRACE_S
        self._send([REQUEST.pack(len(job), len(frame)), job, frame], deadline)
        state, size = ANSWER.unpack(self._receive(ANSWER.size, deadline))
        if size > (_MAX_REFUSAL_BYTES if state else most_bytes):
            raise _Ended  # no answer of ours: the codestream has taken it over
        answer = self._receive(size, deadline)
        if state:
            raise NotDecodable(answer.decode("utf-8", "replace"))
        return answer

    def _send(self, pieces: list[bytes], deadline: float) -> None:
        pending = [memoryview(piece) for piece in pieces if piece]
        while pending:
            try:
                count = os.writev(self._to, pending)
            except BlockingIOError:
                self._wait(self._to, select.POLLOUT, deadline)
                continue
            except OSError as error:
                raise _Ended from error
            while pending and count >= len(pending[0]):
                count -= len(pending.pop(0))
            if pending:
                pending[0] = pending[0][count:]

    def _receive(self, size: int, deadline: float) -> bytes:
        found = bytearray(size)
        view, done = memoryview(found), 0
        while done < size:
            try:
                count = os.readv(self._from, [view[done:]])
            except BlockingIOError:
                self._wait(self._from, select.POLLIN, deadline)
                continue
            if count == 0:
                raise _Ended
            done += count
        return bytes(found)

    def _wait(self, end: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(end, event)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise _Ended

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        """End the process, at once."""
        self.forget()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Let go of the pipes: in a forked child they would keep the parent's decoder alive."""
        for pipe in self._pipes:
            pipe.close()


class DecoderPool:
    """At most so many processes; started when they are needed, the one used last is used first."""

    def __init__(self, *, processes: int, memory_bytes: int, time_s: float) -> None:
        self._memory_bytes, self._time_s = memory_bytes, time_s
        self._places = threading.BoundedSemaphore(processes)
        self._idle: list[_Decoder] = []  # append and pop are atomic
        self._all: set[_Decoder] = set()

    def run(self, job: dict[str, Any], frame: bytes, *, most_bytes: int) -> bytes:
        """The answer to one job, which has at most so many bytes.

        Raises:
            NotDecodable: with the reason; also when the frame brought its decoder down.
            DecodersBusy: all of them are busy and stay so.
        """
        if not self._places.acquire(timeout=PATIENCE_S):
            raise DecodersBusy
        try:
            decoder = self._decoder()
            try:
                answer = decoder.run(json.dumps(job).encode(), frame, most_bytes=most_bytes)
            except NotDecodable:
                self._idle.append(decoder)
                raise
            except BaseException as error:
                # Whatever is left in its pipes is no answer to the next job.
                self._all.discard(decoder)
                decoder.end()
                if isinstance(error, _Ended):
                    raise NotDecodable(
                        "The codestream took too long to decode, or brought its decoder down."
                    ) from error
                raise
            self._idle.append(decoder)
            return answer
        finally:
            self._places.release()

    def pids(self) -> list[int]:
        """The processes that run now."""
        return [decoder.pid for decoder in list(self._all)]

    def close(self) -> None:
        """End all processes."""
        while self._all:
            self._all.pop().end()
        self._idle.clear()

    def forget(self) -> None:
        """After a fork, in the child: these processes are the parent's."""
        for decoder in self._all:
            decoder.forget()

    def _decoder(self) -> _Decoder:
        try:
            return self._idle.pop()
        except IndexError:
            decoder = _Decoder(memory_bytes=self._memory_bytes, time_s=self._time_s)
            self._all.add(decoder)
            return decoder


class _Own:
    """The pool of this process; a forked child gets one of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: DecoderPool | None = None

    def after_fork(self) -> None:
        if self.pool is not None:
            self.pool.forget()
        self.__init__()  # type: ignore[misc]  # a lock that a thread of the parent held stays locked

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None


_own = _Own()
os.register_at_fork(after_in_child=_own.after_fork)
atexit.register(_own.close)


def decoder_pool() -> DecoderPool:
    """The decoders of this process, as large as the settings allow."""
    pool = _own.pool
    if pool is None:
        with _own.lock:
            pool = _own.pool
            if pool is None:
                pool = _own.pool = DecoderPool(
                    processes=settings.DECODER_PROCESSES,
                    memory_bytes=settings.DECODER_MEMORY_BYTES,
                    time_s=settings.DECODER_TIME_S,
                )
    return pool
