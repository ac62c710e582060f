"""Trainings as processes: one at a time, stopped, gone on with after a restart, and taken live."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flawmap.calibration.calibrate import calibrate
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.runtime.registry import has_bf16_here
from flawmap.station.database.tables import Job, Product
from flawmap.station.improve import jobs, training, work
from flawmap.station.improve.images import add_images
from flawmap.station.improve.progress import progress_of
from flawmap.station.improve.service import trainings_of
from flawmap.station.improve.training import Options
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Caller
from station.filling import add_login, add_user
from station.improving import give_images, part_png
from station.inspecting import Inspecting, inspecting, wait_until

COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
SLEEP = "import time; print('training: 3 of 9 (head, loss 0.5)', flush=True); time.sleep(600)"
LONG = 240.0  # seconds, on a busy machine
Trains = Callable[[str], None]


@pytest.fixture
def trains(monkeypatch: pytest.MonkeyPatch, tiny_run: Path) -> Trains:
    """A function that sets what stands in for a training: a script, with the run to write."""

    def be(script: str) -> None:
        def command(folder: Path, *_: object) -> list[str]:
            return [sys.executable, "-c", script, str(tiny_run), str(folder / "run")]

        monkeypatch.setattr(work, "train_command", command)

    return be


def begin(line: Inspecting, name: str = "board") -> int:
    """Let a product's training wait; return the job's id."""
    product_id = give_images(line.station, 6, name)
    line.intake.reload()
    return trainings_of(line.station).begin(None, product_id, Options()).id


def job_of(line: Inspecting, job_id: int) -> Job:
    """The job as it is now."""
    with line.station.database.read() as session:
        return session.get_one(Job, job_id)


def reaches(line: Inspecting, job_id: int, state: str) -> Job:
    """Wait until a job is in a state."""
    wait_until(lambda: job_of(line, job_id).state == state)
    return job_of(line, job_id)


def engineer(line: Inspecting) -> Caller:
    """A person who may stop trainings."""
    return Caller("ann", "engineer", add_user(line.station.database, "ann", "engineer"))


def test_the_first_inspector_goes_live(tmp_path: Path, trains: Trains) -> None:
    trains(COPY)
    with inspecting(tmp_path / "station") as line:
        assert line.send(part_png(1)).status_code == 422
        job = begin(line)
        done = reaches(line, job, "done")
        assert done.message is not None
        assert "inspects" in done.message
        answer = line.send(part_png(1))
        assert answer.status_code == 200, answer.text
        with line.station.database.read() as session:
            assert session.get_one(Product, done.product_id).model_id is not None


@pytest.mark.slow
@pytest.mark.skipif(not has_bf16_here(), reason="this processor has no bf16 arithmetic")
def test_a_station_in_bf16_exports_what_it_trained(tmp_path: Path, trains: Trains) -> None:
    trains(COPY)
    with inspecting(tmp_path / "station", precision="bf16") as line:
        job = begin(line)
        wait_until(lambda: job_of(line, job).message == "Exporting for bf16")
        wait_until(lambda: job_of(line, job).state != "running", LONG)
        done = job_of(line, job)
        assert done.state == "done", done.message
        answer = line.send(part_png(1))
        assert (answer.status_code, answer.json()["precision"]) == (200, "bf16")


def test_a_model_trained_anew_takes_settings_over(
    tmp_path: Path, trains: Trains, run_copy: Path
) -> None:
    calibrate(run_copy, false_reject=0.2, review=0.4)
    trains(COPY)
    with inspecting(tmp_path / "station", run_copy) as line:
        add_images(line.station, None, 1, [part_png(seed) for seed in range(6)])
        job = trainings_of(line.station).begin(None, 1, Options(anew=True)).id
        done = reaches(line, job, "done")
        said = "Taken over from model 1: reject 20 % and review 40 % of good parts."
        assert said in str(done.message)
        limits = read_manifest(Path(done.folder) / "run").calibration
        assert (limits.reject.asked, limits.review.asked) == (0.2, 0.4)
        cookie, _ = add_login(line.station.database, "engineer")
        line.client.cookies.set("flawmap_session", cookie)
        for page in ("/products/1", "/models/2"):
            assert said in line.client.get(page, headers={"Authorization": ""}).text


def test_one_at_a_time_and_stopped(tmp_path: Path, trains: Trains) -> None:
    trains(SLEEP)
    with inspecting(tmp_path / "station") as line:
        first, second = begin(line), begin(line, "other")
        wait_until(lambda: progress_of(Path(job_of(line, first).folder)).steps == 9)
        assert job_of(line, second).state == "waiting"
        with pytest.raises(RefusedError, match="waits or runs already"):
            begin(line)
        service = trainings_of(line.station)
        service.halt(engineer(line), second)
        assert job_of(line, second).state == "stopped"
        service.halt(engineer(line), first)
        assert "Stopped by ann" in str(reaches(line, first, "stopped").message)
        trains(COPY)
        service.resume(engineer(line), first)
        reaches(line, first, "done")


def test_a_restart_goes_on(tmp_path: Path, trains: Trains) -> None:
    trains(SLEEP)
    with inspecting(tmp_path / "station") as line:
        job = begin(line)
        wait_until(lambda: job_of(line, job).process)
    trains(COPY)
    with inspecting(tmp_path / "station") as line:
        reaches(line, job, "done")


def test_a_failure_says_why(tmp_path: Path, trains: Trains) -> None:
    trains("import sys; print('looking'); sys.exit('flawmap: the images are all black.')")
    with inspecting(tmp_path / "station") as line:
        failed = reaches(line, begin(line), "failed")
        assert failed.message == "It failed: the images are all black."


def test_what_could_not_succeed_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inspecting(tmp_path / "station") as line:
        few = give_images(line.station, 5)
        with pytest.raises(RefusedError, match=r"5 images .* at least 6"):
            jobs.add_job(line.station, None, few, Options())
        monkeypatch.setattr(jobs, "can_train", lambda: False)
        with pytest.raises(RefusedError, match=r"pip install 'flawmap\[train\]'"):
            jobs.add_job(line.station, None, few, Options())


def test_folds_leave_no_images_for_int8(tmp_path: Path) -> None:
    with inspecting(tmp_path / "station", precision="int8") as line:
        product = give_images(line.station, 6)
        with pytest.raises(RefusedError, match=r"int8.*without folds"):
            jobs.add_job(line.station, None, product, Options(folds=5))


def test_the_command_names_groups_and_resumes(tmp_path: Path) -> None:
    options = Options(steps=12, size="128x128")
    command = training.train_command(tmp_path, options, "destseg", use_defects=False)
    assert "--resume" not in command
    assert command[command.index("--steps") + 1] == "12"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    assert "--resume" in training.train_command(tmp_path, options, "destseg", use_defects=False)


def test_a_process_ends_with_its_station(tmp_path: Path, tiny_run: Path) -> None:
    (tmp_path / "in").mkdir()
    command = [sys.executable, "-m", "flawmap.station.improve.child", "predict", str(tiny_run)]
    command += ["--watch", str(tmp_path / "in"), "--json", str(tmp_path / "out.jsonl")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    (tmp_path / "in" / "part.png").write_bytes(part_png(1))
    wait_until(
        lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size
    )
    assert process.poll() is None
    process.stdin.close()  # as when the station is killed
    process.wait(30)
