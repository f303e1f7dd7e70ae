"""Who may send messages, and for which institution."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from common import audit
from common.hl7.acknowledgement import Header
from common.hl7.charset import codec_of
from common.hl7.errors import MessageError
from hospitals import selectors as hospitals
from sharing.errors import SenderInvalid, SenderUnknown
from sharing.models import MessageSender

if TYPE_CHECKING:
    from common.accounts.models import User
    from common.hl7.server import Peer

INTEGRATOR = "integrator"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


@transaction.atomic
def add_sender(
    *,
    actor: User | str,
    institution_code: str,
    account: User,
    application: str,
    facility: str = "",
    networks: tuple[str, ...] = (),
    certificate: str = "",
    character_set: str = "",
    issuer: str = "",
) -> MessageSender:
    """Let a system of an institution send messages, acting as one of its integrator's accounts.

    For commands: what a network proves is the operator's to say, not an institution's.

    Raises:
        SenderInvalid: neither network nor certificate, or one that is none; an account that is no integrator there.
    """
    institution = hospitals.get_institution(code=institution_code)
    if not hospitals.has_role(account, INTEGRATOR, institution_id=institution.pk):
        raise SenderInvalid(_("The account is no integrator of this institution."))
    sender = MessageSender.objects.create(
        institution=institution,
        account=account,
        application=_name(application),
        facility=facility.strip(),
        networks=_networks(networks),
        certificate=_certificate(certificate, networks),
        character_set=_character_set(character_set),
        issuer=issuer,
    )
    audit.record(
        actor,
        "hl7.sender.add",
        sender,
        detail={"application": sender.application, "networks": sender.networks},
    )
    return sender


@transaction.atomic
def end_sender(*, actor: User | str, sender_id: int) -> None:
    """Take no more messages of this system; what it sent stays.

    Raises:
        SenderUnknown: there is none.
    """
    sender = MessageSender.objects.select_for_update().filter(pk=sender_id).first()
    if sender is None:
        raise SenderUnknown
    if sender.active:
        sender.active = False
        sender.save(update_fields=["active"])
        audit.record(actor, "hl7.sender.end", sender)


def sender_of(header: Header, peer: Peer) -> MessageSender:
    """The sender of a message: one whose address or certificate this connection has, and whose name MSH says.

    A certificate proves more than an address; of several networks the narrowest is meant.

    Raises:
        SenderUnknown: none, or its account is no integrator of an active institution any more.
    """
    named = MessageSender.objects.filter(active=True, application=header.application)
    found = [
        (strength, sender)
        for sender in named.filter(facility__in=("", header.facility)).select_related(
            "account", "institution"
        )
        if (strength := _strength(sender, peer, header))
    ]
    if not found:
        raise SenderUnknown
    best = max(strength for strength, _sender in found)
    strongest = [sender for strength, sender in found if strength == best]
    if len(strongest) > 1:
        raise SenderUnknown(_("Two senders are registered alike."))
    return _in_force(strongest[0])


def _in_force(sender: MessageSender) -> MessageSender:
    institution = sender.institution
    holds = hospitals.has_role(sender.account, INTEGRATOR, institution_id=institution.pk)
    if not holds or institution.state != "active":
        raise SenderUnknown(_("The sender's account or institution is not active."))
    return sender


def _strength(sender: MessageSender, peer: Peer, header: Header) -> tuple[int, int, int] | None:
    """How strongly the connection proves it; None if it does not."""
    if sender.certificate and sender.certificate != peer.certificate:
        return None
    widths = [_width(network, peer.address) for network in sender.networks]
    if sender.networks and max(widths) < 0:
        return None
    return (1 if sender.certificate else 0, max(widths, default=0), 1 if sender.facility else 0)


def _width(network: str, address: str) -> int:
    """The length of the network's prefix; -1 if the address is outside."""
    parsed = ipaddress.ip_network(network)
    at = ipaddress.ip_address(address)
    if isinstance(at, ipaddress.IPv6Address) and at.ipv4_mapped:
        at = at.ipv4_mapped
    return parsed.prefixlen if at.version == parsed.version and at in parsed else -1


def _name(application: str) -> str:
    if not application.strip():
        raise SenderInvalid(_("A sender has the name of its application (MSH-3)."))
    return application.strip()


def _networks(networks: tuple[str, ...]) -> list[str]:
    try:
        return [str(ipaddress.ip_network(each.strip())) for each in networks]
    except ValueError as error:
        raise SenderInvalid(_("A network is not written in CIDR form.")) from error


def _certificate(certificate: str, networks: tuple[str, ...]) -> str:
    plain = certificate.replace(":", "").strip().lower()
    if plain and not _FINGERPRINT.match(plain):
        raise SenderInvalid(_("A certificate is named by its SHA-256 fingerprint."))
    if not plain and not networks:
        raise SenderInvalid(_("A sender is known by its network or its certificate."))
    return plain


def _character_set(name: str) -> str:
    if name:
        try:
            codec_of(name)
        except MessageError as error:
            raise SenderInvalid(_("This character set is not read here.")) from error
    return name
