"""A hospital whose archive is a directory of DICOM files, nested or flat, as an ``Origin``."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common.dicomweb.errors import OriginCutOff, OriginNotFound
from common.dicomweb.folder_index import FolderIndex, IndexedFile
from common.dicomweb.multipart import IncomingPart
from common.dicomweb.origin import DicomJson, Matches, SearchPage, first_value

READ_BYTES = 1024 * 1024
MAX_AGE_S = 5.0  # a search looks at the folder again when the last look is older
SETTLE_S = 5.0

_indexes: dict[tuple[Path, Path | None, str, float], FolderIndex] = {}
_lock = threading.Lock()


def _shared_index(
    folder: Path, cache_dir: Path | None, character_set: str, settle_s: float
) -> FolderIndex:
    """One index per folder and process: a worker opens an origin for every series."""
    key = folder, cache_dir, character_set, settle_s
    with _lock:
        if key not in _indexes:
            _indexes[key] = FolderIndex(
                folder, cache_dir=cache_dir, character_set=character_set, settle_s=settle_s
            )
        return _indexes[key]


class FolderOrigin:
    """The studies in a folder, found by their headers; file names and nesting mean nothing.

    New files are found and deleted ones gone at the next look; files changed within the last ``settle_s``
    seconds are still being written and left for later; DICOMDIR files are skipped. Two files with the same SOP
    Instance UID are both delivered. ``cache_dir`` keeps the index between processes, outside of the folder.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        cache_dir: Path | None = None,
        character_set: str = "",
        settle_s: float = SETTLE_S,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._index = _shared_index(Path(path), cache_dir, character_set, settle_s)
        self._max_age_s = max_age_s

    def close(self) -> None:
        """Nothing stays open between calls."""

    def broken_files(self) -> list[tuple[str, str]]:
        """Files that cannot be delivered: path in the folder and reason."""
        self._index.refresh(max_age_s=self._max_age_s)
        return self._index.broken()

    def search_studies(
        self,
        *,
        since: dt.date | None,
        until: dt.date | None,
        study_instance_uid: str | None = None,
        limit: int,
        offset: int,
    ) -> SearchPage:
        """One page of studies, oldest first; a study without a date lies in every window."""
        self._index.refresh(max_age_s=0 if offset == 0 else self._max_age_s)
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (since, until))
        found = []
        for study in self._index.studies():
            day = str(first_value(study, "00080020") or "").replace(".", "")
            if day and (day < first or (last and day > last)):
                continue
            if study_instance_uid in (None, first_value(study, "0020000D")):
                found.append(study)
        return SearchPage(found[offset : offset + limit])

    def match_studies(self, *, filters: Mapping[str, str], most: int, until: float) -> Matches:
        """Every study: a folder has no search of its own, and the caller sieves."""
        self._index.refresh(max_age_s=self._max_age_s)
        return Matches(self._index.studies())

    def search_series(self, *, study_instance_uid: str) -> list[DicomJson]:
        """All series of a study."""
        self._index.refresh(max_age_s=self._max_age_s)
        return self._index.series(study_instance_uid)

    def search_instances(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> list[DicomJson]:
        """All instances of a series, each SOP Instance UID once."""
        self._index.refresh(max_age_s=self._max_age_s)
        files = self._index.files(study_instance_uid, series_instance_uid)
        return list({known.sop_instance_uid: instance_result(known) for _, known in files}.values())

    @contextmanager
    def retrieve_series(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> Iterator[Iterator[IncomingPart]]:
        """Every file of a series, one part each."""
        yield self._parts(self._files(study_instance_uid, series_instance_uid))

    @contextmanager
    def retrieve_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> Iterator[Iterator[IncomingPart]]:
        """Every file with this SOP Instance UID: more than one if the folder holds it twice."""
        files = self._files(study_instance_uid, series_instance_uid)
        wanted = [file for file in files if file[1].sop_instance_uid == sop_instance_uid]
        if not wanted:
            raise OriginNotFound("The hospital's folder does not hold this instance.")
        yield self._parts(wanted)

    def _files(self, study: str, series: str) -> list[tuple[Path, IndexedFile]]:
        files = self._index.files(study, series)
        if not files:
            self._index.refresh(max_age_s=self._max_age_s)
            files = self._index.files(study, series)
        if not files:
            raise OriginNotFound("The hospital's folder does not hold this series.")
        return files

    def _parts(self, files: list[tuple[Path, IndexedFile]]) -> Iterator[IncomingPart]:
        for path, known in files:
            if not path.is_file():
                continue  # deleted since the last look; the counts will tell
            headers = {
                "content-type": f"application/dicom; transfer-syntax={known.transfer_syntax_uid}",
                "content-length": str(known.size_bytes),
            }
            chunks = _chunks(path)
            yield IncomingPart(headers, chunks)
            chunks.close()


def _chunks(path: Path) -> Generator[bytes, None, None]:
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                yield chunk
    except OSError as error:
        raise OriginCutOff("A file of the hospital's folder cannot be read to its end.") from error


def instance_result(known: IndexedFile) -> DicomJson:
    """One instance as a search names it."""
    number = known.instance_number
    return {
        "00080016": {"vr": "UI", "Value": [known.sop_class_uid]},
        "00080018": {"vr": "UI", "Value": [known.sop_instance_uid]},
        "00083002": {"vr": "UI", "Value": [known.transfer_syntax_uid]},
        "0020000D": {"vr": "UI", "Value": [known.study_instance_uid]},
        "0020000E": {"vr": "UI", "Value": [known.series_instance_uid]},
        "00200013": {"vr": "IS", "Value": [int(number)]}
        if number.lstrip("+-").isdigit()
        else {"vr": "IS"},
    }
