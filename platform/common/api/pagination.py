"""Lists of the API, page by page."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import IntegerField
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request


class Pages(PageNumberPagination):
    """``?page=2&page_size=50``: 50 rows unless told, at most 200."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        """The rows of a page.

        Raises:
            ValidationError: not a number of rows; the framework would quietly take another.
        """
        asked = request.query_params.get("page_size")
        if asked is None:
            return self.page_size
        try:
            rows: int = IntegerField(min_value=1).run_validation(asked)
        except ValidationError as error:
            raise ValidationError({"page_size": error.detail}) from error
        return min(rows, self.max_page_size)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """As the framework describes them, and that both begin at 1."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for each in parameters:
            each["schema"]["minimum"] = 1
        return parameters
