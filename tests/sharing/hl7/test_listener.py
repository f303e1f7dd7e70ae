"""The listener as a process of its own, to which a sender of another make (the ``hl7`` package) sends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hl7
import pytest
from django.utils import timezone
from hl7.client import MLLPClient

from common.hl7.framing import framed
from config.embedded import children
from sharing.models import Encounter, HospitalMessage, LocalPatient, Report
from tests.sharing.hl7.conftest import Hospital, make_hospital
from tests.support.services import free_port
from tests.support.web import environment

PID = "PID|1||P77^^^HIS^MR||张^三^^^^^L^I||20000101|M"


@dataclass
class Process:
    """``manage.py mllp``, to be killed and started again on the same port."""

    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(children.mllp(port=self.port).argv),
                env={**os.environ, **environment()},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(timeout=10)

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout=20)


@pytest.fixture
def listener(transactional_db: None, tmp_path: Path) -> Iterator[Process]:
    process = Process(free_port(), tmp_path / "mllp.log")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def east(transactional_db: None) -> Hospital:
    return make_hospital("east")


def text(hospital: Hospital, kind: str, *lines: str, **options: Any) -> str:
    return hospital.bytes(kind, *lines, **options).decode()


def acknowledged(answer: bytes) -> Any:
    """What the other make reads in our answer."""
    return hl7.parse(answer.decode().strip("\x0b\x1c\r"))


def test_a_sender_of_another_make_registers_orders_and_reports(
    listener: Process, east: Hospital
) -> None:
    now = timezone.localtime().strftime("%Y%m%d%H%M%S")
    pv1 = f"PV1|1|O{'|' * 17}V1{'|' * 25}{now}"
    result = f"OBR|1||R1|CT^胸部CT{'|' * 14}A100{'|' * 4}{now}|||F"
    obx = "OBX|1|FT|59776-5||所见\\.br\\第二行||||||F"
    with MLLPClient("127.0.0.1", listener.port) as client:
        sent = [
            ("ADT^A04^ADT_A01", ("EVN|A04", PID, pv1)),
            ("ORM^O01", (PID, "ORC|NW|PL1", f"OBR|1|PL1||CT^胸部CT{'|' * 14}A100")),
            ("ORU^R01", (PID, result, obx)),
        ]
        for number, (kind, lines) in enumerate(sent):
            message = hl7.parse(text(east, kind, *lines, control=f"M{number}"))
            answer = acknowledged(client.send_message(message))
            assert str(answer.segment("MSA")) == f"MSA|AA|M{number}"

    assert Encounter.objects.get().visit_number == "V1"
    assert Report.objects.get().accession_number == "A100"
    assert LocalPatient.objects.get().name == "=张^三"


def test_what_is_wrong_is_told_in_an_err_segment_that_the_other_make_reads(
    listener: Process, east: Hospital
) -> None:
    with MLLPClient("127.0.0.1", listener.port) as client:
        answer = acknowledged(client.send_message(text(east, "ADT^A28", PID.replace("|M", "|X"))))

    assert str(answer.segment("MSA")(1)) == "AE"
    assert str(answer.segment("ERR")(2)) == "PID^1^8"
    assert str(answer.segment("ERR")(3)) == "103^^HL70357"


def test_a_message_in_gb18030_is_answered_in_gb18030(listener: Process, east: Hospital) -> None:
    data = east.bytes("ADT^A28", PID, charset="GB 18030-2000", codec="gb18030")
    with MLLPClient("127.0.0.1", listener.port) as client:
        answer = client.send_message(data)

    assert acknowledged(answer).segment("MSH")(18) == ["GB 18030-2000"]
    assert LocalPatient.objects.get().name == "=张^三"


def test_killed_at_any_moment_it_loses_nothing_that_a_sender_repeats(
    listener: Process, east: Hospital
) -> None:
    messages = [
        east.bytes("ADT^A28", PID.replace("P77", f"P{number}"), control=f"K{number}")
        for number in range(40)
    ]
    answered: set[int] = set()
    for attempt in range(20):
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection,
        ):
            for number, message in enumerate(messages):
                if number not in answered:
                    connection.sendall(framed(message))
                    if b"|AA|" in connection.recv(4096):
                        answered.add(number)
                    if len(answered) == 10 * (attempt + 1) and attempt < 3:
                        connection.sendall(framed(messages[len(answered) % 40]))
                        listener.kill()
        if len(answered) == len(messages):
            break
        if listener.process and listener.process.poll() is not None:
            listener.start()

    assert len(answered) == 40
    assert set(LocalPatient.objects.values_list("number", flat=True)) == {
        f"P{number}" for number in range(40)
    }
    assert HospitalMessage.objects.count() == 40
    assert set(HospitalMessage.objects.values_list("state", flat=True)) == {"done"}


def test_many_senders_at_once_are_all_answered(listener: Process, east: Hospital) -> None:
    codes: list[bytes] = []

    def send(number: int) -> None:
        with MLLPClient("127.0.0.1", listener.port) as client:
            for turn in range(3):
                pid = PID.replace("P77", f"P{number}-{turn}")
                codes.append(client.send_message(east.bytes("ADT^A28", pid))[-60:])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(codes) == 36
    assert all(b"MSA|AA|" in code for code in codes)
    assert LocalPatient.objects.count() == 36


def test_told_to_stop_it_ends_by_itself(listener: Process) -> None:
    assert listener.stop() == 0


def test_without_a_port_it_says_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, str(children.ROOT / "manage.py"), "mllp"],
        env={**os.environ, "MLLP_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "MLLP_PORT" in done.stderr
