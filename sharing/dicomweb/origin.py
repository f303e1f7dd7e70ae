"""Which of the two roots was asked, and the addresses that answers carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.urls import reverse

from common.dicomweb.media_types import DICOM_JSON, Representation
from common.dicomweb.server import DICOMwebView

if TYPE_CHECKING:
    from common.accounts.models import User


JSON_OFFERS = (
    Representation(DICOM_JSON, multipart=False),
    Representation("application/json", multipart=False),
)
JSON_ONLY = "This resource is given as application/dicom+json."


@dataclass(frozen=True)
class Root:
    """``/dicom-web`` over all institutions, or ``/dicom-web/at/{code}`` of one of them."""

    url: str  # absolute, without a slash at the end, as the caller reaches it
    institution_code: str = ""

    def of_institution(self, code: str) -> str:
        """The absolute root of one institution."""
        return self.url if self.institution_code else f"{self.url}/at/{code}"


class OriginView(DICOMwebView):
    """A resource under either root. ``institution_code`` is empty under the common one."""

    @property
    def actor(self) -> User:
        # The middleware has turned strangers away; what a view sees is an account.
        return cast("User", self.request.user)

    @property
    def institution_code(self) -> str:
        return str(self.kwargs.get("institution_code", ""))

    @property
    def root(self) -> Root:
        """Right behind a proxy too: the host it names, and the prefix the server was mounted at."""
        path = reverse("dicomweb:root").rstrip("/")
        if self.institution_code:
            path += f"/at/{self.institution_code}"
        return Root(self.request.build_absolute_uri(path), self.institution_code)
