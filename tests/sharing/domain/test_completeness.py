"""Is what arrived what the hospital lists?"""

from sharing.domain.completeness import ComparedBy, Listing, compare


def uids(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_all_listed_instances_held_is_complete() -> None:
    verdict = compare(listing=Listing(uids=uids("1", "2"), count=2), held=["1", "2"])

    assert verdict.complete
    assert verdict.missing_count == 0


def test_a_listed_instance_that_did_not_come_makes_it_incomplete_and_is_named() -> None:
    verdict = compare(listing=Listing(uids=uids("1", "2", "3")), held=["1", "3"])

    assert not verdict.complete
    assert verdict.missing == {"2"}


def test_a_hospital_that_counts_more_than_it_lists_is_believed_in_the_larger_number() -> None:
    listing = Listing(uids=uids("1", "2"), count=5)

    verdict = compare(listing=listing, held=["1", "2"])

    assert listing.expected == 5
    assert not verdict.complete
    assert verdict.missing_count == 3


def test_instances_that_the_hospital_does_not_list_are_kept_and_counted() -> None:
    verdict = compare(listing=Listing(uids=uids("1")), held=["1", "9"])

    assert verdict.complete
    assert verdict.unlisted_count == 1


def test_a_count_alone_is_compared_by_count() -> None:
    listing = Listing(count=2)

    assert listing.compared_by is ComparedBy.COUNT
    assert compare(listing=listing, held=["1", "2"]).complete
    assert compare(listing=listing, held=["1"]).missing_count == 1


def test_nothing_held_is_never_complete() -> None:
    assert not compare(listing=Listing(), held=[]).complete
    assert not compare(listing=Listing(count=0), held=[]).complete
