"""Regions and consortia."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from common import audit
from hospitals import permissions
from hospitals.domain.codes import is_plain_code, is_region_code
from hospitals.errors import CodeInvalid, CodeTaken
from hospitals.models import Consortium, Region
from hospitals.permissions import Actor


@transaction.atomic
def add_region(*, actor: Actor, code: str, name: str, parent: Region | None = None) -> Region:
    """Add an administrative region.

    Raises:
        NotPermitted: the actor may not administer the province.
        CodeInvalid: not six digits.
        CodeTaken: the region exists.
    """
    permissions.require(permissions.may_administer(actor))
    if not is_region_code(code):
        raise CodeInvalid(_("A region's code has six digits (GB/T 2260)."))
    region, created = Region.objects.get_or_create(
        code=code, defaults={"name": name or code, "parent": parent}
    )
    if not created:
        raise CodeTaken(_("There is a region %(code)s already.") % {"code": code})
    audit.record(actor, "region.add", obj=region)
    return region


@transaction.atomic
def add_consortium(*, actor: Actor, code: str, name: str, region: Region) -> Consortium:
    """Add a consortium of a region.

    Raises:
        NotPermitted: the actor may not administer the province.
        CodeInvalid: the code is not plain.
        CodeTaken: the code is in use.
    """
    permissions.require(permissions.may_administer(actor))
    if not is_plain_code(code):
        raise CodeInvalid
    consortium, created = Consortium.objects.get_or_create(
        code=code, defaults={"name": name or code, "region": region}
    )
    if not created:
        raise CodeTaken(_("There is a consortium %(code)s already.") % {"code": code})
    audit.record(actor, "consortium.add", obj=consortium)
    return consortium
