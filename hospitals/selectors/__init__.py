"""Reads about members of the province; other modules use these and never the tables."""

from hospitals.permissions import RoleAt, has_role, roles_of
from hospitals.selectors.directory import listed_institutions
from hospitals.selectors.health import (
    HealthRow,
    ProbeView,
    get_health,
    health_overview,
    list_probes,
    newest_probes,
    probe_view,
)
from hospitals.selectors.institutions import (
    consortia,
    get_consortium,
    get_institution,
    get_region,
    get_visible_institution,
    institution_facts,
    institution_ids_visible_to,
    list_policies,
    list_pullable,
    pull_policy,
    regions,
    visible_institutions,
)
from hospitals.selectors.memberships import (
    list_lasting_memberships,
    list_memberships,
    memberships_of,
)

__all__ = [
    "HealthRow",
    "ProbeView",
    "RoleAt",
    "consortia",
    "get_consortium",
    "get_health",
    "get_institution",
    "get_region",
    "get_visible_institution",
    "has_role",
    "health_overview",
    "institution_facts",
    "institution_ids_visible_to",
    "list_lasting_memberships",
    "list_memberships",
    "list_policies",
    "list_probes",
    "list_pullable",
    "listed_institutions",
    "memberships_of",
    "newest_probes",
    "probe_view",
    "pull_policy",
    "regions",
    "roles_of",
    "visible_institutions",
]
