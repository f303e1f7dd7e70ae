import ipaddress
import socket

import pytest

from common.dicomweb.client import DicomwebOrigin, OriginConfig
from common.dicomweb.errors import (
    AddressNotAllowed,
    OriginRefused,
    OriginTimeout,
    OriginUnreachable,
)
from common.dicomweb.guard import AddressRules
from tests.support.hostile_origin import HostileOrigin


def search(origin: DicomwebOrigin) -> list[dict]:
    return origin.search_studies(since=None, until=None, limit=10, offset=0)


def first_part(origin: DicomwebOrigin) -> None:
    with origin.retrieve_series(study_instance_uid="1.2", series_instance_uid="1.3") as parts:
        next(parts)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254",
        "169.254.1.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "224.0.0.1",
        "ff02::1", "255.255.255.255", "240.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "::127.0.0.1", "fd00:ec2::254", "100.100.100.200", "not-an-address", "",
    ],
)  # fmt: skip
def test_addresses_where_no_hospital_lives(address):
    assert not AddressRules().allows(address)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.1.1", "8.8.8.8", "fd12::1", "2001:4860::8888"]
)
def test_ordinary_addresses(address):
    assert AddressRules().allows(address)


def test_only_the_named_networks_are_allowed():
    rules = AddressRules(
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("169.254.7.0/24"))
    )

    assert rules.allows("10.9.9.9")
    assert rules.allows("::ffff:10.9.9.9")
    assert rules.allows("169.254.7.1"), "link-local is allowed where it is named"
    assert not rules.allows("192.168.1.1")
    assert not rules.allows("169.254.8.1")


def test_loopback_is_a_switch_of_its_own():
    assert AddressRules(allow_loopback=True).allows("127.0.0.1")
    assert AddressRules(allow_loopback=True).allows("::1")
    assert not AddressRules(allow_loopback=True).allows("169.254.169.254")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://10.0.0.1/", "file:///etc/passwd", "//10.0.0.1/", "http://", "http://user:pass@10.0.0.1/",
        "http://10.0.0.1/?q=1", "http://10.0.0.1/#x", "http://10.0.0.1:99999/", "http://127.0.0.1/",
        "http://[::1]/", "http://0.0.0.0/", "http://169.254.169.254/latest/meta-data", "http://2130706433/",
        "http://0x7f.1/", "gopher://10.0.0.1/", "http://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_urls_that_cannot_be_registered(url):
    with pytest.raises(AddressNotAllowed):
        AddressRules().check_url(url)


def test_a_url_comes_back_without_its_trailing_slash():
    assert (
        AddressRules().check_url(" https://10.0.0.1:8443/dicom-web/ ")
        == "https://10.0.0.1:8443/dicom-web"
    )


def test_a_name_that_resolves_to_loopback_is_refused_at_registration():
    rules = AddressRules(resolver=lambda host, port: ["127.0.0.1"])

    with pytest.raises(AddressNotAllowed):
        rules.check_url("http://pacs.example/")


def test_dns_rebinding_is_caught_at_the_connection():
    """The name is good when it is registered and turns to loopback afterwards."""
    answers = [["10.0.0.1"], ["127.0.0.1"]]
    with HostileOrigin() as hostile:
        port = hostile.url.split(":")[2].split("/")[0]
        config = OriginConfig(
            f"http://pacs.example:{port}/dicom-web", resolver=lambda host, port: answers.pop(0)
        )
        config.rules().check_url(config.base_url)
        with pytest.raises(AddressNotAllowed):
            search(DicomwebOrigin(config))
        assert hostile.requests == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """The system's resolver is not asked a second time by the socket."""

    def resolver_of_the_system(host, *args, **kwargs):
        assert host == "127.0.0.1", "only the checked address may be passed on"
        return original(host, *args, **kwargs)

    original = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolver_of_the_system)
    with HostileOrigin() as hostile:
        port = hostile.url.split(":")[2].split("/")[0]
        config = OriginConfig(
            f"http://pacs.example:{port}/dicom-web",
            allow_loopback=True,
            resolver=lambda host, port: ["169.254.169.254", "127.0.0.1"],
        )
        assert search(DicomwebOrigin(config)) == []
        assert len(hostile.requests) == 1


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:1/",
        "file:///etc/passwd",
        "ftp://10.0.0.1/",
    ],
)
@pytest.mark.parametrize("retrieve", [False, True])
def test_redirects_do_not_get_in(target, retrieve):
    with HostileOrigin() as hostile:
        hostile.manners.redirect = target
        origin = DicomwebOrigin(OriginConfig(hostile.url, allow_loopback=True))
        with pytest.raises(AddressNotAllowed):
            first_part(origin) if retrieve else search(origin)


def test_credentials_do_not_follow_a_redirect_to_another_host():
    with HostileOrigin() as elsewhere, HostileOrigin() as hostile:
        elsewhere.manners.require = "never"
        hostile.manners.redirect = elsewhere.url.replace("127.0.0.1", "localhost") + "/studies"
        config = OriginConfig(
            hostile.url, auth="bearer", secret={"token": "t0p"}, allow_loopback=True,
        )  # fmt: skip
        with pytest.raises(OriginRefused):
            search(DicomwebOrigin(config))
        assert elsewhere.requests
        assert elsewhere.authorizations == [None]
        assert hostile.authorizations == ["Bearer t0p"]
    assert "t0p" not in repr(config), "a secret is never shown"


def test_a_redirect_that_never_ends():
    with HostileOrigin() as hostile:
        hostile.manners.redirect = hostile.url + "/studies"
        with pytest.raises(Exception, match="redirects without end"):
            search(DicomwebOrigin(OriginConfig(hostile.url, allow_loopback=True)))
        assert len(hostile.requests) < 10


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with HostileOrigin() as hostile:
        assert search(DicomwebOrigin(OriginConfig(hostile.url, allow_loopback=True))) == []


def test_a_closed_port_and_an_unknown_name_are_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    closed = OriginConfig(f"http://127.0.0.1:{port}", allow_loopback=True)

    def unknown(host, port):
        raise socket.gaierror("unknown")

    nowhere = OriginConfig("http://pacs.example", resolver=unknown)
    for config, text in ((closed, "Nothing answers"), (nowhere, "cannot be resolved")):
        with pytest.raises(OriginUnreachable, match=text) as fault:
            search(DicomwebOrigin(config))
        assert fault.value.retryable


def test_headers_that_trickle_end_in_a_time_out():
    with HostileOrigin() as hostile:
        hostile.manners.slow_header_s = 0.05
        config = OriginConfig(hostile.url, allow_loopback=True, read_timeout_s=0.2)
        with pytest.raises(OriginTimeout):
            search(DicomwebOrigin(config))
