"""Flawmap's entries in an ONNX file, against the onnx package and against damaged bytes."""

from __future__ import annotations

import contextlib
import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.onnx_metadata import network_digest, read_metadata, with_metadata

ENTRIES = {"flawmap.digest": "ab" * 32, "flawmap.unit": "µm", "flawmap.long": "x" * 300}


@pytest.fixture(scope="module")
def model() -> bytes:
    """A small network with an entry of somebody else's."""
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    a, b = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "ab")
    made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [a], [b]))
    made.metadata_props.add(key="author", value="somebody else")
    return made.SerializeToString()


def test_the_onnx_package_reads_what_is_written(model: bytes) -> None:
    found = onnx.load_model_from_string(with_metadata(model, ENTRIES))
    assert {p.key: p.value for p in found.metadata_props} == {"author": "somebody else"} | ENTRIES
    assert found.graph == onnx.load_model_from_string(model).graph


def test_what_the_onnx_package_writes_is_read(model: bytes) -> None:
    proto = onnx.load_model_from_string(model)
    for key, value in ENTRIES.items():
        proto.metadata_props.add(key=key, value=value)
    proto.doc_string = "stands behind in the message's own order"
    assert read_metadata(proto.SerializeToString()) == ENTRIES


def test_writing_again_replaces_and_the_network_stays(model: bytes) -> None:
    once = with_metadata(model, ENTRIES)
    twice = with_metadata(once, {"flawmap.new": "1"})
    assert read_metadata(twice) == {"flawmap.new": "1"}
    assert with_metadata(twice, {}) == model
    assert network_digest(twice) == network_digest(once) == hashlib.sha256(model).hexdigest()


def test_any_change_of_the_network_changes_the_digest(model: bytes) -> None:
    written = bytearray(with_metadata(model, ENTRIES))
    before = network_digest(bytes(written))
    for at in range(len(model)):
        written[at] ^= 1
        with contextlib.suppress(FlawmapError):  # no longer a message
            assert network_digest(bytes(written)) != before
        written[at] ^= 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x72",  # an entry's key alone
        b"\x72\x05\x0a",  # cut short
        b"\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # of 2^64 - 1 bytes
        b"\xff" * 40,  # a number that does not end
        b"\x0b\x0c",  # a group, which ONNX has none of
        b"\x02\x00",  # field 0
        b"\x0d\x00\x00",  # four bytes, of which two are there
        b"\x08\x00" * 100_001,  # more fields than any network has
        b"\x72\x02\x0a\x05",  # an entry whose key is cut short
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for use in (read_metadata, network_digest, lambda found: with_metadata(found, ENTRIES)):
        with pytest.raises(FlawmapError, match="not an ONNX file"):
            use(data)


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(FlawmapError, match="not text"):
        read_metadata(b"\x72\x0d\x0a\x08flawmap.\x12\x01\xff")


@settings(max_examples=300)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        written = with_metadata(data, ENTRIES)
    except FlawmapError:
        return
    assert read_metadata(written) == ENTRIES
    assert network_digest(written) == hashlib.sha256(with_metadata(data, {})).hexdigest()


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_is_read_or_refused(model: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = with_metadata(model, ENTRIES)
    for _ in range(500):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        with contextlib.suppress(FlawmapError):
            network_digest(bytes(data[: rng.integers(0, len(data) + 1)]))
            read_metadata(bytes(data))
