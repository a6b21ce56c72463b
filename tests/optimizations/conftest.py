"""What the optimisation tests share."""

import pytest

from af3opt.settings.settings import resolve_settings


@pytest.fixture
def settings_of():
    """Makes settings from flags, with an input that is never read."""

    def make(*flags):
        return resolve_settings(["--json_path=input.json", *flags], {})

    return make
