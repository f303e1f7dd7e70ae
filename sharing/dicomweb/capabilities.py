"""The Capabilities Description (PS3.18 §8.9, 2024e): what each resource answers, as WADL or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from common.dicom.codecs import NATIVE_TARGETS, TARGETS
from common.dicomweb.media_types import DICOM, DICOM_JSON, OCTET_STREAM
from common.dicomweb.negotiation import MEDIA_TYPES
from sharing.dicomweb.picture_parameters import KNOWN

WADL = "application/vnd.sun.wadl+xml"
JSON = "application/json"
_RELATED = 'multipart/related; type="{}"'
_XML = _RELATED.format("application/dicom+xml")
_METADATA = (DICOM_JSON, JSON, _XML)
_INSTANCES = (_RELATED.format(DICOM),)
_IMAGES = tuple(dict.fromkeys(MEDIA_TYPES[uid] for uid in TARGETS))
_FRAMES = tuple(form for name in (OCTET_STREAM, *_IMAGES) for form in (_RELATED.format(name), name))
_PICTURES = ("image/jpeg", "image/png", "image/gif")
_MANY_PICTURES = tuple(_RELATED.format(name) for name in _PICTURES)
_STORED = tuple(
    form
    for name in (DICOM, "application/dicom+json", "application/dicom+xml")
    for form in (_RELATED.format(name), name)
)
_SEARCH = (
    "{attributeID}",
    "includefield",
    "fuzzymatching",
    "emptyvaluematching",
    "limit",
    "offset",
    "accept",
)
_DRAWN = (*KNOWN, "accept")
_SMALL = tuple(name for name in _DRAWN if name != "annotation")  # PS3.18 §10.4.1.1.4
# PS3.18 Table 8.9-1 and following name the parts of an address so.
_NAMES = {
    "study_uid": "study",
    "series_uid": "series",
    "instance_uid": "instance",
}


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a resource; of media types, the first is the default."""

    name: str
    transaction: str
    answers: tuple[str, ...]
    takes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ("accept",)


def _get(transaction: str, answers: Iterable[str], *parameters: str) -> Method:
    return Method("GET", transaction, tuple(answers), parameters=parameters or ("accept",))


_STORE = Method("POST", "Store", (DICOM_JSON, JSON, "application/dicom+xml"), takes=_STORED)
# By the name of the route; a test holds it complete.
METHODS: dict[str, tuple[Method, ...]] = {
    "search-studies": (
        _get("Search studies", _METADATA, *_SEARCH, "federated"),
        _STORE,
    ),
    "search-series": (_get("Search series", _METADATA, *_SEARCH),),
    "search-all-instances": (_get("Search instances", _METADATA, *_SEARCH),),
    "search-study-series": (_get("Search series", _METADATA, *_SEARCH),),
    "search-study-instances": (_get("Search instances", _METADATA, *_SEARCH),),
    "search-instances": (_get("Search instances", _METADATA, *_SEARCH),),
    "study": (
        _get("Retrieve study", _INSTANCES),
        _STORE,
        Method("DELETE", "Delete study", (JSON,), parameters=("reason",)),
    ),
    "series": (_get("Retrieve series", _INSTANCES),),
    "instance": (_get("Retrieve instance", (*_INSTANCES, DICOM)),),
    "study-metadata": (_get("Retrieve metadata", _METADATA),),
    "series-metadata": (_get("Retrieve metadata", _METADATA),),
    "metadata": (_get("Retrieve metadata", _METADATA),),
    "frames": (_get("Retrieve frames", _FRAMES),),
    "bulkdata": (_get("Retrieve bulk data", (OCTET_STREAM, _RELATED.format(OCTET_STREAM))),),
    **{
        f"{level}-{what}": (_get(f"Retrieve {said} of all", answers),)
        for level in ("study", "series", "instance")
        for what, said, answers in (
            ("bulkdata", "bulk data", (_RELATED.format(OCTET_STREAM),)),
            ("pixeldata", "pixels", tuple(form for form in _FRAMES if "multipart" in form)),
        )
    },
    "rendered": (_get("Rendered instance", (*_PICTURES, *_MANY_PICTURES), *_DRAWN),),
    "frame-rendered": (_get("Rendered frames", (*_PICTURES, *_MANY_PICTURES), *_DRAWN),),
    "study-rendered": (_get("Rendered study", (*_MANY_PICTURES, "image/gif"), *_DRAWN),),
    "series-rendered": (_get("Rendered series", (*_MANY_PICTURES, "image/gif"), *_DRAWN),),
    "thumbnail": (_get("Thumbnail", _PICTURES, *_SMALL),),
    "frame-thumbnail": (_get("Thumbnail", _PICTURES, *_SMALL),),
    "study-thumbnail": (_get("Thumbnail", _PICTURES, *_SMALL),),
    "series-thumbnail": (_get("Thumbnail", _PICTURES, *_SMALL),),
}
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


def template_of(route: str) -> str:
    """``studies/<str:study_uid>`` as ``studies/{study}``."""
    return _CONVERTER.sub(lambda found: "{" + _NAMES.get(found[1], found[1]) + "}", route)


def as_json(base: str, routes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """``routes`` are pairs of a route's name and its pattern; a small document of our own making."""
    return {
        "base": base,
        "resources": [
            {
                "path": template_of(route),
                "methods": [_method_json(method) for method in METHODS[name]],
            }
            for name, route in routes
        ],
        "transferSyntaxes": {"made": [*NATIVE_TARGETS, *TARGETS], "asStored": "*"},
    }


def _method_json(method: Method) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": method.name,
        "transaction": method.transaction,
        "answers": list(method.answers),
        "parameters": list(method.parameters),
    }
    return found | {"takes": list(method.takes)} if method.takes else found


def as_wadl(base: str, routes: Iterable[tuple[str, str]]) -> bytes:
    """The same in the form that the standard names (WADL, W3C Member Submission of 2009)."""
    return "".join(_wadl(base, routes)).encode()


def _wadl(base: str, routes: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield '<application xmlns="http://wadl.dev.java.net/2009/02">'
    yield f"<resources base={quoteattr(base + '/')}>"
    for name, route in routes:
        template = template_of(route)
        yield f"<resource path={quoteattr(template)}>"
        for part in re.findall(r"\{(\w+)\}", template):
            yield f'<param name={quoteattr(part)} style="template" required="true"/>'
        for method in METHODS[name]:
            yield from _method_wadl(method, identifier=f"{method.name.lower()}-{name}")
        yield "</resource>"
    yield "</resources></application>\n"


def _method_wadl(method: Method, *, identifier: str) -> Iterator[str]:
    yield f"<method name={quoteattr(method.name)} id={quoteattr(identifier)}>"
    yield f"<doc title={quoteattr(method.transaction)}/><request>"
    yield f'<param name="Accept" style="header" default={quoteattr(method.answers[0])}>'
    yield from (f"<option value={quoteattr(each)}/>" for each in method.answers)
    yield "</param>"
    yield from (f'<param name={quoteattr(each)} style="query"/>' for each in method.parameters)
    yield from (f"<representation mediaType={quoteattr(each)}/>" for each in method.takes)
    yield '</request><response status="200">'
    yield from (f"<representation mediaType={quoteattr(each)}/>" for each in method.answers)
    yield "</response></method>"
