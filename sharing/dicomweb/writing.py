"""Who may write under the DICOMweb roots, and into which institution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest

from common.accounts.bearer import bearer_of
from common.errors import NotPermitted
from sharing.errors import InstitutionNotActive, NowhereToStore, SeveralInstitutions
from sharing.permissions import StoreTarget, store_targets

if TYPE_CHECKING:
    from common.accounts.models import User


def require_same_origin(request: HttpRequest) -> None:
    """Refuse what another site's page made a browser send.

    A viewer cannot send Django's token, but a browser says where a request comes from, and no page can change that
    (Fetch Metadata; RFC 6454 §7). Bearer tokens are never added by a browser, so they need no proof.

    Raises:
        NotPermitted: a session without proof that the page is ours.
    """
    if bearer_of(request) is not None:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise NotPermitted("This request comes from a page of another site.")
    if origin is not None:
        own = f"{request.scheme}://{request.get_host()}"
        if origin not in (own, *settings.CSRF_TRUSTED_ORIGINS):
            raise NotPermitted("This request comes from a page of another site.")
    elif site is None:
        raise NotPermitted(
            "A session alone is not enough to write: this request does not say from which page it comes. "
            "Programs send a bearer token."
        )


def store_target(actor: User, institution_code: str) -> StoreTarget:
    """The institution that ``actor`` stores into: the one in the address, else the only one there is.

    Raises:
        NowhereToStore: no role allows it, or not there.
        SeveralInstitutions: the address has to say which.
        InstitutionNotActive: nothing is taken from it now.
    """
    targets = store_targets(actor)
    if institution_code:
        targets = tuple(each for each in targets if each.institution_code == institution_code)
    if not targets:
        raise NowhereToStore
    full = tuple(each for each in targets if not each.derived_only)
    targets = full or targets
    if len(targets) > 1:
        raise SeveralInstitutions
    if targets[0].institution_state != "active":
        raise InstitutionNotActive(
            "This institution is not active: nothing is stored into it.",
        )
    return targets[0]
