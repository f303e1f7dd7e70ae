"""The message catalogues, without gettext's own tools: extract, compile, check (Babel does the work).

python tools/messages.py            extract every string into the catalogues and compile them
python tools/messages.py --check    fail where a string lacks its translation or a catalogue is stale
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("platform", "hospitals", "sharing", "recognition", "billing")
LOCALES = ROOT / "platform" / "common" / "ui" / "locale"
KEYWORDS = {
    "gettext": None, "gettext_lazy": None, "_": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip

Message = tuple[int, str | tuple[str, str], str | None]


def extract() -> Catalog:
    """Every string of the sources that is marked for translation, with the places it stands in."""
    found = Catalog(project="provincial-imaging-cloud", charset="utf-8")
    for path in _files():
        place = path.relative_to(ROOT).as_posix()
        reader = _python if path.suffix == ".py" else _template
        for _line, message, context in reader(path):
            # Without line numbers: a catalogue should change when a text does, not when a line moves.
            found.add(message, locations=[(place, None)], context=context)
    return found


def _files() -> Iterator[Path]:
    for source in SOURCES:
        for pattern in ("**/*.py", "**/*.html"):
            for path in sorted((ROOT / source).glob(pattern)):
                if "migrations" not in path.parts and "node_modules" not in path.parts:
                    yield path


def _python(path: Path) -> Iterator[Message]:
    with path.open("rb") as file:
        for line, name, arguments, _comments in extract_python(file, list(KEYWORDS), [], {}):
            spec = KEYWORDS[name]
            texts = arguments if isinstance(arguments, (list, tuple)) else [arguments]
            if not texts or not all(isinstance(t, str) for t in texts[: len(spec or (1,))]):
                continue
            if spec is None:
                yield line, texts[0], None
            elif isinstance(spec[0], tuple):
                rest = texts[1:3]
                yield line, rest[0] if len(spec) == 2 else (rest[0], rest[1]), texts[0]
            else:
                yield line, (texts[0], texts[1]), None


def _template(path: Path) -> Iterator[Message]:
    """Django's own reader turns a template into calls of gettext; Babel reads those."""
    from django.utils.translation.template import templatize

    calls = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    # The indentation of a template is none of Python's.
    calls = "\n".join(line.lstrip() for line in calls.splitlines())
    for line, name, arguments, _comments in extract_python(
        io.BytesIO(calls.encode()), list(KEYWORDS), [], {"encoding": "utf-8"}
    ):
        texts = arguments if isinstance(arguments, (list, tuple)) else [arguments]
        if not texts or not isinstance(texts[0], str):
            continue
        if name == "ngettext" and isinstance(texts[1], str):
            yield line, (texts[0], texts[1]), None
        else:
            yield line, texts[0], None


def catalogue_paths() -> list[Path]:
    """The catalogue of each language."""
    return sorted(LOCALES.glob("*/LC_MESSAGES/django.po"))


def load(path: Path) -> Catalog:
    """A catalogue as it is kept."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


def compiled(catalog: Catalog) -> bytes:
    """What Django reads."""
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def faults(path: Path, template: Catalog) -> list[str]:
    """What is wrong with a catalogue, in words."""
    catalog = load(path)
    wrong = []
    for message in template:
        if not message.id:
            continue
        kept = catalog.get(message.id, context=message.context)
        if (
            kept is None
            or not kept.string
            or (isinstance(kept.string, tuple) and not all(kept.string))
        ):
            wrong.append(f"not translated: {message.id!r}")
        elif kept.fuzzy:
            wrong.append(f"only guessed: {message.id!r}")
        elif _places(message.id) != _places(kept.string):
            wrong.append(f"other placeholders: {message.id!r}")
    if path.with_suffix(".mo").read_bytes() != compiled(catalog):
        wrong.append(f"{path.with_suffix('.mo').name} is stale: run tools/messages.py")
    return wrong


def _places(text: str | tuple[str, ...] | list[str]) -> set[str]:
    joined = text if isinstance(text, str) else " ".join(text)
    return set(re.findall(r"%\(\w+\)[sd]", joined))


def update(path: Path, template: Catalog) -> None:
    """Take new strings in and old ones out; translations stay."""
    catalog = load(path)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalog, width=100, sort_output=True, omit_header=False)
    path.with_suffix(".mo").write_bytes(compiled(load(path)))


def main(arguments: list[str]) -> int:
    """The command; the exit status is 1 where a check found a fault."""
    template = extract()
    if "--check" not in arguments:
        for path in catalogue_paths():
            update(path, template)
    wrong = [(path, fault) for path in catalogue_paths() for fault in faults(path, template)]
    for path, fault in wrong:
        print(f"{path.relative_to(ROOT)}: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
