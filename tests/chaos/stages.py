"""The stages of scenarios: a platform takes seconds to come up, so the short form has one for many."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Setting, Stage, open_stage


class Stages(contextlib.ExitStack):
    """`shared`: scenarios that ask for nothing special and look at no whole stage play on one."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        self._share = shared
        self._shared: Stage | None = None

    @contextlib.contextmanager
    def of(self, scenario: Scenario) -> Iterator[Stage]:
        if not self._share or scenario.after or scenario.setting != Setting():
            with _own(scenario.setting) as stage:
                yield stage
            return
        self._shared = self._shared or self.enter_context(_own(scenario.setting))
        try:
            yield self._shared
        except BaseException:  # whatever it left there is no place for the next
            self._shared = None
            self.close()
            raise


@contextlib.contextmanager
def _own(setting: Setting) -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="chaos.") as directory,
        open_stage(Path(directory), setting) as stage,
    ):
        yield stage
