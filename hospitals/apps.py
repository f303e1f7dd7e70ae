"""The hospitals module."""

from django.apps import AppConfig


class HospitalsConfig(AppConfig):
    name = "hospitals"
    verbose_name = "Hospitals"

    def ready(self) -> None:
        """Tell the audit trail where people work."""
        # Here and not above: the tables exist only once the applications are loaded.
        from common import audit
        from hospitals.selectors.memberships import WorkplaceDirectory

        audit.set_directory(WorkplaceDirectory())
