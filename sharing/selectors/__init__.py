"""Reads, already narrowed to what the actor may see. Absent and hidden look the same."""

from sharing.selectors.studies import (
    SeriesPlace,
    StudyPlace,
    get_visible_series,
    get_visible_study,
    place_series,
    place_study,
    primary_order,
    visible_series,
    visible_studies,
)

__all__ = [
    "SeriesPlace",
    "StudyPlace",
    "get_visible_series",
    "get_visible_study",
    "place_series",
    "place_study",
    "primary_order",
    "visible_series",
    "visible_studies",
]
