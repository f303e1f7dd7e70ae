"""Reads, already narrowed to what the actor may see. Absent and hidden look the same."""

from sharing.selectors.studies import (
    SeriesPlace,
    StudyPlace,
    copies_of,
    forget_places,
    forget_series,
    get_visible_series,
    get_visible_study,
    list_series_places,
    place_of_series,
    place_series,
    place_study,
    primary_order,
    visible_series,
    visible_studies,
)

__all__ = [
    "SeriesPlace",
    "StudyPlace",
    "copies_of",
    "forget_places",
    "forget_series",
    "get_visible_series",
    "get_visible_study",
    "list_series_places",
    "place_of_series",
    "place_series",
    "place_study",
    "primary_order",
    "visible_series",
    "visible_studies",
]
