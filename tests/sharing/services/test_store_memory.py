"""A store request of hundreds of megabytes takes no more memory than a small one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from sharing.models import ReceivedInstance
from tests.support.pulling import MakeHospital, instance

LIMIT_MB = 200  # of which the program itself, before it takes anything, is more than half
MORE_MB = 24

STORE = """
import sys
from pathlib import Path
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from common.dicomweb.media_types import parse_media_type
from sharing.dicomweb.stow import receive
from sharing.permissions import StoreTarget
from sharing.services.storing import open_request
many, size = int(sys.argv[3]), int(sys.argv[4])
head = Path(sys.argv[5]).read_bytes()

def body():
    for number in range(many):
        uid = f"1.2.826.1.1.1.{number % 10}".encode()
        yield b"--b\\r\\nContent-Type: application/dicom\\r\\n\\r\\n"
        yield head.replace(b"1.2.826.1.1.1.1", uid)
        # A private element behind the pixels, as large as is asked for.
        yield b"\\xe1\\xff\\x10\\x10OB\\0\\0" + size.to_bytes(4, "little")
        for _ in range(size // 65536):
            yield bytes(65536)
        yield b"\\r\\n"
    yield b"--b--\\r\\n"

kind = parse_media_type('multipart/related; type="application/dicom"; boundary=b')
target = StoreTarget(int(sys.argv[2]), "H1", "active", "", False)
with open_request(actor="test", target=target) as store:
    receive(store, body(), kind)
    outcomes = store.finish()
assert all(outcome.stored for outcome in outcomes), outcomes
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_request_of_400_mb_needs_no_more_memory_than_a_small_one(
    archive: Path, make_hospital: MakeHospital, settings: Any, tmp_path: Path
) -> None:
    place = make_hospital("H1", base_url="http://127.0.0.1:1/")
    head = tmp_path / "head.dcm"
    head.write_bytes(instance(1))

    def peak(many: int, size: int) -> int:
        ReceivedInstance.objects.all().delete()
        return stored_by_itself([str(place.pk), str(many), str(size), str(head)], settings)

    small, many, large = peak(1, 2**16), peak(6, 2**26), peak(1, 400 * 2**20)

    for peak_mb in (many, large):
        assert peak_mb < LIMIT_MB
        assert peak_mb < small + MORE_MB


def stored_by_itself(arguments: list[str], settings: Any) -> int:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", STORE, str(connection.settings_dict["NAME"]), *arguments],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(root / "platform"), str(root)]),
            "OBJECT_STORE_URL": settings.OBJECT_STORE_URL,
            "IMAGING_DATA_DIR": str(settings.DATA_DIR),
        },
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return int(done.stdout.splitlines()[-1])
