"""What is kept can be read after its key was changed and the old one thrown away."""

from __future__ import annotations

from typing import Any

from common import privacy
from common.accounts.models import User
from sharing.models import HospitalMessage
from sharing.services import launching
from sharing.services.hl7 import intake
from sharing.services.hl7.rotation import rotate_messages
from tests.sharing.hl7.conftest import Hospital


def test_messages_and_secrets_are_encrypted_anew(hospital: Hospital, settings: Any) -> None:
    hospital.send("ADT^A28", "PID|1||P1||张^三")
    account = User.objects.get(pk=hospital.account.pk)
    system, secret = launching.add_system(
        actor="test", institution_code="east", account=account, with_secret=True
    )
    new = "n" * 43
    settings.FIELD_KEYS = (new, *settings.FIELD_KEYS)

    assert rotate_messages() == 2
    assert rotate_messages() == 0

    settings.FIELD_KEYS = (new,)
    row = HospitalMessage.objects.get()
    assert any("张^三" in line for line in intake.segments_of(row))
    system.refresh_from_db()
    kept = privacy.decrypt_text(system.secret, context=launching.SECRET_CONTEXT)
    assert kept == secret
