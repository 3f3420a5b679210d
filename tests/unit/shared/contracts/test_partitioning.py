"""Readers find the partition that Kafka's clients write to."""

from aiokafka.partitioner import murmur2 as kafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.partitioning import murmur2, partition_of


@given(st.binary(max_size=64))
def test_the_hash_is_kafkas(data: bytes) -> None:
    assert kafka_murmur2(data) & 0xFFFFFFFF == murmur2(data)


def test_known_hashes_are_those_of_the_java_client() -> None:
    """Values of org.apache.kafka.common.utils.UtilsTest."""
    expected = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}

    assert {key: value & 0xFFFFFFFF for key, value in expected.items()} == {key: murmur2(key) for key in expected}


def test_a_partition_is_always_within_range() -> None:
    assert set(range(8)) == {partition_of(str(number), 8) for number in range(1000)}
