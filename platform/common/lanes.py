"""Two lanes through the middleware: pages take all of it, DICOMweb only what a program needs.

A viewer asks for thousands of frames in a row. What speaks to people (messages, htmx, static files, the policy of
a page) would take longer there than the frame itself, so these layers let DICOMweb requests through. Their security
headers are constant there and are set at once. Everything else stands in the list as it is, for both lanes: the
request's identifier, access line, figures and audit, who may come in, and CSRF.
"""

from __future__ import annotations

from typing import Any, cast

from csp.middleware import CSPMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django_htmx.middleware import HtmxMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from common.problem import is_dicomweb

# Answers of DICOMweb are data. Where a browser shows one as a document, it loads nothing, runs nothing, and is
# in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


class PagesOnly:
    """Mixed into a middleware: DICOMweb requests pass it by."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_dicomweb(request):
            return cast(HttpResponseBase, self.get_response(request))
        # The middleware that this is mixed with; under WSGI nothing is awaited.
        return cast(HttpResponseBase, super().__call__(request))  # type: ignore[misc]


class StaticFiles(PagesOnly, WhiteNoiseMiddleware):  # type: ignore[misc]  # has no types
    pass


class Messages(PagesOnly, MessageMiddleware):
    pass


class Htmx(PagesOnly, HtmxMiddleware):
    pass


class FrameOptions(PagesOnly, XFrameOptionsMiddleware):
    pass


class PagePolicy(CSPMiddleware):
    """The policy of pages; what stands for it and for the frame options on DICOMweb answers."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_dicomweb(request):
            return cast(HttpResponseBase, super().__call__(request))
        answer = cast(HttpResponseBase, self.get_response(request))
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer


class Language(LocaleMiddleware):
    """The caller's language; DICOMweb answers carry no header about it, since no cache keeps them."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_dicomweb(request):
            return cast(HttpResponseBase, super().__call__(request))
        # Each time: the thread still speaks the language of its last request.
        translation.activate(translation.get_language_from_request(request))
        return cast(HttpResponseBase, self.get_response(request))
