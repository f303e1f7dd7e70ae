"""Abilities are measured by real requests to a real server on loopback, and to a real folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from common.dicomweb.errors import OriginTimeout
from hospitals import selectors, services
from hospitals.models import Probe
from hospitals.services import EndpointSettings


def _small_origin():
    """The module beside this one: the test tree has no packages to import it through."""
    name = "tests_hospitals_small_origin"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name("small_origin.py")
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def probed(hospital, **habits):
    support = _small_origin()
    chosen = support.Habits(**habits)
    with support.small_origin(chosen) as url:
        services.set_endpoint(
            actor="test", institution=hospital, endpoint=EndpointSettings(base_url=url)
        )
        probe = services.probe(actor="test", institution=hospital)
    return probe, selectors.probe_view(probe).abilities, chosen


def test_an_honest_origin_has_every_ability(hospital):
    probe, abilities, habits = probed(hospital)

    assert probe.reachable
    assert abilities.notes == ()
    assert (abilities.limit, abilities.offset, abilities.includefield) == (True, True, True)
    assert (abilities.wildcards, abilities.percent_encoded, abilities.han_values) == (True,) * 3
    assert (abilities.metadata, abilities.stored_syntax, abilities.any_syntax) == (True,) * 3
    assert abilities.transfer_syntaxes == ("1.2.840.10008.1.2.4.91",)
    assert set(abilities.latency_ms) == {"studies", "series", "metadata", "instances", "instance"}
    assert len(habits.asked) <= 40


@pytest.mark.parametrize(
    ("habit", "missing"),
    [
        ("limit", "limit"),
        ("offset", "offset"),
        ("includefield", "includefield"),
        ("filters", "wildcards"),
        ("filters", "han_values"),
        ("metadata", "metadata"),
    ],
)
def test_an_ability_that_the_origin_lacks_is_seen_to_be_missing(hospital, habit, missing):
    _probe, abilities, _habits = probed(hospital, **{habit: False})

    assert getattr(abilities, missing) is False


def test_what_cannot_be_measured_is_not_known_rather_than_yes(hospital):
    _probe, abilities, _habits = probed(hospital, names=("Zhang",))

    assert abilities.han_values is None
    assert abilities.percent_encoded is None
    assert abilities.limit is None


def test_an_empty_archive_is_reachable_and_says_that_nothing_was_measured(hospital):
    probe, abilities, _habits = probed(hospital, names=())

    assert probe.reachable
    assert abilities.studies_seen == 0
    assert abilities.notes


def test_an_origin_that_fails_is_stored_with_words_and_counted(hospital):
    probe, _abilities, _habits = probed(hospital, status=500)

    assert not probe.reachable
    assert probe.error_code == "origin-failed"
    assert "500" in probe.error_text
    assert selectors.pull_policy(institution_id=hospital.pk).failures == 1


def test_nobody_at_the_address_is_a_result_too(hospital, endpoint):
    probe = services.probe(actor="test", institution=hospital)

    assert (probe.reachable, probe.error_code) == (False, "origin-unreachable")


def test_an_outage_does_not_forget_what_the_origin_can_do(hospital):
    probed(hospital, includefield=False)
    services.probe(actor="test", institution=hospital)  # its server has stopped

    policy = selectors.pull_policy(institution_id=hospital.pk)

    assert policy.abilities.includefield is False
    assert not selectors.get_health(actor="test", code="H1").probe.reachable


def test_a_folder_is_counted_and_its_broken_files_are_named(hospital, folder, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"
    services.set_endpoint(
        actor="test", institution=hospital, endpoint=EndpointSettings(folder=str(folder))
    )

    probe = services.probe(actor="test", institution=hospital)

    abilities = selectors.probe_view(probe).abilities
    assert probe.reachable
    assert (abilities.files, abilities.broken_files, abilities.studies_seen) == (3, 1, 2)
    assert abilities.broken[0][0] == "letter.txt"
    assert sorted(path.name for path in folder.iterdir()) == ["2024", "letter.txt"]


def test_a_folder_that_went_away_is_reported(hospital, folder, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"
    services.set_endpoint(
        actor="test", institution=hospital, endpoint=EndpointSettings(folder=str(folder))
    )
    folder.rename(tmp_path / "elsewhere")

    probe = services.probe(actor="test", institution=hospital)

    assert not probe.reachable
    assert probe.error_text


def test_an_origin_is_opened_with_what_the_probe_learnt_and_reads_the_folder(
    hospital, folder, settings, tmp_path
):
    settings.DATA_DIR = tmp_path / "var"
    services.set_endpoint(
        actor="test", institution=hospital, endpoint=EndpointSettings(folder=str(folder))
    )

    with services.open_origin(institution_id=hospital.pk) as origin:
        found = origin.search_studies(since=None, until=None, limit=10, offset=0)

    assert len(found) == 2


def test_only_the_newest_hundred_probes_are_kept(hospital, endpoint):
    Probe.objects.bulk_create(
        [Probe(endpoint=endpoint, reachable=False, error_code="x") for _ in range(120)]
    )

    services.probe(actor="test", institution=hospital)

    assert Probe.objects.count() == 100


@pytest.mark.parametrize(("url", "warned"), [("http", True), ("https", False)])
def test_a_probe_notes_credentials_over_plain_http_even_if_nobody_answers(
    hospital, monkeypatch, url, warned
):
    def silent(_endpoint):
        raise OriginTimeout

    monkeypatch.setattr("hospitals.services.probing._measure", silent)
    services.set_endpoint(
        actor="test",
        institution=hospital,
        endpoint=EndpointSettings(
            base_url=f"{url}://192.0.2.1/dicom-web", auth="bearer", secret={"token": "t"}
        ),
    )

    probe = services.probe(actor="test", institution=hospital)

    assert not probe.reachable
    assert selectors.probe_view(probe).abilities.credentials_in_clear is warned
