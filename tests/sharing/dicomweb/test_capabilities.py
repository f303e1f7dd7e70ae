"""OPTIONS with the Capabilities Description (PS3.18 §8.9)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pydicom
import pytest
from django.urls import URLPattern, reverse
from pydicom.data import get_testdata_file

from sharing.dicomweb.capabilities import METHODS, WADL
from sharing.dicomweb.urls import urlpatterns
from tests.sharing.dicomweb.conftest import Province
from tests.support import archive

NAMESPACE = "{http://wadl.dev.java.net/2009/02}"


def test_every_resource_is_described():
    named = {each.name for each in urlpatterns if isinstance(each, URLPattern) and each.name}

    assert named == METHODS.keys() | {"root"}


@pytest.mark.parametrize("root", ["/dicom-web/", "/dicom-web/at/near/"])
def test_the_root_describes_all_resources_in_wadl(reader, root):
    answer = reader.options(root)

    document = ET.fromstring(answer.content)
    resources = document.find(f"{NAMESPACE}resources")
    paths = {each.get("path") for each in resources}
    methods = {
        (resource.get("path"), method.get("name"))
        for resource in resources
        for method in resource.iter(f"{NAMESPACE}method")
    }
    assert answer.status_code == 200
    assert answer["Content-Type"] == WADL
    assert resources.get("base") == f"http://testserver{root}"
    assert {
        "studies",
        "studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
    } <= paths
    assert ("studies", "POST") in methods
    assert ("studies/{study}", "DELETE") in methods


def test_the_description_is_given_as_json_where_that_is_asked_for(reader):
    answer = reader.options("/dicom-web/", headers={"accept": "application/json"})

    found = answer.json()
    frames = next(each for each in found["resources"] if each["path"].endswith("/frames/{frames}"))
    assert "image/jphc" in frames["methods"][0]["answers"]
    assert "1.2.840.10008.1.2.4.80" in found["transferSyntaxes"]["made"]


def test_one_resource_says_its_methods_and_describes_itself_on_demand(reader):
    plain = reader.options("/dicom-web/studies")
    described = reader.options("/dicom-web/studies/1.2/metadata", headers={"accept": WADL})

    assert plain.status_code == 204
    assert plain["Allow"] == "GET, POST, HEAD, OPTIONS"
    (resource,) = ET.fromstring(described.content).iter(f"{NAMESPACE}resource")
    assert resource.get("path") == "studies/{study}/metadata"
    assert described["Allow"] == "GET, HEAD, OPTIONS"


def test_other_forms_are_refused(reader):
    assert reader.options("/dicom-web/", headers={"accept": "text/html"}).status_code == 406


def gets() -> list[str]:
    """The names of resources that can be read."""
    return [
        name for name, methods in METHODS.items() if any(each.name == "GET" for each in methods)
    ]


@pytest.fixture
def addresses(province: Province, tmp_path: Path) -> dict[str, str]:
    """An address of each resource, of one instance that has pixels and another bulk value."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.add_new(0x00420011, "OB", bytes(1000))  # Encapsulated Document
    file = tmp_path / "instance.dcm"
    dataset.save_as(file, enforce_file_format=True)
    archive.archive_files(province.near, [file], tmp_path=tmp_path)
    values = {
        "study_uid": dataset.StudyInstanceUID,
        "series_uid": dataset.SeriesInstanceUID,
        "instance_uid": dataset.SOPInstanceUID,
        "frames": "1",
        "path": "00420011",
    }
    return {
        name: reverse(f"dicomweb:{name}", kwargs={key: values[key] for key in keys})
        for name, keys in ((each, routes()[each]) for each in gets())
    }


def routes() -> dict[str, list[str]]:
    """The parameters of each route, by its name."""
    return {
        each.name: list(each.pattern.converters)
        for each in urlpatterns
        if isinstance(each, URLPattern) and each.name
    }


@pytest.mark.parametrize("name", gets())
def test_whatever_the_description_names_is_given(reader, addresses, name):
    (method,) = (each for each in METHODS[name] if each.name == "GET")

    answers = {
        form: reader.get(addresses[name], headers={"accept": form}) for form in method.answers
    }

    given = {
        form: answer["Content-Type"] if answer.status_code == 200 else answer.status_code
        for form, answer in answers.items()
    }
    assert {form: str(said).startswith(form) for form, said in given.items()} == dict.fromkeys(
        method.answers, True
    ), given


@pytest.mark.parametrize("name", gets())
def test_what_no_resource_has_is_refused(reader, addresses, name):
    assert reader.get(addresses[name], headers={"accept": "text/css"}).status_code == 406


@pytest.mark.parametrize("name", [name for name in gets() if name.startswith("search")])
def test_every_parameter_of_a_search_that_the_description_names_takes_part(reader, addresses, name):
    values = {"{attributeID}": "", "fuzzymatching": "false", "emptyvaluematching": "true"}
    values |= {"limit": "1", "offset": "0", "includefield": "all", "federated": "false"}
    values |= {"accept": "application/dicom+json"}
    (method,) = (each for each in METHODS[name] if each.name == "GET")

    answer = reader.get(
        addresses[name],
        {"StudyDate" if key.startswith("{") else key: values[key] for key in method.parameters},
    )

    assert answer.status_code == 200
    assert "Warning" not in answer
    assert len(answer.json()) == 1
