"""Both viewers show pictures in a launch, inside of a page of another site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from sharing.domain.identities import PatientFacts
from sharing.models import Study
from sharing.permissions import forget_sights
from sharing.selectors.launches import forget_sessions
from sharing.services import encounters, launching, patients
from tests.support import archive as archives
from tests.support.dicom_files import row
from tests.support.his import his_page
from tests.support.ohif import install
from tests.support.services import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PHANTOM = "dcm_qa_ct/philips_phantom_std_brain_5mm"
# Some picture is drawn: not every point of a canvas is the same.
DRAWN = """selector => [...document.querySelectorAll(selector)].some(canvas => {
    const context = canvas.getContext && canvas.getContext('2d');
    if (!context || !canvas.width) return false;
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let low = 255, high = 0;
    for (let at = 0; at < data.length; at += 4) {
        low = Math.min(low, data[at]); high = Math.max(high, data[at]);
    }
    return high - low > 50;
})"""


@pytest.fixture
def study(archive: Path, ohif_build: Path, settings: Any, tmp_path: Path) -> Study:
    """A real CT of a patient who is being treated where it was made."""
    install(ohif_build, Path(settings.DATA_DIR))
    home = archives.make_institution("home")
    account = archives.make_user("his-home", "integrator", home, is_system=True)
    launching.add_system(actor="test", institution_code="home", account=account)
    forget_sights()
    forget_sessions()
    with transaction.atomic():
        stored = archives.archive_files(
            home, [row(f"{PHANTOM}/i{n}.dcm").path for n in (150, 160)], tmp_path=tmp_path
        )
    found = Study.objects.get(study_instance_uid=stored[0].header.study_instance_uid)
    assert found.local_patient
    patient = patients.register_patient(
        actor="test",
        institution_id=home.pk,
        issuer=found.local_patient.issuer,
        number=found.local_patient.number,
        facts=PatientFacts(name="Phantom"),
    )
    encounters.register_encounter(
        actor="test",
        institution_id=home.pk,
        patient=patient,
        visit_number="V1",
        kind="inpatient",
        opened_at=timezone.now() - timedelta(minutes=1),
        source="his",
    )
    return found


def test_ohif_and_the_light_viewer_show_the_pictures_in_a_frame(
    study: Study, web: Callable[..., Server], chromium: Any
) -> None:
    system = launching.LaunchSystem.objects.get()
    wanted = launching.Request("D7", "李医师", "treatment", visit_number="V1")
    asked = launching.ask(actor=system.account, wanted=wanted)
    site = web().url
    assert site.startswith("http://127.0.0.1:")
    html = (
        f'<iframe id="view" src="{site}/launch/{asked.code}/" width="1000" height="800"></iframe>'
    )
    context = chromium.new_context(viewport={"width": 1100, "height": 900}, locale="zh-CN")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    with his_page(html) as his:
        there = his.replace("127.0.0.1", "localhost")  # another site than ours
        launching.LaunchSystem.objects.update(origins=[there])
        page.goto(there)
        inside = page.frame_locator("#view")
        inside.locator("h1").wait_for(timeout=30_000)
        frame = page.frames[1]

        frame.goto(f"{site}/studies/home/{study.study_instance_uid}/open/")
        assert "/viewer/viewer?" in frame.url
        frame.wait_for_function(DRAWN, arg="canvas.cornerstone-canvas", timeout=90_000)

        series = study.series.get().series_instance_uid
        frame.goto(f"{site}/studies/home/{study.study_instance_uid}/view/{series}/")
        frame.wait_for_function(
            "() => [...document.images].some(one => one.complete && one.naturalWidth > 100)"
            " || document.querySelector('canvas')",
            timeout=30_000,
        )
    assert [each for each in complaints if "Invalid vr" not in each] == []
    context.close()
