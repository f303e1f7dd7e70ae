"""The sharing module."""

from django.apps import AppConfig


class SharingConfig(AppConfig):
    name = "sharing"
    verbose_name = "Sharing"

    def ready(self) -> None:
        """Tell the audit trail whose study it is that an entry is about."""
        # Here and not above: the tables exist only once the applications are loaded.
        from common import audit, privacy
        from sharing.selectors.pseudonyms import StudySubjects
        from sharing.services import rotation
        from sharing.services.hl7 import rotation as hl7_rotation

        audit.set_subjects(StudySubjects())
        privacy.on_rotation("patients", rotation.rotate_identities)
        privacy.on_rotation("messages", hl7_rotation.rotate_messages)
