"""dicomweb-client (Python) drives every transaction, over real HTTP, against the product's own web server."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread

from common.accounts.tokens import create_token
from tests.support import archive
from tests.support.dicom_files import row, rows
from tests.support.reading import session_of
from tests.support.web import WebFactory

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SERIES = "dcm_qa_ct/philips_phantom_std_brain_5mm"
CINE = "dcmjs/cine-test.dcm"
PALETTE = "pydicom/test_files/examples_palette.dcm"


@pytest.fixture
def client(
    transactional_db: None, settings: Any, tmp_path: Path, web: WebFactory
) -> DICOMwebClient:
    """The client of a hospital's own system at its institution's root."""
    settings.OBJECT_STORE_URL = f"file://{tmp_path}/store"
    settings.DATA_DIR = tmp_path / "data"
    hospital = archive.make_institution("near")
    user = archive.make_user("pacs", "integrator", hospital)
    token = create_token(actor="test", user=user)
    return DICOMwebClient(f"{web().url}/dicom-web/at/near", session=session_of(token))


def uids(dataset: Dataset) -> tuple[str, str, str]:
    return dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID


def test_every_transaction_of_the_python_client(client: DICOMwebClient) -> None:
    slices = [dcmread(each.path) for each in rows("instance") if each.name.startswith(SERIES)][:5]
    cine, palette = dcmread(row(CINE).path), dcmread(row(PALETTE).path)
    sent = [*slices, cine, palette]
    study, series, first = uids(slices[0])

    stored = client.store_instances(sent)
    assert len(stored.ReferencedSOPSequence) == len(sent)
    assert len(client.store_instances(slices, study_instance_uid=study).ReferencedSOPSequence) == 5

    assert len(client.search_for_studies()) == 3
    assert len(client.search_for_studies(limit=2, get_remaining=True)) == 3
    found = client.search_for_studies(search_filters={"PatientID": slices[0].PatientID})
    assert [each["0020000D"]["Value"] for each in found] == [[study]]
    assert len(client.search_for_series()) == 3
    assert len(client.search_for_series(study, fields=["SeriesDescription"])) == 1
    assert len(client.search_for_instances(study)) == 5
    assert len(client.search_for_instances(study, series, limit=2)) == 2
    assert len(client.search_for_instances(search_filters={"StudyInstanceUID": study})) == 5

    assert len(client.retrieve_study(study)) == 5
    assert len(list(client.iter_series(study, series))) == 5
    assert client.retrieve_instance(study, series, first) == slices[0]
    as_stored = client.retrieve_instance(*uids(cine), media_types=(("application/dicom", "*"),))
    assert as_stored == cine

    for metadata in (
        client.retrieve_study_metadata(study),
        client.retrieve_series_metadata(study, series),
        [client.retrieve_instance_metadata(study, series, first)],
    ):
        read = {each.SOPInstanceUID: each for each in map(Dataset.from_json, metadata)}
        assert read[first].PatientName == slices[0].PatientName

    assert_frames(client, cine)
    assert_bulk_data(client, palette)
    assert_rendered(client, slices[0])

    client.delete_study(study, additional_params={"reason": "duplicate"})
    assert client.search_for_studies(search_filters={"StudyInstanceUID": study}) == []


def assert_frames(client: DICOMwebClient, cine: Dataset) -> None:
    """Frames as native pixels, which is what the client asks for unless told otherwise."""
    frames = client.retrieve_instance_frames(*uids(cine), frame_numbers=[2, 5])
    pixels = [np.frombuffer(each, cine.pixel_array.dtype) for each in frames]
    for got, number in zip(pixels, (2, 5), strict=True):
        assert np.array_equal(got, cine.pixel_array[number - 1].ravel())


def assert_bulk_data(client: DICOMwebClient, palette: Dataset) -> None:
    metadata = client.retrieve_instance_metadata(*uids(palette))
    address = metadata["00281201"]["BulkDataURI"]
    (table,) = client.retrieve_bulkdata(address)
    assert table == palette.RedPaletteColorLookupTableData
    (part,) = client.retrieve_bulkdata(address, byte_range=(0, 9))
    assert table.startswith(part)


def assert_rendered(client: DICOMwebClient, dataset: Dataset) -> None:
    whole = client.retrieve_instance_rendered(*uids(dataset), media_types=("image/png",))
    frame = client.retrieve_instance_frames_rendered(
        *uids(dataset), frame_numbers=[1], media_types=("image/jpeg",)
    )
    sizes = {Image.open(io.BytesIO(each)).size for each in (whole, frame)}
    assert sizes == {(dataset.Columns, dataset.Rows)}
    study, series, _ = uids(dataset)
    assert client.retrieve_series_rendered(study, series, media_types=("image/gif",))


def test_the_client_is_told_what_went_wrong(client: DICOMwebClient) -> None:
    with pytest.raises(requests.HTTPError) as refusal:
        client.retrieve_study("1.2.3")
    assert refusal.value.response.status_code == 404
    assert "study" in refusal.value.response.text
