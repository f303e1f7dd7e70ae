"""The way to a hospital's archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from common import privacy
from common.dicomweb.client import DicomwebOrigin
from common.dicomweb.folder import FolderOrigin
from common.dicomweb.origin import Origin, OriginConfig
from hospitals.errors import EndpointMissing, HospitalSuspended, InstitutionUnknown
from hospitals.models import Endpoint, Institution

CLOSED_STATES = frozenset({Institution.State.SUSPENDED, Institution.State.LEFT})


@contextmanager
def open_origin(*, institution_id: int) -> Iterator[Origin]:
    """The institution's archive, ready to be asked; closed at the end. Nothing is sent yet.

    Network work must not run inside a transaction; what came of it is told by
    ``record_origin_success`` and ``record_origin_failure``. The circuit is the planner's to weigh
    (``PullPolicy.slots``): a reader who waits may still try.

    Raises:
        InstitutionUnknown: no such institution.
        EndpointMissing: it has no endpoint yet.
        HospitalSuspended: it is suspended or has left.
    """
    institution = Institution.objects.select_related("endpoint").filter(pk=institution_id).first()
    if institution is None:
        raise InstitutionUnknown
    if institution.state in CLOSED_STATES:
        raise HospitalSuspended(
            _("%(name)s is suspended or has left: nothing is asked of it.")
            % {"name": institution.name}
        )
    if not hasattr(institution, "endpoint"):
        raise EndpointMissing
    origin = connect(institution.endpoint)
    try:
        yield origin
    finally:
        origin.close()


def connect(endpoint: Endpoint) -> Origin:
    """The origin of an endpoint, whatever the institution's state; the caller closes it."""
    if endpoint.kind == Endpoint.Kind.FOLDER:
        return FolderOrigin(Path(endpoint.folder))
    return DicomwebOrigin(origin_config(endpoint))


def origin_config(endpoint: Endpoint) -> OriginConfig:
    """What the client needs to know of a DICOMweb endpoint, with its secret in the clear."""
    secret = json.loads(privacy.decrypt(bytes(endpoint.secret))) if endpoint.secret else {}
    return OriginConfig(
        base_url=endpoint.base_url,
        auth=endpoint.auth,
        secret=secret,
        connect_timeout_s=endpoint.connect_timeout_s,
        read_timeout_s=endpoint.read_timeout_s,
        networks=settings.HOSPITAL_NETWORKS,
        allow_loopback=settings.ALLOW_LOOPBACK_HOSPITALS,
        bandwidth_bytes_per_s=endpoint.bandwidth_bytes_per_s,
    )
