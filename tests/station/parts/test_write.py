"""Texts that no database stores, in what senders and file systems hand over."""

from __future__ import annotations

import json

import pytest

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.database.tables.base import now
from flawmap.station.parts.write import NewPart
from inspection.records import make_record
from station.conftest import ClientAs
from station.filling import add_product, fill
from station.postgres import on_both

NAME = "b\udcfcrste\0.png"  # as Python reads a file name that is not UTF-8


@on_both
def test_a_part_with_such_texts_is_stored(station: Station) -> None:
    record = make_record(NAME, error=f"{NAME}: cannot be read", image="ab" * 32)
    product = add_product(station.database)
    texts = {"number": NAME, "line": NAME, "key": NAME, "fields": {NAME: NAME}}
    station.writer.store([NewPart(product, record, b"", "", now(), f"folder:{NAME}", **texts)])
    with station.database.read() as session:
        part = session.get_one(Part, 1)
    clean = "b?rste\ufffd.png"
    assert (part.number, part.line, part.key, part.fields) == (clean, clean, clean, {clean: clean})
    assert (part.source, part.error) == (f"folder:{clean}", f"{clean}: cannot be read")
    assert (part.record["path"], part.record["error"]) == (clean, f"{clean}: cannot be read")


@on_both
@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_what_people_write_is_stored_or_refused_in_words(
    station: Station, client_as: ClientAs, text: str
) -> None:
    fill(station.database, 3)
    client = client_as("engineer")
    wanted = {
        "/api/v1/products": {"name": f"a{text}"},
        "/api/v1/parts/1/reviews": {"decision": "good", "comment": f"a{text}"},
    }
    for path, body in wanted.items():
        escaped = json.dumps(body)  # as a program sends it that writes ASCII
        answer = client.post(path, content=escaped, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, answer.text)
    assert client.get("/api/v1/parts", params={"number": "a\0"}).status_code < 500
