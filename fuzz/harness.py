"""What every campaign needs: runs of the command with their verdicts, and a count of them.

A run is well when it ends by itself in time, without a panic, an abort or an error without words, holds less than a
gigabyte, and leaves its input as it was. Everything here is random by number (``random.Random(f"{campaign}-{i}")``), so a
finding is repeated by its number alone.
"""

from __future__ import annotations

import collections
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

#: The command under test.
BRODMANN = os.environ.get("BRODMANN", "brodmann")
#: Seconds after which a run on a small file hangs.
HANGS_AFTER = 60.0
#: Bytes that no small file is worth.
MOST_MEMORY = 1 << 30


@dataclass
class Run:
    """One run and how it ended."""

    args: list[str]
    code: int
    stdout: str
    stderr: str
    peak: int
    seconds: float
    timed_out: bool

    def verdict(self) -> str:
        """``ok``, ``refused``, or what is wrong."""
        if self.timed_out:
            return "hang"
        if "panicked at" in self.stderr or self.code == 101:
            return "panic"
        if self.code < 0 or self.code in {134, 136, 139}:
            return "abort"
        if self.peak > MOST_MEMORY:
            return "memory"
        if self.code == 0:
            return "ok"
        if "error:" not in self.stderr:
            return "wordless"
        if "report this as a bug" in self.stderr:
            return "own fault"
        return "refused"


def run(args, *, cwd=None, timeout=HANGS_AFTER, limits=(), env=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, kill_after=None,
        kill_with=signal.SIGKILL) -> Run:
    """Runs the command; ``kill_after``: seconds after which it is sent ``kill_with``."""

    def prepare():
        for what, value in limits:
            resource.setrlimit(what, (value, value))

    start = time.monotonic()
    child = subprocess.Popen(
        [BRODMANN, *map(str, args)], cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        preexec_fn=prepare if limits else None, env=None if env is None else {**os.environ, **env},
    )  # fmt: skip
    timed_out = threading.Event()

    # `child.kill` and its like look first whether the child has ended, and with that take its status away from the
    # `wait4` below. The process keeps its number until that call, and no signal is sent after it.
    def stop():
        timed_out.set()
        os.kill(child.pid, signal.SIGKILL)

    clock = threading.Timer(timeout, stop)
    clock.start()
    killer = None
    if kill_after is not None:
        killer = threading.Timer(kill_after, os.kill, (child.pid, kill_with))
        killer.start()
    texts = {}

    def drain(name, stream):
        texts[name] = stream.read().decode(errors="replace")

    readers = [
        threading.Thread(target=drain, args=(name, stream))
        for name, stream in (("stdout", child.stdout), ("stderr", child.stderr))
        if stream is not None
    ]
    for reader in readers:
        reader.start()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    for timer in (clock, killer):
        if timer is not None:
            timer.cancel()
            timer.join()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join()
    return Run(
        list(map(str, args)), child.returncode, texts.get("stdout", ""), texts.get("stderr", ""),
        usage.ru_maxrss * 1024, time.monotonic() - start, timed_out.is_set(),
    )  # fmt: skip


def digest(path: Path) -> str:
    """Hash of a file, or of a folder with the names in it."""
    state = hashlib.sha256()
    paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for one in paths:
        state.update(str(one.relative_to(path)).encode())
        state.update(one.read_bytes())
    return state.hexdigest()


@dataclass
class Campaign:
    """Counts of one campaign, and what it found."""

    name: str
    counts: collections.Counter = field(default_factory=collections.Counter)
    findings: list[str] = field(default_factory=list)
    peak: int = 0
    slowest: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def note(self, i, verdict: str, run: Run | None = None, good=("ok", "refused", "killed", "busy")) -> None:
        self.counts[verdict] += 1
        if run is not None:
            self.peak = max(self.peak, run.peak)
            self.slowest = max(self.slowest, run.seconds)
        if verdict not in good:
            said = "" if run is None else f": {' '.join(run.args)}: {run.stderr.strip()[-300:]!r}"
            self.findings.append(f"{self.name} {i}: {verdict}{said}")

    def report(self) -> dict:
        return {
            "campaign": self.name,
            "runs": sum(self.counts.values()),
            "counts": dict(sorted(self.counts.items())),
            "findings": self.findings,
            "peak_mb": round(self.peak / 1e6),
            "slowest_s": round(self.slowest, 1),
            "seconds": round(time.monotonic() - self.started),
        }


def rng(campaign: str, i: int) -> random.Random:
    return random.Random(f"{campaign}-{i}")


def deadline(argv=None):
    """``(n, until)`` of the command line: how many runs at most, and when to stop."""
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args(argv)
    return given.first, given.n, time.monotonic() + 60 * given.minutes


def main(name: str, one, prepare=None) -> None:
    """Runs ``one(campaign, i, folder, prepared)`` for number after number and prints the counts as JSON."""
    first, n, until = deadline()
    campaign = Campaign(name)
    with tempfile.TemporaryDirectory(prefix="brodmann-fuzz-") as base:
        base = Path(base)
        prepared = prepare(base) if prepare else None
        for i in range(first, first + n):
            if time.monotonic() > until:
                break
            folder = base / f"run-{i}"
            folder.mkdir()
            one(campaign, i, folder, prepared)
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(campaign.report()))
    sys.exit(1 if campaign.findings else 0)


def tissue(path: Path, side: int = 8, modalities: str = "rna", seed: int = 1, more=()) -> Path:
    """A simulated tissue."""
    made = run(["simulate", "--side", side, "--n-genes", 60, "--modalities", modalities, "--seed", seed, "--quiet", "--out", path, *more])
    assert made.code == 0, made.stderr
    return path
