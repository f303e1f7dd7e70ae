"""Every write about members of the province, and the way to their archives."""

from hospitals.services.circuits import record_origin_failure, record_origin_success
from hospitals.services.departments import (
    add_department,
    close_department,
    join_department,
    leave_department,
    rename_department,
)
from hospitals.services.due_probes import ask_for_due_probes, probe_if_due
from hospitals.services.endpoints import EndpointSettings, set_endpoint
from hospitals.services.institutions import (
    activate,
    add_institution,
    leave,
    restore_institution,
    suspend,
    update_institution,
)
from hospitals.services.invitations import (
    Guest,
    accept_invitation,
    accept_with_new_account,
    invite,
    revoke_invitation,
    send_invitation,
)
from hospitals.services.kept_origins import drop as drop_kept_origin
from hospitals.services.memberships import (
    end_membership,
    grant_membership,
    prolong_membership,
)
from hospitals.services.origins import credentials_in_clear, open_origin
from hospitals.services.people import release_lock, reset_password, reset_second_factor
from hospitals.services.probing import probe
from hospitals.services.regions import add_consortium, add_region
from hospitals.services.rotation import Rotation, rotate_secrets
from hospitals.services.systems import (
    add_system,
    issue_token,
    revoke_token,
    rotate_token,
    token_state,
)

__all__ = [
    "EndpointSettings",
    "Guest",
    "Rotation",
    "accept_invitation",
    "accept_with_new_account",
    "activate",
    "add_consortium",
    "add_department",
    "add_institution",
    "add_region",
    "add_system",
    "ask_for_due_probes",
    "close_department",
    "credentials_in_clear",
    "drop_kept_origin",
    "end_membership",
    "grant_membership",
    "invite",
    "issue_token",
    "join_department",
    "leave",
    "leave_department",
    "open_origin",
    "probe",
    "probe_if_due",
    "prolong_membership",
    "record_origin_failure",
    "record_origin_success",
    "release_lock",
    "rename_department",
    "reset_password",
    "reset_second_factor",
    "restore_institution",
    "revoke_invitation",
    "revoke_token",
    "rotate_secrets",
    "rotate_token",
    "send_invitation",
    "set_endpoint",
    "suspend",
    "token_state",
    "update_institution",
]
