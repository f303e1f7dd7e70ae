import datetime as dt
import hashlib
import ipaddress
import json
import ssl
import tempfile
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.dicomweb.client import DicomwebOrigin, OriginConfig
from common.dicomweb.errors import (
    OriginAnswerInvalid,
    OriginBusy,
    OriginCutOff,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginRefused,
    OriginTimeout,
    OriginUnreachable,
)
from common.dicomweb.session import ClientCredentials, OriginSession, paced_chunks
from tests.support.dicom_files import rows
from tests.support.hostile_origin import HostileOrigin

SLICES = "dcm_qa_ct/philips_phantom_std_brain_5mm"


@pytest.fixture
def hostile():
    with HostileOrigin.of_files(
        [row.path for row in rows("instance") if row.name.startswith(SLICES)][:5]
    ) as it:
        yield it


@pytest.fixture
def connect(hostile):
    opened = []

    def connect(**config) -> DicomwebOrigin:
        opened.append(DicomwebOrigin(OriginConfig(hostile.url, allow_loopback=True, **config)))
        return opened[-1]

    yield connect
    for origin in opened:
        origin.close()


def uids(hostile) -> dict[str, str]:
    return {
        "study_instance_uid": hostile.held[0].study,
        "series_instance_uid": hostile.held[0].series,
    }


def pull(origin, hostile) -> tuple[list[bytes], Exception | None]:
    """The parts that arrived whole, and what ended the answer."""
    whole: list[bytes] = []
    try:
        with origin.retrieve_series(**uids(hostile)) as parts:
            whole.extend(b"".join(part.chunks()) for part in parts)
    except OriginError as error:
        return whole, error
    return whole, None


def search(origin, **question):
    asked = {"since": None, "until": None, "limit": 100, "offset": 0} | question
    return origin.search_studies(**asked)


# Retrieve


def test_a_series_arrives_as_it_is_stored(hostile, connect):
    origin = connect()

    whole, fault = pull(origin, hostile)

    assert fault is None
    assert whole == [one.data for one in hostile.held]
    assert hostile.accepts == ['multipart/related; type="application/dicom"; transfer-syntax=*']
    assert origin.accept_any_syntax


def test_one_instance_arrives_alone(hostile, connect):
    with connect().retrieve_instance(
        **uids(hostile), sop_instance_uid=hostile.held[2].sop
    ) as parts:
        assert [b"".join(part.chunks()) for part in parts] == [hostile.held[2].data]


@pytest.mark.parametrize("part_length", [True, False])
@pytest.mark.parametrize(
    ("manners", "whole_before", "error"),
    [
        ("drop", 2, OriginCutOff),
        ("reset", None, OriginCutOff),  # the system throws away what was not read yet
        ("end", 2, OriginCutOff),
        ("stall", 2, OriginTimeout),
        ("trickle", 2, OriginTimeout),
        ("wrong-boundary", 0, OriginAnswerInvalid),
        ("html", 0, OriginAnswerInvalid),
    ],
)
def test_what_was_whole_before_the_fault_is_kept(
    hostile, connect, manners, whole_before, error, part_length
):
    hostile.manners.retrieve, hostile.manners.at_part = manners, 2
    hostile.manners.part_length = part_length

    began = time.monotonic()
    whole, fault = pull(connect(read_timeout_s=0.5), hostile)

    assert type(fault) is error
    assert fault.retryable
    whole_before = len(whole) if whole_before is None else whole_before
    assert whole == [one.data for one in hostile.held][:whole_before]
    assert len(whole) <= 2
    assert time.monotonic() - began < 5


def test_the_cut_part_raises_while_its_own_chunks_are_read(hostile, connect):
    hostile.manners.retrieve = "drop"
    with connect().retrieve_series(**uids(hostile)) as parts:
        part = next(parts)
        with pytest.raises(OriginCutOff):
            list(part.chunks())
        with pytest.raises(OriginCutOff):
            next(parts)


@pytest.mark.parametrize(("part_length", "whole_parts"), [(True, 5), (False, 4)])
def test_without_closing_delimiter_the_last_part_counts_only_if_its_length_is_declared(
    hostile, connect, part_length, whole_parts
):
    hostile.manners.retrieve, hostile.manners.part_length = "no-closing", part_length

    whole, fault = pull(connect(), hostile)

    assert isinstance(fault, OriginCutOff)
    assert whole == [one.data for one in hostile.held][:whole_parts]


@pytest.mark.parametrize("manners", ["not-dicom", "absurd-length"])
def test_a_bad_part_does_not_spoil_its_neighbours(hostile, connect, manners):
    hostile.manners.retrieve, hostile.manners.at_part = manners, 1

    whole, fault = pull(connect(), hostile)

    assert fault is None
    wrong = {1} if manners == "not-dicom" else set()
    for number, held in enumerate(hostile.held):
        assert (whole[number] == held.data) == (number not in wrong)


@pytest.mark.parametrize("word", ["well", "bare"])
def test_an_answer_compressed_unasked_is_decoded(hostile, connect, word):
    hostile.manners.gzip, hostile.manners.retrieve = True, word

    whole, fault = pull(connect(), hostile)

    assert fault is None
    assert whole == [one.data for one in hostile.held][: 1 if word == "bare" else None]


def test_one_bare_part_is_accepted(hostile, connect):
    hostile.manners.retrieve = "bare"

    assert pull(connect(), hostile) == ([hostile.held[0].data], None)


def test_a_decompression_bomb_is_ended(hostile, connect, monkeypatch):
    monkeypatch.setattr("common.dicomweb.session.EXPANSION_FREE_BYTES", 2**20)
    hostile.manners.retrieve, hostile.manners.gzip = "raw", True
    hostile.manners.raw_body = bytes(16 * 2**20)

    whole, fault = pull(connect(), hostile)

    assert (whole, type(fault)) == ([], OriginAnswerInvalid)


@pytest.mark.parametrize("status", [406, 400, 415])
def test_an_origin_that_refuses_any_syntax_is_asked_by_names_and_remembered(
    hostile, connect, status
):
    hostile.manners.refuse_any = status
    origin = connect()

    first, second = pull(origin, hostile), pull(origin, hostile)

    assert first == second == ([one.data for one in hostile.held], None)
    assert not origin.accept_any_syntax
    assert len(hostile.accepts) == 3, "the refused form is tried once"
    assert "transfer-syntax=1.2.840.10008.1.2.4.90" in hostile.accepts[-1]


def test_the_probe_s_finding_spares_the_refused_request(hostile, connect):
    hostile.manners.refuse_any = 406

    assert pull(connect(accept_any_syntax=False), hostile)[1] is None
    assert len(hostile.accepts) == 1


def test_a_retrieve_left_early_closes_the_connection(hostile, connect):
    hostile.manners.retrieve, hostile.manners.at_part = "stall", 1
    origin = connect(read_timeout_s=30)

    began = time.monotonic()
    with origin.retrieve_series(**uids(hostile)) as parts:
        next(next(parts).chunks())

    assert time.monotonic() - began < 5


# Both


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (206, OriginAnswerInvalid, True),
        (304, OriginAnswerInvalid, True),
        (401, OriginRefused, False),
        (403, OriginRefused, False),
        (404, OriginNotFound, False),
        (410, OriginNotFound, False),
        (408, OriginTimeout, True),
        (429, OriginBusy, True),
        (500, OriginFailed, True),
        (502, OriginFailed, True),
        (503, OriginBusy, True),
        (504, OriginTimeout, True),
    ],
)
def test_every_status_has_its_typed_error_and_is_asked_once(
    hostile, connect, status, error, retryable
):
    hostile.manners.status = status
    origin = connect()

    _, fault = pull(origin, hostile)
    with pytest.raises(error) as searched:
        search(origin)

    assert type(fault) is type(searched.value) is error
    assert fault.retryable is retryable
    assert len(hostile.requests) == 2, "the library's own retries are off"


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("120", 120, 120),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 86_400, 86_400),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        ("-5", 0, 0),
        ("soon", None, None),
        ("nan", None, None),
        ("", None, None),
    ],
)
def test_retry_after_in_either_form(hostile, connect, header, low, high):
    hostile.manners.status, hostile.manners.retry_after = 429, header

    with pytest.raises(OriginBusy) as fault:
        search(connect())

    delay = fault.value.retry_after_s
    assert delay is None if low is None else low <= delay <= high


@pytest.mark.parametrize("uid", ["../../admin", "1.2/../..", "", "1.2?x", "1" * 65, "1.2\n"])
def test_a_uid_from_a_hostile_list_never_becomes_a_path(hostile, connect, uid):
    with pytest.raises(OriginAnswerInvalid):
        connect().search_series(study_instance_uid=uid)
    assert hostile.requests == []


# Search


def test_pages_follow_each_other_and_end(hostile, connect):
    for number in range(5):
        hostile.add(b"", study=f"1.{number}", series="1", sop="1")
    origin, offset, found = connect(), 0, []
    while not (page := search(origin, limit=2, offset=offset)).is_last:
        found += page
        offset += page.received

    assert len(found) == 6
    assert not origin.offset_ignored


@pytest.mark.parametrize("ignore_limit", [False, True])
@pytest.mark.parametrize("resumed", [False, True])
def test_an_origin_that_ignores_the_offset_does_not_loop_us(
    hostile, connect, ignore_limit, resumed
):
    for number in range(5):
        hostile.add(b"", study=f"1.{number}", series="1", sop="1")
    hostile.manners.ignore_offset, hostile.manners.ignore_limit = True, ignore_limit
    origin = connect()
    first = search(origin, limit=2)
    if resumed:  # another process, another object
        origin = connect()

    second = search(origin, limit=2, offset=first.received)

    assert first.received == (6 if ignore_limit else 2)
    assert second.offset_ignored
    assert second.is_last
    assert list(second) == []


@pytest.mark.parametrize("max_page", [1, 2, 5, 100])
def test_all_instances_are_found_whatever_page_the_origin_prefers(hostile, connect, max_page):
    hostile.manners.max_page = max_page

    found = connect().search_instances(**uids(hostile))

    assert [one["00080018"]["Value"][0] for one in found] == [one.sop for one in hostile.held]


def test_instances_are_bounded_when_the_offset_is_ignored(hostile, connect):
    hostile.manners.ignore_offset, hostile.manners.max_page = True, 2
    origin = connect()

    assert len(origin.search_instances(**uids(hostile))) == 2
    assert origin.offset_ignored
    assert len(hostile.requests) == 2


def test_dates_that_the_origin_ignores_are_filtered_here(hostile, connect):
    hostile.manners.ignore_filters = True
    origin = connect()

    page = search(origin, since=dt.date(1990, 1, 1), until=dt.date(1990, 1, 2))

    assert (list(page), page.received, page.filter_ignored, origin.filter_ignored) == (
        [],
        1,
        True,
        True,
    )
    assert hostile.requests[0][1]["StudyDate"] == "19900101-19900102"


def test_another_study_than_the_one_asked_for_is_left_out(hostile, connect):
    hostile.manners.ignore_filters = True

    assert list(search(connect(), study_instance_uid="1.2.3")) == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("<html>log in</html>", id="html"),
        pytest.param('[{"0020000D":', id="cut"),
        pytest.param('"text"', id="text"),
        pytest.param("[1, 2]", id="numbers"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_search_answered_with_something_else(hostile, connect, answer):
    hostile.manners.search_json = answer

    with pytest.raises(OriginAnswerInvalid):
        search(connect())


@pytest.mark.parametrize("gzip", [False, True])
def test_a_search_answer_is_bounded_in_bytes(hostile, connect, gzip):
    hostile.manners.search_json = "[" + " " * 3_000_000 + "]"
    hostile.manners.gzip = gzip

    with pytest.raises(OriginAnswerInvalid, match="larger than is accepted"):
        search(connect(max_json_bytes=1_000_000))


def test_an_answer_in_gb18030_instead_of_utf_8_is_read(hostile, connect):
    hostile.held[0].attributes["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "王^小东"}]}
    hostile.manners.charset = "gb18030"

    (study,) = search(connect())

    assert study["00100010"]["Value"][0]["Alphabetic"] == "王^小东"


def test_an_origin_that_refuses_includefield_is_asked_without(hostile, connect, monkeypatch):
    origin = connect()
    hostile.manners.status, hostile.manners.times = 400, 1

    assert len(search(origin)) == 1
    assert origin.includefield_refused
    assert "includefield" not in hostile.requests[1][1]


def test_a_search_that_trickles_is_ended(hostile, connect):
    hostile.manners.slow_header_s = 0.05

    with pytest.raises(OriginTimeout):
        search(connect(read_timeout_s=0.2))


# Credentials


def test_basic_and_bearer(hostile, connect):
    hostile.manners.require = "Basic w7w6cA=="
    assert len(search(connect(auth="basic", secret={"username": "ü", "password": "p"}))) == 1
    hostile.manners.require = "Bearer abc"
    assert len(search(connect(auth="bearer", secret={"token": "abc"}))) == 1
    with pytest.raises(OriginRefused):
        search(connect())


def test_an_oauth2_token_is_kept_until_it_is_refused(hostile, connect):
    ClientCredentials._tokens.clear()
    secret = {"token_url": hostile.token_url, "client_id": "us", "client_secret": "s3cret"}
    hostile.manners.require = "Bearer token-1"
    for _ in range(3):
        assert len(search(connect(auth="oauth2", secret=secret))) == 1
    assert hostile.tokens == 1

    hostile.manners.require = "Bearer token-2"  # revoked at the hospital before its time
    origin = connect(auth="oauth2", secret=secret)

    assert len(search(origin)) == 1
    assert pull(origin, hostile)[1] is None
    assert hostile.tokens == 2


def test_a_certificate_that_cannot_be_read_is_refused_and_leaves_no_file(
    connect, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(OriginRefused):
        connect(auth="certificate", secret={"certificate": "x", "key": "y"})

    assert list(tmp_path.iterdir()) == []


def test_errors_show_no_secret_and_no_address(hostile, connect):
    hostile.manners.status = 401
    with pytest.raises(OriginRefused) as fault:
        search(connect(auth="bearer", secret={"token": "t0p"}), study_instance_uid="1.2.3")

    assert "t0p" not in str(fault.value)
    assert "127.0.0.1" not in str(fault.value)
    assert "1.2.3" not in json.dumps(fault.value.facts)


# Pace


class _Raw:
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks, self.read = chunks, 0

    def read1(self, size: int, *, decode_content: bool) -> bytes:
        chunk = self.chunks.pop(0)[:size] if self.chunks else b""
        self.read += len(chunk)
        return chunk

    def tell(self) -> int:
        return self.read


class _Answer:
    def __init__(self, chunks: list[bytes]) -> None:
        self.raw = _Raw(chunks)


def test_the_bandwidth_ceiling_holds():
    now, config = [0.0], OriginConfig("http://x", bandwidth_bytes_per_s=1_000_000)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    chunks = paced_chunks(
        _Answer([bytes(100_000)] * 100), config, clock=lambda: now[0], sleep=sleep
    )
    size = sum(len(chunk) for chunk in chunks)

    assert size == 10_000_000
    assert 9.5 <= now[0] <= 10.5


def test_time_the_caller_takes_is_no_stall():
    now, config = [0.0], OriginConfig("http://x", read_timeout_s=1)

    for _ in paced_chunks(_Answer([b"x"] * 10), config, clock=lambda: now[0]):
        now[0] += 3600


def test_the_session_never_reads_the_environment():
    session = OriginSession(OriginConfig("http://10.0.0.1"))

    assert session.trust_env is False
    assert set(session.adapters) == {"http://", "https://"}


def test_every_known_file_survives_the_way(hostile, connect):
    """Malformed files too: the client moves bytes and judges nothing."""
    hostile.held.clear()
    for number, row in enumerate(rows("malformed")):
        hostile.add(row.path.read_bytes(), study="1.2", series="1.3", sop=f"1.4.{number}")

    whole, fault = pull(connect(), hostile)

    assert fault is None
    assert [hashlib.sha256(data).hexdigest() for data in whole] == [
        row.sha256 for row in rows("malformed")
    ]


# Transport security


def _signed(name: str, *, issuer=None, is_authority: bool = False):
    """A certificate and its key, signed by the issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signer_key = issuer or (None, key)
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(signer_key, hashes.SHA256())
    )
    return certificate, key


def _pem(certificate, key) -> tuple[str, str]:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_a_client_certificate_and_an_authority_of_the_hospital_s_own(tmp_path, monkeypatch):
    authority = _signed("hospital authority", is_authority=True)
    ca, _ = _pem(*authority)
    certificate, key = _pem(*_signed("us", issuer=authority))
    (tmp_path / "server.pem").write_text("".join(_pem(*_signed("127.0.0.1", issuer=authority))))
    (tmp_path / "ca.pem").write_text(ca)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    server.load_cert_chain(tmp_path / "server.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))

    def ask(secret: dict[str, str]) -> int:
        url = hostile.url.replace("http://", "https://")
        config = OriginConfig(url, auth="certificate", secret=secret, allow_loopback=True)
        return len(search(DicomwebOrigin(config)))

    with HostileOrigin(tls=server) as hostile:
        hostile.add(b"", study="1.2", series="1", sop="1")
        assert ask({"certificate": certificate, "key": key, "ca": ca}) == 1
        with pytest.raises(OriginError):
            ask({"ca": ca})
        with pytest.raises(OriginUnreachable, match="TLS"):
            ask({"certificate": certificate, "key": key})
    assert list(private.iterdir()) == [], "keys do not stay on the disk"


def test_a_bare_part_that_breaks_off_is_cut_off(hostile, connect):
    hostile.manners.retrieve = "bare-drop"

    whole, fault = pull(connect(), hostile)

    assert (whole, type(fault)) == ([], OriginCutOff)
