"""UUIDv7."""

from __future__ import annotations

import time
import uuid

from dataqueue.ids import is_uuid7, new_id


def test_an_id_is_a_uuid_of_version_7_in_the_variant_of_the_rfc() -> None:
    for _ in range(1000):
        made = new_id()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122
        assert is_uuid7(made)


def test_ids_are_unique() -> None:
    assert len({new_id() for _ in range(50_000)}) == 50_000


def test_an_id_begins_with_the_millisecond_it_was_made_in() -> None:
    before = time.time_ns() // 1_000_000
    made = [new_id().int >> 80 for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert before <= min(made) <= max(made) <= after


def test_ids_of_different_milliseconds_sort_by_them_also_as_text() -> None:
    first = new_id()
    while (later := new_id()).int >> 80 == first.int >> 80:
        pass
    assert first < later
    assert str(first) < str(later)


def test_every_random_bit_is_used() -> None:
    ones, zeros = 0, 0
    for _ in range(200):
        made = new_id().int
        ones, zeros = ones | made, zeros | ~made
    fixed = (0xF << 76) | (0b11 << 62)
    random_bits = ((1 << 80) - 1) & ~fixed
    assert ones & random_bits == random_bits
    assert zeros & random_bits == random_bits


def test_other_versions_and_variants_are_told_apart() -> None:
    for other in (uuid.uuid1(), uuid.uuid4(), uuid.uuid5(uuid.NAMESPACE_DNS, "a"), uuid.UUID(int=0)):
        assert not is_uuid7(other)
    made = new_id()
    assert not is_uuid7(uuid.UUID(int=made.int & ~(0b11 << 62)))
    assert not is_uuid7(uuid.UUID(int=2**128 - 1))
