"""What a cold `biobot preview -n 1` takes, and how much of it is not torch's import. `python tests/bench/start.py`.

Each figure is the median of several processes in turn: the command, and a plain `import torch`. Processor time,
which a busy machine stretches less than the clock's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile

ROUNDS = 5
PREVIEW = """
import sys, time
from biobot.cli import main
from biobot.model import runtime

def load(*given, real=runtime.load):
    start = time.process_time(), time.perf_counter()
    real(*given)
    took[:] = time.process_time() - start[0], time.perf_counter() - start[1]

took, runtime.load = [], load
begin = time.perf_counter()
try:
    main(["--home", sys.argv[1], "preview", "-n", "1", "--seed", "1"])
finally:
    print(*took, time.process_time(), time.perf_counter() - begin, file=sys.stderr)
"""
TORCH = "import sys, time, torch; print(time.process_time(), file=sys.stderr)"


def figures(script: str, folder: str) -> list[float]:
    """Run a script in a process of its own, and read the figures on the last line that it says."""
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    return [float(each) for each in done.stderr.splitlines()[-1].split()]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        figures(PREVIEW, folder)  # from here on, what Python compiles and the disk reads is in their caches
        rounds = [(*figures(PREVIEW, folder), *figures(TORCH, folder)) for _ in range(ROUNDS)]
    torch, torch_clock, whole, whole_clock, plain = map(statistics.median, zip(*rounds, strict=True))
    print(f"preview -n 1, cold        {whole:.2f} s of processor time, {whole_clock:.2f} s by the clock")
    print(f"  of it importing torch   {torch:.2f} s, {torch_clock:.2f} s by the clock")
    print(f"  our own                 {whole - torch:.2f} s")
    print(f"a plain `import torch`    {plain:.2f} s")


if __name__ == "__main__":
    main()
