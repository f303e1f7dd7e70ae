"""Where an institution's archive answers: checked, stored, and its secret encrypted."""

from __future__ import annotations

import codecs
import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from common import audit, privacy
from common.dicom.charset import FORCED
from common.dicomweb.guard import AddressRules
from hospitals import permissions
from hospitals.domain import secrets
from hospitals.errors import EndpointInvalid, FolderUnusable, StateConflict
from hospitals.models import Endpoint, Institution
from hospitals.permissions import Actor
from hospitals.services.origins import SECRET_CONTEXT, is_allowed_folder

# Defined terms of Specific Character Set (PS3.3 C.12.1.1.2) that say more than a codec's name does.
_DEFINED_TERMS = frozenset({"GB18030", "GBK"})
# Codecs of Python that read something else than the text of a file.
_NO_CHARACTER_SETS = frozenset(
    {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}
)
_LONGEST_TIMEOUT_S = 3600.0
_MOST_CONCURRENT = 64


@dataclass(frozen=True)
class EndpointSettings:
    """An endpoint as a person gives it: a base URL or a folder, and how gently it is to be asked.

    ``secret``: basic ``username`` and ``password``; bearer ``token``; oauth2 ``token_url``,
    ``client_id``, ``client_secret`` and perhaps ``scope``; certificate ``certificate`` and ``key``
    (PEM). None keeps what is stored, as long as the kind of authentication and the address stay.
    """

    base_url: str = ""
    folder: str = ""
    auth: str = Endpoint.Auth.NONE
    secret: Mapping[str, str] | None = field(default=None, repr=False)
    concurrency: int = 4
    bandwidth_bytes_per_s: int | None = None
    quiet_from: dt.time | None = None
    quiet_until: dt.time | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    character_set: str = ""


def set_endpoint(*, actor: Actor, institution: Institution, endpoint: EndpointSettings) -> Endpoint:
    """Set or replace an institution's endpoint; its circuit starts closed. Probe it afterwards.

    Raises:
        NotPermitted: the actor may not keep this institution's endpoint.
        AddressNotAllowed: the URL is not http(s) to an allowed network.
        FolderUnusable: the folder is not absolute, missing or unreadable.
        EndpointInvalid: another value cannot be used; the text says which.
        StateConflict: the institution has left.
    """
    permissions.require(permissions.may_keep_endpoint(actor, institution_id=institution.pk))
    if endpoint.folder and not permissions.may_administer(actor):
        # A path of this machine is the province's to name: an institution could name another's. Its own stays.
        stored = Endpoint.objects.filter(institution=institution, folder=endpoint.folder.strip())
        permissions.require(stored.exists())
    values = _checked(endpoint)
    with transaction.atomic():
        locked = Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
        if locked.state == Institution.State.LEFT:
            raise StateConflict(_("%(name)s has left.") % {"name": locked.name})
        before = Endpoint.objects.filter(institution=locked).first()
        values["secret"] = _secret(endpoint, values, before)
        row, _created = Endpoint.objects.update_or_create(
            institution=locked,
            defaults=values | {"failures": 0, "open_until": None},
        )
        audit.record(
            actor,
            "endpoint.set",
            obj=row,
            institution_id=locked.pk,
            detail={"kind": row.kind, "auth": row.auth, "secret_changed": bool(endpoint.secret)},
        )
    return row


def address_rules() -> AddressRules:
    """Which addresses hospitals may be reached at, by the settings."""
    return AddressRules(
        networks=settings.HOSPITAL_NETWORKS, allow_loopback=settings.ALLOW_LOOPBACK_HOSPITALS
    )


def _checked(endpoint: EndpointSettings) -> dict[str, Any]:
    if bool(endpoint.base_url.strip()) == bool(endpoint.folder.strip()):
        raise EndpointInvalid(_("An endpoint has either a URL or a folder."))
    _check_gentleness(endpoint)
    values: dict[str, Any] = {
        "auth": endpoint.auth,
        "concurrency": endpoint.concurrency,
        "bandwidth_bytes_per_s": endpoint.bandwidth_bytes_per_s,
        "quiet_from": endpoint.quiet_from,
        "quiet_until": endpoint.quiet_until,
        "connect_timeout_s": endpoint.connect_timeout_s,
        "read_timeout_s": endpoint.read_timeout_s,
        "character_set": _character_set(endpoint.character_set),
    }
    if endpoint.folder.strip():
        if endpoint.auth != Endpoint.Auth.NONE:
            raise EndpointInvalid(_("A folder needs no authentication."))
        folder = _folder(endpoint.folder.strip())
        return values | {"kind": Endpoint.Kind.FOLDER, "folder": folder, "base_url": ""}
    return values | {"kind": Endpoint.Kind.DICOMWEB, "base_url": _url(endpoint), "folder": ""}


def _url(endpoint: EndpointSettings) -> str:
    url = address_rules().check_url(endpoint.base_url)
    if len(url) > 500:
        raise EndpointInvalid(_("The URL is longer than 500 characters."))
    if endpoint.auth not in Endpoint.Auth.values:
        raise EndpointInvalid(
            _("The authentication is one of: %(values)s.")
            % {"values": ", ".join(Endpoint.Auth.values)}
        )
    if endpoint.auth == Endpoint.Auth.CERTIFICATE and not url.lower().startswith("https://"):
        raise EndpointInvalid(_("A client certificate needs an https URL."))
    if endpoint.secret and endpoint.auth == Endpoint.Auth.OAUTH2:
        address_rules().check_url(endpoint.secret.get("token_url", ""))
    return url


def _folder(text: str) -> str:
    path = Path(text)
    if not path.is_absolute():
        raise FolderUnusable(_("The folder must be given by its absolute path."))
    if len(text) > 500:
        raise FolderUnusable(_("The path is longer than 500 characters."))
    try:
        usable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise FolderUnusable(_("The folder cannot be read.")) from error
    if not usable:
        raise FolderUnusable(_("There is no readable folder %(folder)s.") % {"folder": text})
    if _is_ours(path.resolve()):
        raise FolderUnusable(_("The folder holds this system's own data."))
    if not is_allowed_folder(path):
        raise FolderUnusable(_("The folder is not within one that HOSPITAL_FOLDERS allows."))
    return text


def _is_ours(path: Path) -> bool:
    """Whether a folder holds this system's data or lies within; the demo's own hospitals may."""
    data = settings.DATA_DIR.resolve()
    return data.is_relative_to(path) or (
        path.is_relative_to(data) and not path.is_relative_to(data / "demo")
    )


def _check_gentleness(endpoint: EndpointSettings) -> None:
    if not 1 <= endpoint.concurrency <= _MOST_CONCURRENT:
        raise EndpointInvalid(
            _("The concurrency is a number from 1 to %(most)d.") % {"most": _MOST_CONCURRENT}
        )
    if endpoint.bandwidth_bytes_per_s is not None and not (
        1 <= endpoint.bandwidth_bytes_per_s < 2**62
    ):
        raise EndpointInvalid(_("The bandwidth is a positive number of bytes per second."))
    for timeout_s in (endpoint.connect_timeout_s, endpoint.read_timeout_s):
        if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:  # a NaN is refused too
            raise EndpointInvalid(_("A time-out is more than 0 and at most 3600 seconds."))
    if (endpoint.quiet_from is None) != (endpoint.quiet_until is None):
        raise EndpointInvalid(_("Quiet hours have a start and an end."))
    if endpoint.quiet_from is not None and endpoint.quiet_from == endpoint.quiet_until:
        raise EndpointInvalid(_("Quiet hours end at another time than they start."))


def _character_set(text: str) -> str:
    """A term of the standard or a name of Python's; with ``FORCED`` also against a declared Latin-1."""
    given = text.strip()
    mark = FORCED if given.endswith(FORCED) else ""
    name = given.removesuffix(FORCED).strip()
    _require_known(name)
    return name + mark if name else ""


def _require_known(name: str) -> None:
    if (
        not name
        or name.upper() in _DEFINED_TERMS
        or name.upper().startswith(("ISO_IR ", "ISO 2022"))
    ):
        if len(name) > 31:
            raise EndpointInvalid(_("The character set is not known."))
        return
    try:
        # Also tells codecs of text from those that pack and encode (zlib, base64).
        known = codecs.lookup(name).name not in _NO_CHARACTER_SETS and b" ".decode(name) == " "
    except (LookupError, ValueError) as error:
        raise EndpointInvalid(_("The character set is not known.")) from error
    if not known or len(name) > 31:
        raise EndpointInvalid(_("The character set is not known."))


def _secret(
    endpoint: EndpointSettings, values: Mapping[str, Any], before: Endpoint | None
) -> bytes | None:
    if endpoint.auth == Endpoint.Auth.NONE:
        if endpoint.secret:
            raise EndpointInvalid(_("A secret is given, but no kind of authentication."))
        return None
    if endpoint.secret is None:
        # Kept only for the same address: else a new address would be sent an old secret.
        if before and before.auth == endpoint.auth and before.base_url == values["base_url"]:
            return bytes(before.secret) if before.secret is not None else None
        raise EndpointInvalid(_("This kind of authentication needs its secret."))
    found = secrets.faults(endpoint.auth, endpoint.secret)
    if found:
        raise EndpointInvalid(
            _("The secret does not fit: %(faults)s.") % {"faults": "; ".join(found)}
        )
    return privacy.encrypt(json.dumps(dict(endpoint.secret)), context=SECRET_CONTEXT)
