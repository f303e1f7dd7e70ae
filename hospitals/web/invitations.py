"""Inviting somebody, and accepting an invitation."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from common.accounts import demands, entering
from common.accounts.models import User
from common.accounts.public import public
from common.errors import DomainError, NotFound, NotPermitted
from common.ui.pages import actor_of, page
from common.ui.words import said
from hospitals import permissions, selectors, services
from hospitals.errors import PasswordRefused
from hospitals.models import Institution, Invitation
from hospitals.permissions import PROVINCE_WIDE, Role
from hospitals.services import Guest

# What is offered first may do least; systems are not invited.
_OFFERED = (
    Role.CLINICIAN,
    Role.RADIOLOGIST,
    Role.INSTITUTION_ADMIN,
    Role.AUDITOR,
    Role.OPERATOR,
    Role.COMMISSION,
)


class InviteForm(forms.Form):
    """Who, as what, where and from when to when; offers what this administrator may give."""

    name = forms.CharField(max_length=150)
    email = forms.EmailField(required=False)
    role = forms.ChoiceField()
    institution = forms.ChoiceField(required=False)
    valid_from = forms.DateField(required=False)
    valid_until = forms.DateField(required=False)

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        everywhere = permissions.kept_places(actor) is None
        self.places = {row.code: row for row in selectors.kept_institutions(actor=actor)}
        self.roles = [role for role in _OFFERED if everywhere or role not in PROVINCE_WIDE]
        self.fields["role"].choices = [(role.value, role.label) for role in self.roles]  # type: ignore[attr-defined]
        codes = [(code, row.name) for code, row in self.places.items()]
        self.fields["institution"].choices = [("", "–"), *codes]  # type: ignore[attr-defined]

    def guest(self) -> Guest:
        """What was filled in. Whoever keeps one institution need not name it."""
        given = self.cleaned_data
        place: Institution | None = self.places.get(given["institution"])
        if place is None and len(self.places) == 1 and given["role"] not in PROVINCE_WIDE:
            place = next(iter(self.places.values()))
        return Guest(
            name=given["name"],
            role=given["role"],
            institution=None if given["role"] in PROVINCE_WIDE else place,
            email=given["email"],
            valid_from=given["valid_from"],
            valid_until=given["valid_until"],
        )


@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """``/people/invite``: the link is shown once, and mailed where an address is given."""
    actor = actor_of(request)
    form = InviteForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            invitation, code = services.invite(actor=actor, guest=form.guest())
        except (NotFound, NotPermitted):
            raise
        except DomainError as error:
            form.add_error(None, said(error))
        else:
            return _invited(request, invitation, code)
    context: dict[str, object] = {"form": form}
    return page(request, "hospitals/invite.html", context)


@require_POST
def revoke(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """``POST /people/invitations/{id}/revoke``."""
    actor = actor_of(request)
    invitation = selectors.get_kept_invitation(actor=actor, invitation_id=invitation_id)
    services.revoke_invitation(actor=actor, invitation=invitation)
    messages.success(request, _("The invitation is taken back: its link opens nothing."))
    return redirect("hospitals:people")


@public
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password", "password_again")
def join(request: HttpRequest, code: str) -> HttpResponse:
    """``/people/join/{code}``: what the link opens. Looking at it uses nothing up."""
    invitation = selectors.get_open_invitation(code=code)
    context: dict[str, object] = {"invitation": invitation}
    if request.method != "POST":
        return render(request, "hospitals/join.html", context)
    if request.user.is_authenticated:
        return _join_as_reader(request, code)
    context["username"] = request.POST.get("username", "")[:150]
    try:
        user = services.accept_with_new_account(
            code=code, username=_new_name(request), password=_new_password(request)
        )
    except NotFound:
        raise
    except DomainError as error:
        context["fault"] = said(error)
        return render(request, "hospitals/join.html", context, status=400)
    return entering.go_on(request, user, by="invitation")


def _join_as_reader(request: HttpRequest, code: str) -> HttpResponse:
    """With the account that is logged in, which a token cannot stand for: a person decides this."""
    actor = actor_of(request)
    if getattr(request, "bearer", None) is not None:
        raise NotPermitted
    if demands.is_missing(request):
        return redirect("accounts:enrol")
    services.accept_invitation(code=code, user=User.objects.get(pk=actor.pk))
    messages.success(request, _("Accepted: the role is yours."))
    return redirect("accounts:account")


def _new_name(request: HttpRequest) -> str:
    return request.POST.get("username", "").strip().replace("\x00", "")[:151]


def _new_password(request: HttpRequest) -> str:
    password = request.POST.get("password", "")[:1000]
    if password != request.POST.get("password_again", "")[:1000]:
        raise PasswordRefused(_("The two passwords are not the same."))
    return password


def _invited(request: HttpRequest, invitation: Invitation, code: str) -> HttpResponse:
    """The page with the link. Rendered at once and not after a redirect, which would have to carry the code."""
    link = request.build_absolute_uri(reverse("hospitals:join", args=[code]))
    context: dict[str, object] = {
        "invitation": invitation,
        "link": link,
        "was_mailed": services.send_invitation(invitation=invitation, link=link),
    }
    return page(request, "hospitals/invited.html", context)
