"""What a result file says of the machine."""

from __future__ import annotations

import pytest

from flawmap.utils import hardware

CPUINFO = """processor\t: 0
model name\t: A Processor 9
flags\t\t: fpu avx2 avx512f avx512_vnni sse4_2

processor\t: 1
model name\t: Another
"""


@pytest.mark.parametrize(
    ("text", "processor", "arithmetic"),
    [
        (CPUINFO, "A Processor 9", "avx2 avx512_vnni avx512f"),
        ("Features: asimd\n", None, ""),
    ],
)
def test_the_processor_and_its_arithmetic(monkeypatch, tmp_path, text, processor, arithmetic):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    found = hardware.hardware()
    assert found["arithmetic"] == arithmetic
    assert found["processor"] == (processor or found["processor"]) != ""
    assert found["cores"] == hardware.available_cores() >= 1


def test_elsewhere_than_on_linux_nothing_is_said_of_it(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "none")
    assert hardware.hardware()["arithmetic"] == ""


@pytest.mark.parametrize(
    ("given", "threads"), [(None, 4), ("1", 1), ("9", 4), ("", 4), ("0", 4), ("many", 4)]
)
def test_a_model_takes_as_many_threads_as_the_environment_allows(
    monkeypatch: pytest.MonkeyPatch, given: str | None, threads: int
) -> None:
    monkeypatch.setattr(hardware, "available_cores", lambda: 4)
    if given is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert hardware.default_threads() == threads
