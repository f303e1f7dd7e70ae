"""What a client of the DICOMweb root gets to read, by the digests of the bytes that arrive."""

from __future__ import annotations

import hashlib
from typing import Any

import requests

from common.dicomweb.media_types import parse_media_type
from common.dicomweb.multipart import iter_parts

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def session_of(token: str) -> requests.Session:
    """A session of this bearer token that asks nothing of the machine's proxies."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {token}"
    return session


def listening_session(token: str) -> tuple[requests.Session, set[str]]:
    """A session that notes the SHA-256 of each part that passes through it."""
    received: set[str] = set()

    def note(response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
        media_type = parse_media_type(response.headers.get("Content-Type", ""))
        assert media_type is not None, response.status_code
        if media_type.boundary:
            received.update(digests(response))

    session = session_of(token)
    session.hooks["response"].append(note)
    return session, received


def digests(response: requests.Response) -> set[str]:
    """SHA-256 of each part of a multipart answer."""
    media_type = parse_media_type(response.headers.get("Content-Type", ""))
    assert media_type is not None, (response.status_code, response.text)
    parts = iter_parts([response.content], boundary=media_type.boundary)
    return {hashlib.sha256(b"".join(part.chunks())).hexdigest() for part in parts}


def everything(root: str, token: str) -> set[str]:
    """SHA-256 of every instance of every study that this root shows, as stored."""
    session = session_of(token)
    found = session.get(f"{root}/studies", params={"limit": 1000}).json()
    received: set[str] = set()
    for study in found:
        uid = study["0020000D"]["Value"][0]
        received |= digests(session.get(f"{root}/studies/{uid}", headers={"Accept": AS_STORED}))
    return received
