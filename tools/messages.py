#!/usr/bin/env python3
"""The message catalogue: ``tools/messages.py --check`` proves it whole, without arguments it is updated.

Extracts every marked text of the source roots (Python and templates, with Babel, no gettext tools),
adds new ones to ``django.po`` with an empty translation, and compiles ``django.mo``. The check fails
for a text without a Chinese translation, a placeholder that differs, and a stale ``django.mo``.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import templatize

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "platform" / "common" / "ui" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
SOURCES = ("platform", "hospitals", "sharing", "recognition", "billing")
KEYWORDS = {
    "_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2), "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")

Id = str | tuple[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail if anything is missing"
    )
    options = parser.parse_args()
    settings.configure(USE_I18N=True)
    catalogue = read(CATALOGUE)
    wanted = Catalog()
    for file in sources():
        for place, message, context in texts(file):
            wanted.add(message, locations=[place], context=context)
    if options.check:
        found = list(faults(catalogue, wanted))
        print("\n".join(found) or f"{len(wanted)} texts, all translated")
        return 1 if found else 0
    catalogue.update(wanted, no_fuzzy_matching=True)
    with CATALOGUE.open("wb") as file_out:
        # Without line numbers: they would change with every edit of the sources.
        write_po(
            file_out,
            catalogue,
            width=110,
            include_lineno=False,
            sort_output=True,
            ignore_obsolete=True,
        )
    CATALOGUE.with_suffix(".mo").write_bytes(compiled(catalogue))
    return 0


def read(path: Path) -> Catalog:
    if not path.is_file():
        return Catalog(locale="zh_Hans", project="imaging-cloud")
    with path.open("rb") as file:
        return read_po(file, locale="zh_Hans")


def compiled(catalogue: Catalog) -> bytes:
    output = io.BytesIO()
    write_mo(output, catalogue)
    return output.getvalue()


def sources() -> Iterator[Path]:
    for top in SOURCES:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in {".py", ".html", ".txt"} and "migrations" not in path.parts:
                yield path


def texts(path: Path) -> Iterator[tuple[tuple[str, int], Any, str | None]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        if "{%" not in text:
            return
        text = templatize(text)
    name = path.relative_to(ROOT).as_posix()
    found = extract_python(io.BytesIO(text.encode()), KEYWORDS, [], {"encoding": "utf-8"})
    for line, function, messages, _comments in found:
        parts = list(messages) if isinstance(messages, tuple) else [messages]
        context = parts.pop(0) if "pgettext" in str(function) else None
        if not parts or not parts[0]:
            continue
        plural = "ngettext" in str(function) or "npgettext" in str(function)
        yield (name, line), (tuple(parts[:2]) if plural else parts[0]), context


def faults(catalogue: Catalog, wanted: Catalog) -> Iterator[str]:
    for message in wanted:
        if not message.id:
            continue
        where = message.locations[0][0] if message.locations else ""
        entry = catalogue.get(message.id, message.context)
        strings = as_list(entry.string) if entry else []
        if entry is None or not all(strings) or not strings:
            yield f"{where}: not translated: {message.id!r}"
        elif entry.fuzzy:
            yield f"{where}: marked fuzzy: {message.id!r}"
        elif any(
            placeholders(string) != placeholders(as_list(message.id)[-1]) for string in strings
        ):
            yield f"{where}: other placeholders in the translation of {message.id!r}"
    binary = CATALOGUE.with_suffix(".mo")
    if not binary.is_file() or binary.read_bytes() != compiled(catalogue):
        yield f"{binary.relative_to(ROOT)}: not compiled from django.po; run tools/messages.py"


def as_list(value: str | tuple[str, ...] | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


if __name__ == "__main__":
    sys.exit(main())
