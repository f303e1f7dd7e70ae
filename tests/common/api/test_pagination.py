"""Lists page by page."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from common.api.pagination import Pages


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, 50),
        ({"page_size": 7}, 7),
        ({"page_size": 5000}, 200),
    ],
)
def test_a_page_is_bounded_whatever_is_asked(query, rows):
    request = Request(APIRequestFactory().get("/api/v1/x", query))

    assert len(Pages().paginate_queryset(list(range(1000)), request)) == rows


@pytest.mark.parametrize("asked", ["x", "", 0, -1, "1.5", "9" * 2000])
def test_a_page_size_that_is_none_is_refused_and_not_replaced(asked):
    request = Request(APIRequestFactory().get("/api/v1/x", {"page_size": asked}))

    with pytest.raises(ValidationError):
        Pages().paginate_queryset(list(range(1000)), request)
