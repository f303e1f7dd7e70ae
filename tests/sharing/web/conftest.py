"""A reader in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from tests.support.pages import Province, make_province

Browsing = tuple[Province, Any, list[str]]


@pytest.fixture
def browsing(live_server: Any, chromium: Any) -> Iterator[Browsing]:
    """A page of a logged-in reader, on a phone, and what its console complained of."""
    province = make_province()
    session = province.client("radiologist").cookies[settings.SESSION_COOKIE_NAME].value
    context = chromium.new_context(
        viewport={"width": 360, "height": 780}, locale="zh-CN", has_touch=True
    )
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield province, page, complaints
    context.close()
