"""The sharing module."""

from django.apps import AppConfig


class SharingConfig(AppConfig):
    name = "sharing"
    verbose_name = "Sharing"

    def ready(self) -> None:
        """Tell the audit trail whose study it is that an entry is about."""
        # Here and not above: the tables exist only once the applications are loaded.
        from common import audit
        from sharing.selectors.pseudonyms import StudySubjects

        audit.set_subjects(StudySubjects())
