"""OPTIONS with the Capabilities Description (PS3.18 §8.9)."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from django.urls import URLPattern

from sharing.dicomweb.capabilities import METHODS, WADL
from sharing.dicomweb.urls import urlpatterns

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
