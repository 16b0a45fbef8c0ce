"""A producer at 250 Hz over a socket, and a terminal that draws three of the twelve leads.

Run `python benchmarks/loopback.py [SECONDS]`. One lead of a simulated person comes through a
local socket in pieces of 10 samples; V1, V5 and the given II are drawn as they come back, a
column of text each 20 ms.
"""

import socket
import sys
import threading
import time

import numpy as np

from ecgnb.leads import lead_index
from ecgnb.reconstruction.personal import fit_personal
from ecgnb.reconstruction.streaming import fit_for_stream, stream
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

RATE_HZ, PIECE, SHOWN, WIDTH, BARS = 250.0, 10, ("II", "V1", "V5"), 70, " .:-=+*#%@"


def produce(port: int, signal: np.ndarray) -> None:
    """Send samples in mV as float32, as fast as a recorder would."""
    with socket.create_connection(("127.0.0.1", port)) as out:
        started = time.monotonic()
        for start in range(0, signal.size, PIECE):
            out.sendall(signal[start : start + PIECE].astype("<f4").tobytes())
            time.sleep(max(started + (start + PIECE) / RATE_HZ - time.monotonic(), 0))


def draw(leads: np.ndarray) -> str:
    """Return one line: the last piece of each shown lead as characters of rising ink."""
    texts = []
    for name in SHOWN:
        row = leads[lead_index(name), ::5]
        level = np.clip((row + 0.5) / 2.0 * (len(BARS) - 1), 0, len(BARS) - 1)
        texts.append(f"{name:>3} " + "".join(BARS[int(each)] for each in level))
    return "   ".join(texts)


def main(seconds: str = "10") -> None:
    """Calibrate on 40 s, then follow the stream."""
    options = SimulationOptions(duration_s=40.0 + float(seconds), sampling_rate=RATE_HZ)
    first, rest = simulate_record(options, seed=1).record.split(share=40.0 / options.duration_s)
    model = fit_for_stream(first, fit_personal(first, "II", method="neighbours"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=produce, args=(port, rest.lead("II")), daemon=True).start()
        coming, (source, _) = stream(model), server.accept()
        with source.makefile("rb") as file:
            while content := file.read(4 * PIECE):
                made = coming.push(np.frombuffer(content, "<f4"))
                if made.size:
                    print(draw(made), flush=True)
    print(draw(coming.finish()))
    print(f"each sample came back at most {coming.delay_s:.3f} s after it was recorded")


if __name__ == "__main__":
    main(*sys.argv[1:])
