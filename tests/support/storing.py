"""Senders of store requests, and what is read from the answers (PS3.18 §10.5)."""

from __future__ import annotations

import io
from typing import Any

import pydicom

from common.accounts.tokens import create_token
from sharing.models import (
    Series,
)
from sharing.services import gathering
from tests.support.pulling import SERIES, STUDY, instance

DICOM = 'multipart/related; type="application/dicom"; boundary=b'
JSON = 'multipart/related; type="application/dicom+json"; boundary=b'


def multipart(*parts: bytes, types: tuple[str, ...] = (), locations: tuple[str, ...] = ()) -> bytes:
    body = b""
    for number, part in enumerate(parts):
        kind = types[number] if types else "application/dicom"
        body += f"--b\r\nContent-Type: {kind}\r\n".encode()
        if locations and locations[number]:
            body += f"Content-Location: {locations[number]}\r\n".encode()
        body += b"\r\n" + part + b"\r\n"
    return body + b"--b--\r\n"


class Sender:
    """An institution's PACS with its token."""

    def __init__(self, client: Any, user: Any, root: str = "/dicom-web") -> None:
        self.client = client
        self.root = root
        self.headers = {"authorization": f"Bearer {create_token(actor='test', user=user)}"}

    def post(
        self, body: bytes, *, study: str = "", content_type: str = DICOM, **headers: str
    ) -> Any:
        path = f"{self.root}/studies/{study}" if study else f"{self.root}/studies"
        return self.client.post(
            path, body, content_type=content_type, headers={**self.headers, **headers}
        )

    def store(self, *instances: bytes, **options: Any) -> Any:
        return self.post(multipart(*instances), **options)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(
            f"{self.root}/{path}", headers={**self.headers, "accept": "*/*", **headers}
        )


def referenced(answer: Any) -> list[str]:
    return [
        item["00081155"]["Value"][0] for item in answer.json().get("00081199", {}).get("Value", [])
    ]


def failures(answer: Any) -> dict[str, int]:
    return {
        item["00081155"]["Value"][0]: item["00081197"]["Value"][0]
        for item in answer.json().get("00081198", {}).get("Value", [])
    }


def others(answer: Any) -> list[int]:
    items = answer.json().get("0008119A", {}).get("Value", [])
    return [item["00081197"]["Value"][0] for item in items]


def read_back(sender: Sender, number: int) -> bytes:
    answer = sender.get(
        f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.{number}",
        accept="application/dicom; transfer-syntax=*",
    )
    assert answer.status_code == 200, answer.content
    return bytes(answer.getvalue())


def gather_all() -> None:
    for series_id in Series.objects.filter(newest_received__gt=0).values_list("pk", flat=True):
        gathering.gather(series_id=series_id)


def report(study: str = STUDY) -> bytes:
    return instance(
        1,
        study=study,
        series="1.2.826.5",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
    )


def post_report(client: Any, data: bytes, **headers: str) -> Any:
    return client.post(
        "/dicom-web/studies", multipart(data), content_type=DICOM, headers=dict(headers)
    )


def described() -> tuple[dict[str, Any], bytes]:
    dataset = pydicom.dcmread(io.BytesIO(instance(1, name="Wang^XiaoDong=王^小东")))
    pixels = dataset.PixelData
    attributes = dataset.to_json_dict()
    attributes["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels/1"}
    return attributes, pixels
