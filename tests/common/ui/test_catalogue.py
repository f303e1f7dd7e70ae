"""Every text that a reader can meet has its Chinese, and the compiled catalogue is the current one."""

from __future__ import annotations

from django.utils.translation import override

from common.dicomweb import errors as origin_errors
from common.errors import DomainError
from common.ui import words
from sharing import errors as sharing_errors
from tools import messages


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


def test_every_error_of_a_hospital_or_a_transfer_has_a_plain_sentence():
    raised = {
        each.code
        for module in (origin_errors, sharing_errors)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, DomainError) and each is not DomainError
    }

    assert raised - words.known_codes() == set()


def test_a_sentence_is_said_in_the_readers_language():
    with override("zh-hans"):
        assert str(words.words("origin-timeout").what) == "医院影像系统应答超时。"
    with override("en"):
        assert str(words.words("origin-timeout").what).startswith("The hospital's archive took")
