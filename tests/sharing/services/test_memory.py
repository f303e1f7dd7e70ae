"""A series of hundreds of megabytes is pulled, stored and proved in constant memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from sharing.models import Series
from sharing.services import transfers
from tests.support.big_origin import BigOrigin
from tests.support.pulling import MakeHospital, discover

PIXEL_BYTES = 8 * 2**20
LIMIT_MB = 200  # of which the program itself, before it pulls anything, is more than half
MORE_MB = 24

PULL = """
import json, sys
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[2]
from sharing.services import pulling
outcome = pulling.run_transfer(transfer_id=int(sys.argv[1]), worker="measured")
# Not getrusage: there a new process starts with the peak of the one that started it.
status = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
print(json.dumps({"peak_mb": peak, "instances": outcome.instances if outcome else 0}))
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_series_of_400_mb_needs_no_more_memory_than_a_small_one(
    archive: Path, make_hospital: MakeHospital, settings: Any
) -> None:
    small = measured(make_hospital, settings, code="SMALL", instances=2, pixel_bytes=PIXEL_BYTES)
    many = measured(make_hospital, settings, code="MANY", instances=50, pixel_bytes=PIXEL_BYTES)
    large = measured(make_hospital, settings, code="LARGE", instances=2, pixel_bytes=200 * 2**20)

    for peak_mb in (many, large):
        assert peak_mb < LIMIT_MB
        assert peak_mb < small + MORE_MB


def measured(
    make_hospital: MakeHospital, settings: Any, *, code: str, instances: int, pixel_bytes: int
) -> int:
    """Peak resident megabytes of a process that pulls one such series."""
    with BigOrigin(instances=instances, pixel_bytes=pixel_bytes) as origin:
        institution = make_hospital(code, base_url=origin.url, read_timeout_s=30)
        discover(institution.pk)
        (transfer_id,) = transfers.hand_out(slots=1)
        done = run_alone(transfer_id, settings)

    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["instances"] == instances
    series = Series.objects.get(study__institution=institution)
    assert series.state == "verified"
    assert series.size_bytes > instances * pixel_bytes
    return int(found["peak_mb"])


def run_alone(transfer_id: int, settings: Any) -> subprocess.CompletedProcess[bytes]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", PULL, str(transfer_id), connection.settings_dict["NAME"]],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(root / "platform"), str(root)]),
            "OBJECT_STORE_URL": settings.OBJECT_STORE_URL,
            "IMAGING_DATA_DIR": str(settings.DATA_DIR),
            "ALLOW_LOOPBACK_HOSPITALS": "1",
        },
        capture_output=True,
        timeout=200,
        check=False,
    )
