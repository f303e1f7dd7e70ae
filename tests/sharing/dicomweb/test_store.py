"""Store Transaction (STOW-RS, PS3.18 §10.5): what is stored, refused, answered, and found again."""

from __future__ import annotations

import base64
import io
from datetime import date
from typing import Any

import orjson
import pydicom
import pytest

from common.accounts.tokens import create_token
from common.audit.models import AuditEntry
from common.storage import object_store
from sharing.models import (
    Certificate,
    IncomingPack,
    Quarantined,
    ReceivedInstance,
    Series,
    SeriesRevision,
    Study,
)
from sharing.services import gathering
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive
from tests.support.pulling import SERIES, STUDY, archived, instance, sha256

pytestmark = pytest.mark.django_db(transaction=True)

DICOM = 'multipart/related; type="application/dicom"; boundary=b'


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


@pytest.fixture
def sender(province: Province, client: Any) -> Sender:
    return Sender(client, archive.make_user("pacs", "integrator", province.near, is_system=True))


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


def test_what_is_stored_is_read_back_byte_for_byte_right_after_the_answer(sender: Sender) -> None:
    first, second = instance(1), instance(2)

    answer = sender.store(first, second)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/dicom+json"
    assert referenced(answer) == [f"{SERIES}.1", f"{SERIES}.2"]
    assert read_back(sender, 1) == first
    assert read_back(sender, 2) == second


def test_search_and_metadata_know_what_was_just_stored(sender: Sender) -> None:
    sender.store(instance(1))
    sender.store(instance(2))

    studies = sender.get(f"studies?StudyInstanceUID={STUDY}").json()
    instances = sender.get(f"studies/{STUDY}/series/{SERIES}/instances").json()
    metadata = sender.get(f"studies/{STUDY}/series/{SERIES}/metadata").json()

    assert studies[0]["00201208"]["Value"] == [2]
    assert studies[0]["00080056"]["Value"] == ["ONLINE"]
    assert len(instances) == len(metadata) == 2


def test_the_retrieve_url_of_the_answer_leads_to_the_instance(sender: Sender) -> None:
    data = instance(1)

    url = sender.store(data).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    answer = sender.client.get(
        url.removeprefix("http://testserver"),
        headers={**sender.headers, "accept": "application/dicom; transfer-syntax=*"},
    )

    assert url.startswith("http://testserver/dicom-web/at/near/studies/")
    assert answer.getvalue() == data


def test_slices_stored_one_by_one_end_as_one_pack_that_is_certified(sender: Sender) -> None:
    slices = [instance(number) for number in range(1, 8)]
    for data in slices:
        assert sender.store(data).status_code == 200

    gather_all()

    revision = SeriesRevision.objects.get()
    assert (revision.number, revision.instance_count) == (1, 7)
    assert revision.verified_at is not None
    assert archived() == {f"{SERIES}.{n}": sha256(data) for n, data in enumerate(slices, 1)}
    assert Study.objects.get().state == "archived"
    assert Certificate.objects.get().body["instances"] == 7
    assert read_back(sender, 3) == slices[2]


def test_an_instance_after_the_gathering_makes_the_next_revision(sender: Sender) -> None:
    sender.store(instance(1))
    gather_all()

    sender.store(instance(2))
    before = (read_back(sender, 1), read_back(sender, 2))
    gather_all()

    assert before == (instance(1), instance(2))
    assert Series.objects.get().current.number == 2
    assert Series.objects.get().instance_count == 2
    assert (read_back(sender, 1), read_back(sender, 2)) == before


def test_the_same_bytes_again_are_a_success_and_stored_once(sender: Sender) -> None:
    sender.store(instance(1))

    again = sender.store(instance(1))
    gather_all()
    packed = sender.store(instance(1))

    assert again.status_code == packed.status_code == 200
    assert ReceivedInstance.objects.count() == 1
    assert SeriesRevision.objects.count() == 1
    assert Study.objects.get().instance_count == 1


@pytest.mark.parametrize("gathered", [False, True])
def test_the_same_uid_with_other_bytes_is_refused_and_kept_in_quarantine(
    sender: Sender, gathered: bool
) -> None:
    sender.store(instance(1))
    if gathered:
        gather_all()

    answer = sender.store(instance(1, comment="other"), instance(2))

    assert answer.status_code == 202
    assert failures(answer) == {f"{SERIES}.1": 0x0111}
    assert referenced(answer) == [f"{SERIES}.2"]
    case = Quarantined.objects.get()
    assert case.reason == "conflict"
    assert object_store().get_bytes(case.object_key) == instance(1, comment="other")
    assert read_back(sender, 1) == instance(1)


def test_twice_in_one_request_with_other_bytes_the_first_stays(sender: Sender) -> None:
    answer = sender.store(instance(1), instance(1), instance(1, comment="other"))

    assert answer.status_code == 202
    assert referenced(answer) == [f"{SERIES}.1"]
    assert failures(answer) == {f"{SERIES}.1": 0x0111}
    assert read_back(sender, 1) == instance(1)


def test_an_instance_of_another_study_than_the_address_is_refused(sender: Sender) -> None:
    answer = sender.store(instance(1), study="1.2.3")

    assert answer.status_code == 409
    assert failures(answer) == {f"{SERIES}.1": 0xA900}
    assert Quarantined.objects.get().reason == "wrong-study"
    assert not Study.objects.exists()


def test_what_is_no_dicom_is_named_among_the_other_failures(sender: Sender) -> None:
    answer = sender.store(b"<html>not found</html>" * 20, instance(1))

    assert answer.status_code == 202
    assert others(answer) == [0xC000]
    assert referenced(answer) == [f"{SERIES}.1"]


def test_nothing_that_can_be_read_is_a_bad_request(sender: Sender) -> None:
    answer = sender.store(b"nothing")

    assert answer.status_code == 400
    assert others(answer) == [0xC000]


def test_a_body_that_breaks_off_keeps_what_came_whole(sender: Sender) -> None:
    body = multipart(instance(1), instance(2))

    answer = sender.post(body[:-3000])

    assert answer.status_code == 202
    assert referenced(answer) == [f"{SERIES}.1"]
    assert 0x0110 in others(answer)
    assert read_back(sender, 1) == instance(1)


def test_a_single_part_is_stored(sender: Sender) -> None:
    answer = sender.post(instance(1), content_type="application/dicom")

    assert answer.status_code == 200
    assert read_back(sender, 1) == instance(1)


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/html", {}, 415),
        ("multipart/form-data; boundary=b", {}, 415),
        ('multipart/related; type="image/jpeg"; boundary=b', {}, 415),
        (DICOM, {"content-encoding": "gzip"}, 415),
        ('multipart/related; type="application/dicom"', {}, 400),
        ('multipart/related; type="application/dicom"; boundary=other', {}, 400),
        (DICOM, {"accept": "image/png"}, 406),
        (DICOM, {"transfer-encoding": "chunked"}, 411),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_with_words(
    sender: Sender, content_type: str, headers: dict[str, str], status: int
) -> None:
    answer = sender.post(multipart(instance(1)), content_type=content_type, **headers)

    assert answer.status_code == status
    assert answer.content
    assert not Study.objects.exists()


def test_a_request_over_the_limit_is_too_large(sender: Sender, settings: Any) -> None:
    settings.STORE_MAX_BYTES = 1000

    assert sender.store(instance(1)).status_code == 413


def test_the_answer_is_xml_where_xml_is_asked_for(sender: Sender) -> None:
    answer = sender.store(instance(1), accept="application/dicom+xml")

    assert answer["Content-Type"] == "application/dicom+xml"
    assert f"{SERIES}.1".encode() in answer.content


def test_each_request_is_audited_with_its_study_and_count(sender: Sender) -> None:
    sender.store(instance(1), instance(2))

    entry = AuditEntry.objects.get(action="dicomweb.store")
    assert (entry.study_instance_uid, entry.count, entry.actor_name) == (STUDY, 2, "pacs")


def test_packed_rows_and_their_incoming_packs_go_after_an_hour(sender: Sender) -> None:
    sender.store(instance(1))
    gather_all()
    early = "2020-01-01T00:00:00Z"

    gathering.forget_packed()
    kept = IncomingPack.objects.count()
    ReceivedInstance.objects.update(packed_at=early)
    IncomingPack.objects.update(stored_at=early)
    gathering.forget_packed()

    assert kept == 1
    assert not IncomingPack.objects.exists()
    assert not list(object_store().list("incoming/"))
    assert read_back(sender, 1) == instance(1)


# -- who may store ---------------------------------------------------------------------------------


def test_a_reader_may_not_store_images(province: Province, client: Any) -> None:
    answer = Sender(client, province.radiologist).store(instance(1))

    assert answer.status_code == 409
    assert failures(answer) == {f"{SERIES}.1": 0x0124}


def test_somebody_without_a_role_may_not_store(province: Province, client: Any) -> None:
    assert Sender(client, province.stranger).store(instance(1)).status_code == 403


def test_an_integrator_of_two_institutions_names_the_one(province: Province, client: Any) -> None:
    user = archive.make_user("vendor", "integrator", province.near)
    user.memberships.create(
        role="integrator", institution=province.partner, valid_from=date(2020, 1, 1)
    )

    at_root = Sender(client, user).store(instance(1))
    named = Sender(client, user, "/dicom-web/at/partner").store(instance(1))
    elsewhere = Sender(client, user, "/dicom-web/at/far").store(instance(1))

    assert at_root.status_code == 409
    assert named.status_code == 200
    assert elsewhere.status_code == 403
    assert Study.objects.get().institution == province.partner


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


def test_a_readers_viewer_stores_a_report_on_a_partners_study_into_its_own_institution(
    province: Province, reader: Any, client: Any
) -> None:
    partner = archive.make_user("other-pacs", "integrator", province.partner, is_system=True)
    Sender(client, partner, "/dicom-web/at/partner").store(instance(1))

    answer = post_report(reader, report(), **{"sec-fetch-site": "same-origin"})

    assert answer.status_code == 200
    assert {study.institution.code for study in Study.objects.all()} == {"near", "partner"}


def test_a_report_on_a_study_that_the_reader_cannot_see_is_refused(
    province: Province, reader: Any
) -> None:
    answer = post_report(reader, report("1.2.9"), **{"sec-fetch-site": "same-origin"})

    assert answer.status_code == 409
    assert not Study.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_session_without_proof_of_the_same_origin_may_not_store(
    province: Province, client: Any, headers: dict[str, str]
) -> None:
    client.force_login(archive.make_user("person", "integrator", province.near))

    assert post_report(client, instance(1), **headers).status_code == 403


def test_a_session_from_our_own_page_may_store(province: Province, client: Any) -> None:
    client.force_login(archive.make_user("person", "integrator", province.near))

    answer = post_report(client, instance(1), origin="http://testserver")

    assert answer.status_code == 200


# -- metadata and bulk data ------------------------------------------------------------------------


def described() -> tuple[dict[str, Any], bytes]:
    dataset = pydicom.dcmread(io.BytesIO(instance(1, name="Wang^XiaoDong=王^小东")))
    pixels = dataset.PixelData
    attributes = dataset.to_json_dict()
    attributes["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels/1"}
    return attributes, pixels


JSON = 'multipart/related; type="application/dicom+json"; boundary=b'


def test_metadata_and_pixels_become_a_file_that_pydicom_reads(sender: Sender) -> None:
    attributes, pixels = described()
    body = multipart(
        orjson.dumps([attributes]),
        pixels,
        types=("application/dicom+json", "application/octet-stream"),
        locations=("", "pixels/1"),
    )

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 200, answer.content
    made = pydicom.dcmread(io.BytesIO(read_back(sender, 1)))
    assert made.PixelData == pixels
    assert str(made.PatientName) == "Wang^XiaoDong=王^小东"
    expected = pydicom.dcmread(io.BytesIO(instance(1, name="Wang^XiaoDong=王^小东")))
    assert {e.tag for e in made} == {e.tag for e in expected if e.tag.element}


def test_inline_pixels_and_xml_are_taken_too(sender: Sender) -> None:
    from common.dicom.xml_model import native_xml

    attributes, pixels = described()
    attributes["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(pixels).decode()}

    answer = sender.post(native_xml(attributes), content_type="application/dicom+xml")

    assert answer.status_code == 200, answer.content
    assert pydicom.dcmread(io.BytesIO(read_back(sender, 1))).PixelData == pixels


def test_compressed_frames_are_encapsulated_one_part_each(sender: Sender) -> None:
    attributes, _ = described()
    attributes["00280008"] = {"vr": "IS", "Value": [2]}
    syntax = "1.2.840.10008.1.2.4.70"
    kind = f"image/jpeg; transfer-syntax={syntax}"
    body = multipart(
        orjson.dumps([attributes]), b"frame-1", b"frame-22",
        types=("application/dicom+json", kind, kind), locations=("", "pixels/1", "pixels/1"),
    )  # fmt: skip

    answer = sender.post(body, content_type=JSON)

    assert answer.status_code == 200, answer.content
    made = pydicom.dcmread(io.BytesIO(read_back(sender, 1)))
    frames = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=2))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert frames == [b"frame-1\0", b"frame-22"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.pop("00080018"),
        lambda a: a.update({"00100020": {"vr": "LO", "Value": "text"}}),
        lambda a: a.update({"00280010": {"vr": "US", "Value": ["x"]}}),
        lambda a: a.update({"00280010": {"vr": "US", "Value": [70000]}}),
        lambda a: a.update({"00280010": {"Value": [1]}}),
        lambda a: a.update({"00081115": {"vr": "SQ", "Value": ["x"]}}),
        lambda a: a.update({"00420011": {"vr": "OB", "InlineBinary": "%%%"}}),
        lambda a: a.update({"00420011": {"vr": "OB", "BulkDataURI": "nowhere"}}),
        lambda a: a.update({"nothing": {"vr": "OB"}}),
        lambda a: a.update({"00100010": {"vr": "PN", "Value": ["plain"]}}),
    ],
)
def test_metadata_that_do_not_follow_the_model_are_refused(sender: Sender, spoil: Any) -> None:
    attributes, pixels = described()
    attributes["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(pixels).decode()}
    spoil(attributes)

    answer = sender.post(orjson.dumps([attributes]), content_type="application/dicom+json")

    assert answer.status_code in (400, 409)
    assert not Study.objects.exists()
