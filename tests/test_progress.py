import io
import sys

import pytest

from ecgnb.progress import follow


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_ten_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(follow(range(1000), 1000, "records")) == list(range(1000))
    lines = sys.stderr.getvalue().splitlines()
    assert [line.split(" after")[0] for line in lines] == [
        f"records: {count} of 1000" for count in range(100, 1001, 100)
    ]
    assert [line.endswith(" s left") for line in lines] == [True] * 9 + [False]


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(follow(range(3), 3, "files")) == [0, 1, 2]
    assert "files: 100%" in sys.stderr.getvalue()
    assert "3/3" in sys.stderr.getvalue()


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_silence_can_be_had(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    assert list(follow(range(3), 3, "files", shown=False)) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""
