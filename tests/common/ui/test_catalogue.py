"""Every text that a reader can meet has its Chinese, and the compiled catalogue is the current one."""

from __future__ import annotations

import importlib
import pkgutil

from django.utils.translation import override

from common.errors import DomainError, Kind
from common.ui import words
from tools import messages

PACKAGES = ("common", "hospitals", "sharing", "recognition", "billing")


def test_every_text_is_translated_and_the_compiled_catalogue_is_current():
    template = messages.extract()

    wrong = [
        fault for path in messages.catalogue_paths() for fault in messages.faults(path, template)
    ]

    assert len(template) > 300
    assert wrong == []


def test_a_missing_translation_is_found(tmp_path):
    path = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n', encoding="utf-8"
    )
    path.with_suffix(".mo").write_bytes(b"stale")

    wrong = messages.faults(path, messages.extract())

    assert "not translated: 'Log in'" in wrong
    assert any("stale" in fault for fault in wrong)


def errors_of_our_packages() -> set[type[DomainError]]:
    """Every refusal that the packages declare; the walk imports them all."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    found, open_ends = set(), [DomainError]
    while open_ends:
        children = open_ends.pop().__subclasses__()
        open_ends += children
        found |= {each for each in children if each.__module__.partition(".")[0] in PACKAGES}
    return found


def test_every_refusal_that_a_person_may_meet_has_a_plain_sentence():
    errors = errors_of_our_packages()
    met = {
        error.code
        for error in errors
        if error.kind in {Kind.UPSTREAM, Kind.UNAVAILABLE}
        or error.__module__.startswith("sharing.")
    }

    assert {"object-store-unavailable", "pack-not-writable", "origin-timeout", "lease-lost"} <= met
    assert met - words.known_codes() == set()


def test_every_sentence_belongs_to_a_code_that_is_in_use():
    codes = {error.code for error in errors_of_our_packages()} | {"worker-lost"}

    assert words.known_codes() - codes == set()


def test_the_advice_for_images_that_are_still_at_the_hospital_is_to_fetch_them():
    with override("en"):
        assert "Fetch them" in str(words.words("not-pulled-yet").advice)


def test_a_sentence_is_said_in_the_readers_language():
    with override("zh-hans"):
        assert str(words.words("origin-timeout").what) == "医院影像系统应答超时。"
    with override("en"):
        assert str(words.words("origin-timeout").what).startswith("The hospital's archive took")
