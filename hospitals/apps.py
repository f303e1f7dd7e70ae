"""The hospitals module."""

from django.apps import AppConfig


class HospitalsConfig(AppConfig):
    name = "hospitals"
    verbose_name = "Hospitals"

    def ready(self) -> None:
        """Tell the audit trail where people work, and the accounts whose roles need a second factor."""
        # Here and not above: the tables exist only once the applications are loaded.
        from common import audit
        from common.accounts import demands
        from hospitals.permissions import needs_second_factor
        from hospitals.selectors.memberships import WorkplaceDirectory

        audit.set_directory(WorkplaceDirectory())
        demands.add("hospitals.roles", needs_second_factor)
