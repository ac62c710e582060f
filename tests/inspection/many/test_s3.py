"""Images in a local S3 server, read by processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import flawmap
from inspection.many.conftest import untimed

server = pytest.importorskip("moto.server", reason="needs a local S3 server: moto[server]")
s3fs = pytest.importorskip("s3fs", reason="s3:// needs s3fs")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, twelve: Path) -> Iterator[str]:
    """The twelve images in a bucket; the environment has its endpoint and credentials."""
    running = server.ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    system = s3fs.S3FileSystem()
    system.mkdir("parts")
    system.put(str(twelve), "parts/line1", recursive=True)
    yield "s3://parts"
    running.stop()


def test_processes_read_a_bucket(run_copy: Path, twelve: Path, bucket: str, tmp_path: Path) -> None:
    (listing := tmp_path / "list.txt").write_text(f"{bucket}/line1/none.png\n", encoding="utf-8")
    given = {"on": "local", "workers": 2, "threads": 1}
    found = flawmap.predict(run_copy, [bucket], lists=[listing], **given)  # type: ignore[arg-type]
    expected = flawmap.predict(run_copy, [twelve], threads=1)
    assert [x.path for x in found[:-1]] == [f"{bucket}/line1/{n}.png" for n in range(12)]
    assert [x.score for x in found[:-1]] == [x.score for x in expected]
    assert [x.image for x in found[:-1]] == [x.image for x in expected]
    assert "none.png: cannot be read (" in (found[-1].error or "")
    assert untimed(found[-1:])[0]["path"] == f"{bucket}/line1/none.png"
