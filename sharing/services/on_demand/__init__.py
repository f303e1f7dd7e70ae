"""Studies that are only in the index, fetched while their reader waits.

The web process claims the transfer as a worker would: the same row, lease, generation and cap. A thread of its
own pulls to the end, whether the reader stays or leaves; what arrived and passed its checks is read from the
growing spool. Without a worker that is all there is to it; with one, whoever claims a series first pulls it.
"""

from sharing.services.on_demand.asking import known_series, list_instances, start_study
from sharing.services.on_demand.feeds import Feed
from sharing.services.on_demand.places import reader_place
from sharing.services.on_demand.reading import (
    Archived,
    Arriving,
    Reading,
    lacks_series,
    open_series,
    open_study,
    wait_for_series,
    wait_for_study,
)

__all__ = [
    "Archived",
    "Arriving",
    "Feed",
    "Reading",
    "known_series",
    "lacks_series",
    "list_instances",
    "open_series",
    "open_study",
    "reader_place",
    "start_study",
    "wait_for_series",
    "wait_for_study",
]
