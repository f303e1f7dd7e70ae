"""The way to a hospital's archive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from common import privacy
from common.dicomweb.client import DicomwebOrigin, OriginConfig
from common.dicomweb.errors import AddressNotAllowed
from common.dicomweb.folder import FolderOrigin
from common.dicomweb.origin import Origin
from hospitals.domain.abilities import Abilities
from hospitals.domain.clear_text import sends_credentials_in_clear
from hospitals.errors import EndpointMissing, HospitalSuspended, InstitutionUnknown
from hospitals.models import Endpoint, Institution
from hospitals.selectors.health import newest_probes
from hospitals.services import kept_origins

# An encrypted secret opens only as what it is.
SECRET_CONTEXT = "hospitals_endpoint.secret"  # noqa: S105 - a place, not a password
CLOSED_STATES = frozenset({Institution.State.SUSPENDED, Institution.State.LEFT})


@contextmanager
def open_origin(
    *, institution_id: int, keep: bool = False, within_s: float | None = None
) -> Iterator[Origin]:
    """The institution's archive, ready to be asked; closed at the end. Nothing is sent yet.

    With ``keep`` its connection is left for the thread's next call with ``keep`` (``kept_origins``); whether
    the institution may be asked at all is looked up every time. With ``within_s``, for somebody who waits, no
    answer to a search takes much longer than that, whatever the endpoint's own time limits are.

    Network work must not run inside a transaction; what came of it is told by
    ``record_origin_success`` and ``record_origin_failure``. The circuit is the planner's to weigh
    (``PullPolicy.slots``): a reader who waits may still try.

    Raises:
        InstitutionUnknown: no such institution.
        EndpointMissing: it has no endpoint yet.
        HospitalSuspended: it is suspended or has left.
    """
    endpoint = _open_endpoint(institution_id)
    reusable = keep and endpoint.kind == Endpoint.Kind.DICOMWEB
    former = kept_origins.take(endpoint) if reusable else None
    opened_at = former.opened_at if former else time.monotonic()
    origin = former.origin if former else connect(endpoint, within_s=within_s)
    unharmed = False
    try:
        yield origin
        unharmed = True
    finally:
        if reusable and unharmed:
            kept_origins.keep(origin, endpoint, opened_at=opened_at)
        else:
            origin.close()


def _open_endpoint(institution_id: int) -> Endpoint:
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
    endpoint: Endpoint = institution.endpoint
    return endpoint


def connect(endpoint: Endpoint, *, within_s: float | None = None) -> Origin:
    """The origin of an endpoint, whatever the institution's state; the caller closes it."""
    if endpoint.kind == Endpoint.Kind.FOLDER:
        return folder_origin(endpoint)
    config = origin_config(endpoint)
    return DicomwebOrigin(config if within_s is None else config.within(within_s))


def folder_origin(endpoint: Endpoint) -> FolderOrigin:
    """The folder of an endpoint; its index is kept outside of it, for a hospital's folder is only read.

    Raises:
        AddressNotAllowed: it is not, or no longer, within one of HOSPITAL_FOLDERS.
    """
    if not is_allowed_folder(Path(endpoint.folder)):
        raise AddressNotAllowed("The folder is not within one that HOSPITAL_FOLDERS allows.")
    return FolderOrigin(
        Path(endpoint.folder),
        cache_dir=settings.DATA_DIR / "folders",
        character_set=endpoint.character_set,
    )


def credentials_in_clear(endpoint: Endpoint) -> bool:
    """Whether what this endpoint is entered with can be read on the way."""
    if endpoint.kind == Endpoint.Kind.FOLDER or endpoint.auth == Endpoint.Auth.NONE:
        return False
    secret = origin_config(endpoint).secret
    return sends_credentials_in_clear(
        endpoint.auth, endpoint.base_url, str(secret.get("token_url", ""))
    )


def is_allowed_folder(path: Path) -> bool:
    """Whether a hospital's files may lie there, links followed; any folder where none is named."""
    allowed = settings.HOSPITAL_FOLDERS
    real = path.resolve()
    return not allowed or any(real.is_relative_to(each.resolve()) for each in allowed)


def origin_config(endpoint: Endpoint) -> OriginConfig:
    """What the client needs to know of a DICOMweb endpoint, with its secret in the clear.

    The bandwidth ceiling is the institution's; each of its connections gets its share.
    """
    secret = (
        json.loads(privacy.decrypt(endpoint.secret, context=SECRET_CONTEXT))
        if endpoint.secret
        else {}
    )
    newest = newest_probes([endpoint.pk], only_reachable=True).get(endpoint.pk)
    abilities = Abilities.from_json(newest.abilities) if newest else Abilities()
    ceiling = endpoint.bandwidth_bytes_per_s
    return OriginConfig(
        base_url=endpoint.base_url,
        auth=endpoint.auth,
        secret=secret,
        connect_timeout_s=endpoint.connect_timeout_s,
        read_timeout_s=endpoint.read_timeout_s,
        networks=settings.HOSPITAL_NETWORKS,
        allow_loopback=settings.ALLOW_LOOPBACK_HOSPITALS,
        bandwidth_bytes_per_s=None if ceiling is None else max(ceiling // endpoint.concurrency, 1),
        accept_any_syntax=abilities.any_syntax is not False,
        send_includefield=abilities.includefield is not False,
    )
