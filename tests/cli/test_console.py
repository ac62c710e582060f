"""What goes to a terminal: bars that leave nothing behind, colours, tables of any width."""

from __future__ import annotations

import io
import sys
import time

import pytest

from flawmap.cli.console.predictions import PredictionDisplay
from flawmap.cli.console.progress import counting_display, training_display
from flawmap.cli.console.tables import print_table
from flawmap.inspection.record import InspectionRecord


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Both streams of the process, on one terminal of 80 columns."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds that programs see, to be set."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def states(text: str) -> list[str]:
    """Each state of the line that a bar redraws."""
    lines = (line.replace("\x1b[?25l", "").rstrip() for line in text.split("\r"))
    return [line for line in lines if "[" in line and not line.startswith("\x1b")]


# --- bars


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, "] 300/400 0:00:05  (student, loss 0.123)"),
        (40, "] 300/400 0:00:05"),
        (28, "] 300/400"),
    ],
)
def test_a_bar_fits_its_line(monkeypatch: pytest.MonkeyPatch, columns: int, expected: str) -> None:
    terminal = open_terminal(monkeypatch)
    from flawmap.training.steps.loop import Progress

    monkeypatch.setenv("COLUMNS", str(columns))
    now = clock(monkeypatch)
    with training_display() as reporter:
        reporter.show(Progress(100, 400, "student", 0.5))  # a resumed run begins late
        now[0] += 10.0
        reporter.show(Progress(300, 400, "student", 0.1234))
    last = states(terminal.getvalue())[-1]
    assert " ".join(last.split()).endswith(" ".join(expected.split()))
    assert last.startswith("training [#")
    assert len(last) < columns


def test_a_bar_is_erased_before_a_message_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    from flawmap.training.steps.loop import Progress

    with training_display() as reporter:
        reporter.show(Progress(1, 4, "head", 1.0))
        reporter.say("A message.")
        reporter.show(Progress(4, 4, "head", 1.0))
        reporter.say("Another.")
    said = terminal.getvalue()
    assert "\r\x1b[2K\x1b[?25hA message.\nAnother.\n" in said
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1


def count_until_stopped() -> None:
    with counting_display("calibrating") as show:
        show(1, 3)
        raise KeyboardInterrupt


def test_a_bar_is_erased_when_its_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        count_until_stopped()
    assert "1/3" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K\x1b[?25h")


def test_a_second_count_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time left does not rest on the first, as when the models of folds are trained."""
    terminal = open_terminal(monkeypatch)
    now = clock(monkeypatch)
    with counting_display("training") as show:
        for seconds, done in ((0, 1), (1000, 3), (0, 1), (10, 2)):
            now[0] += seconds
            show(done, 4)
    assert [line.split()[-1] for line in states(terminal.getvalue())] == [
        "-:--:--", "0:08:20", "-:--:--", "0:00:20",
    ]  # fmt: skip


@pytest.mark.parametrize("dumb", [False, True])
def test_without_a_terminal_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, dumb: bool
) -> None:
    """Neither on a terminal that cannot erase a line."""
    terminal = open_terminal(monkeypatch)
    plain = terminal if dumb else io.StringIO()
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    monkeypatch.setattr(sys, "stderr", plain)
    now = clock(monkeypatch)
    with counting_display("evaluating") as show:
        for done in range(1, 8):
            now[0] += 2.0
            show(done, 7)
    assert plain.getvalue().splitlines() == [f"evaluating: {n} of 7" for n in (3, 6, 7)]


# --- verdicts


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_verdicts_are_coloured_on_a_terminal_only(
    tiny_record: InspectionRecord, monkeypatch: pytest.MonkeyPatch, no_colour: str
) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", no_colour)
    PredictionDisplay(quiet=False)(tiny_record, 1)
    line = terminal.getvalue()
    assert ("\x1b[31m" in line) == (not no_colour)
    assert "reject" in line
    assert "score 1.235e-05  p 0.010" in line


@pytest.fixture
def tiny_record() -> InspectionRecord:
    """A rejected part with a small score."""
    fields = {"verdict": "reject", "score": 1.23456e-05, "p_value": 0.01, "path": "part.png"}
    return InspectionRecord.model_construct(**fields, defects=None, error=None)


# --- tables


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_table_is_wrapped_and_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/data/line-4/" + "a-very-long-name" * 5 + "/Stück-\\udce9/部品.png"
    print_table([("seed", "3"), ("trained on", f"ten of {path}"), ("limit", "1e-5")], wrap=True)
    lines = printed(capsys)
    assert lines[0] == "seed        3"
    assert lines[-1] == "limit       1e-5"
    assert max(map(len, lines)) == 40
    assert "".join(line[12:] for line in lines[1:-1]).replace("ten of ", "") == path


@pytest.mark.parametrize("columns", ["3", "0", "wide", ""])
def test_a_width_that_is_none_still_gives_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table([("name", "some words that say what it is")], wrap=True)
    assert " ".join(" ".join(printed(capsys)).split()) == "name some words that say what it is"


def test_numbers_stay_as_written_and_end_at_the_same_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table([("", "AP"), ("screw", "+0.100"), ("nut", "–")], wrap=False, right=1)
    assert printed(capsys) == ["           AP", "screw  +0.100", "nut         –"]
