"""How a worker process ends; tests/inspection/many/test_local.py runs whole ones."""

from __future__ import annotations

import io

import pytest

from flawmap.inspection.many import process


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), ValueError()])
def test_a_signal_within_compiled_code_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, cause: BaseException
) -> None:
    """Compiled code that calls Python wraps what is raised there; other errors are shown."""

    def work(*_given: object) -> None:
        raise SystemError("a built-in returned a result with an exception set") from cause

    monkeypatch.setattr(process, "_own_output", io.StringIO)
    monkeypatch.setattr(process, "work", work)
    if isinstance(cause, KeyboardInterrupt):
        process.main()
    else:
        with pytest.raises(SystemError):
            process.main()
