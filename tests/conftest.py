"""What all tests share: the real recordings, and an environment that is nobody's own."""

import os
from pathlib import Path

import pytest

from ecgnb.records.databases import find_records

SETTINGS = ("ECGNB_DATA", "ECGNB_REPOSITORY", "ECGNB_DEVICE", "PROFILE", "DATA")
# Read before any fixture takes the settings away; a folder that is not there holds no records.
DATA = Path(
    os.environ.get("ECGNB_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def real_data(*databases):
    """Return the folder of the real recordings; without these databases the test is skipped."""
    absent = [name for name in databases if not find_records(DATA, name)]
    if absent or not DATA.is_dir():
        pytest.skip(f"no real {', '.join(absent)}: set ECGNB_DATA to a folder that holds it")
    return DATA


@pytest.fixture(scope="session", autouse=True)
def _nobodys_environment():
    """Take the settings of the user out of the environment: tests must not feel them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        yield
