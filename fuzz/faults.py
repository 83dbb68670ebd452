"""Full disks, short writes, interrupted calls, and streams that nobody reads: a result is whole, or there is none and the run says so.

A file that cannot grow stands for a full disk (RLIMIT_FSIZE; a small tmpfs where one may be mounted): the system ends a write
in its middle and refuses the next. Signals that are heeded by nobody interrupt calls (EINTR).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from pathlib import Path

from harness import BRODMANN, digest, main, rng, run, tissue
from kills import commands, fresh, opened


def prepare(base: Path):
    seeds = base / "seeds"
    seeds.mkdir()
    tissue(seeds / "a.h5ad", side=8)
    tissue(seeds / "b.h5mu", side=8, modalities="rna,adt")
    return seeds


def full_disk(folder, r):
    args, output, _ = r.choice(commands(folder))
    ended = run([*args, "--quiet"], limits=[(resource.RLIMIT_FSIZE, r.choice([0, 1, 100, 4096, 20_000, 60_000]))])
    # SIGXFSZ ends a program that does not ignore it; ours is told of the error instead.
    return ended, ended.verdict(), output


def no_descriptors(folder, r):
    """Few open files; with three, the streams alone, the system cannot even load the program."""
    args, output, _ = r.choice(commands(folder))
    ended = run([*args, "--quiet"], limits=[(resource.RLIMIT_NOFILE, r.choice([4, 5, 8, 12]))])
    return ended, ended.verdict(), output


def no_readers(folder, r):
    """Streams that are closed, full, or a pipe whose reader has gone."""
    args, output, _ = r.choice(commands(folder))
    kind = r.choice(["full", "closed pipe"])
    if kind == "full":
        with open("/dev/full", "w") as full:
            ended = run(args, stdout=full, stderr=full)
        good = {0, 1}
    else:
        read, write = os.pipe()
        os.close(read)
        ended = run(args, stdout=write, stderr=write)
        os.close(write)
        good = {0, 1}
    verdict = "ok" if ended.code in good and not ended.timed_out else f"exit {ended.code} with a stream that is {kind}"
    if verdict == "ok" and not output.exists():
        verdict = "no output"
    return ended, verdict, output


def interrupted_calls(folder, r):
    """Signals that mean nothing, again and again."""
    args, output, _ = r.choice(commands(folder))
    child = subprocess.Popen([BRODMANN, *map(str, args), "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stop = threading.Event()

    def bother():
        while not stop.wait(0.001):
            if child.poll() is None:
                child.send_signal(signal.SIGWINCH)
                child.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=bother)
    thread.start()
    stderr = child.communicate(timeout=120)[1].decode(errors="replace")
    stop.set()
    thread.join()
    return None, "ok" if child.returncode == 0 else f"exit {child.returncode}: {stderr[-200:]}", output


def one(campaign, i, folder, seeds):
    r = rng("faults", i)
    fresh(folder, seeds)
    before = {path.name: digest(path) for path in folder.iterdir()}
    ended, verdict, output = r.choice([full_disk, full_disk, no_descriptors, no_readers, interrupted_calls])(folder, r)
    changed = [n for n, was in before.items() if folder / n != output and digest(folder / n) != was]
    if changed:
        verdict = f"{changed} changed"
    elif output.exists() and verdict in {"ok", "refused"} and opened(output) != "ok":
        verdict = opened(output)
    elif ended is not None and ended.code == 0 and not output.exists():
        verdict = "no output"
    left = [p.name for p in folder.iterdir() if "brodmann-part" in p.name]
    campaign.note(i, f"left behind {left}" if left and verdict in {"ok", "refused"} else verdict, ended)


if __name__ == "__main__":
    main("faults", one, prepare)
