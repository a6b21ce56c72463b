"""What a run says when it has ended."""

import logging

from af3opt.base.errors import ExitCode
from af3opt.execution import launch
from af3opt.execution.outcomes import Outcome, Status
from af3opt.settings.settings import resolve_settings


def test_the_end_names_the_reasons_and_the_next_step(tmp_path, caplog):
    (tmp_path / "out").mkdir()
    settings = resolve_settings(
        ["--json_path=a.json", f"--output_dir={tmp_path / 'out'}", "--norun_inference"], {}
    )
    done = Outcome(name="a", path=tmp_path / "a.json", status=Status.DONE)
    failed = Outcome(name="b", path=tmp_path / "b.json", status=Status.FAILED, reason="is empty")
    caplog.set_level(logging.INFO, "af3opt")
    assert launch.finish(settings, [done, failed]) == ExitCode.SOME_FAILED
    *_, reasons, following = caplog.messages
    assert reasons == f"The reasons are in {tmp_path / 'out' / 'failed.json'}"
    assert following == "To run the model, type the same command without --norun_inference."
