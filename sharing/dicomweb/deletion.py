"""``DELETE /studies/{study}``: the institution's own copy, with a reason (ADR 0016)."""

from __future__ import annotations

import orjson
from django.http import HttpRequest, HttpResponse

from sharing.dicomweb.origin import OriginView
from sharing.dicomweb.writing import require_same_origin, store_target
from sharing.errors import NowhereToStore
from sharing.selectors import forget_places
from sharing.services import deleting


class DeleteStudyView(OriginView):
    """``?reason=CODE`` names one of the known reasons; the query holds no words, so no patient's data."""

    http_method_names = ["delete"]

    def delete(self, request: HttpRequest, *, study_uid: str, **_: str) -> HttpResponse:
        require_same_origin(request)
        target = store_target(self.actor, self.institution_code)
        if target.derived_only:
            raise NowhereToStore("Only an institution's integrator may delete its studies.")
        deletion = deleting.delete_study(
            actor=self.actor,
            institution_id=target.institution_id,
            study_instance_uid=study_uid,
            reason=request.GET.get("reason", ""),
        )
        forget_places()
        body = {
            "study_instance_uid": study_uid,
            "institution": target.institution_code,
            "reason": deletion.reason,
            "deleted_at": deletion.deleted_at,
            "purge_after": deletion.purge_after,
        }
        return HttpResponse(orjson.dumps(body), status=202, content_type="application/json")
