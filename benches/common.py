"""What every bench shares: fresh processes in alternating pairs, one table, one schema of results.

A bench measures *cases*. A case has a command of ours and any number of peers' commands, each run in a process of its own
so that its peak memory is its own: a child's peak begins at the size of its parent, so drivers import nothing large and
leave files of points and the like to processes of their own (`aside`). Runs alternate (ours, peer, peer, ours, …) and are
repeated at least three times. A command prints one JSON object on its last line:

    {"seconds": 1.2, "cpu_seconds": 2.1, "peak_mib": 300, "quality": {"ARI": 0.9}, "versions": {"scanpy": "1.11.5"}}

or several steps of one process at once:

    {"steps": {"read": {"seconds": 1.2}, "write": {"seconds": 0.7}}, "peak_mib": 300}

A step named `all` is the whole, and memory stands beside it alone; a step with `"apart": true` has no ratio, since the
peer cuts its work elsewhere. Where it gives no peak or processor time, those the system counted for the process are taken, start and imports included.

`bench-results/NAME.json` (schema 1) holds `name title reading date command machine versions threads rows notes`; a row
holds `case n ours peer ratio memory_ratio`, with `ours` and `peer` as `{tool command seconds cpu_seconds peak_mib
quality}`, each number as `{median min max n}`. `ratio` is that of the pairs, seconds of the peer by seconds of ours: above
1 we are quicker. `peer` is null where ours ran alone. `benches/render.py` makes BENCHMARKS.md of all of them.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "bench-results"
SCHEMA = 1
THREAD_VARIABLES = (
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"


def program(name="brodmann"):
    """Our program, or one of the examples that `benches/run` builds."""
    path = target() / (name if name == "brodmann" else f"examples/{name}")
    return path.resolve()


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def parser(doc, name, repeats=3):
    """The flags every bench has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", "--runs", type=int, default=repeats, help="alternating pairs")
    made.add_argument("--threads", type=int, default=cores())
    made.add_argument("--json", type=Path, default=RESULTS / f"{name}.json", help="where the results go")
    made.add_argument("--no-peers", action="store_true", help="ours alone")
    return made


def machine():
    def field(path, name):
        try:
            text = Path(path).read_text()
        except OSError:
            return None
        found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
        return found and found.group(1).strip()

    memory = field("/proc/meminfo", "MemTotal")
    return {
        "cpu": field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "memory_gib": memory and round(int(memory.split()[0]) / 2**20, 1),
        "system": platform.system().lower(),
    }


def our_version():
    text = (REPOSITORY / "Cargo.toml").read_text()
    version = re.search(r'^version = "([^"]+)"', text, re.MULTILINE).group(1)
    revision = subprocess.run(
        ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    return f"{version} ({revision})" if revision else version


def versions(*names):
    """Versions of installed packages."""
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def peak_mib():
    """Peak resident memory of this process, its parent's left out where the system can (Linux)."""
    import resource

    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+)", status.read_text())):
        return int(found.group(1)) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if platform.system() == "Darwin" else most / 1024


def spread(values):
    values = [float(v) for v in values if v is not None and v == v]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def run(command, threads, ours=False):
    """One fresh process: its last line as JSON, with peak memory and processor time where it gives none."""
    environment = dict(os.environ, **{name: str(threads) for name in THREAD_VARIABLES})
    environment.setdefault("PYTHONWARNINGS", "ignore")
    words = [str(word) for word in command]
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    # Peers write much to stderr; both pipes must be read or the process stalls.
    out, err = process.communicate() if not hasattr(os, "wait4") else _communicate(process)
    wall = time.perf_counter() - started
    usage = getattr(process, "usage", None)
    if process.returncode != 0:
        raise RuntimeError(f"{shown(words)} ended with {process.returncode}\n{err.strip()[-2000:]}")
    lines = [line for line in out.splitlines() if line.strip()]
    report = json.loads(lines[-1]) if lines and lines[-1].lstrip().startswith("{") else {}
    report.setdefault("stdout", out)
    report.setdefault("process_seconds", wall)
    if usage is not None:
        peak = usage.ru_maxrss / (2**20 if platform.system() == "Darwin" else 1024)
        if "peak_rss_bytes" in report:
            peak = report["peak_rss_bytes"] / 2**20
        # Up to the size of this process it is inherited, not the child's own.
        report.setdefault("peak_mib", peak if peak > 1.02 * peak_mib() else None)
        report.setdefault("process_cpu_seconds", usage.ru_utime + usage.ru_stime)
    return report


def reason(failed):
    """The last line of a failure, without places of this machine."""
    return re.sub(r"/\S*/", "", str(failed).splitlines()[-1])[:300]


def brodmann(*words, binary=None):
    """The report of one of our commands, with the command and its wall time; `{}` for one that prints none."""
    # A bench writes over what it wrote for the seed before.
    again = ["--force"] if "--out" in words else []
    words = [str(binary or program()), *map(str, words), *again, "--json", "--quiet"]
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shown(words)} ended with {done.returncode}\n{done.stderr.strip()}")
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    return {**report, "command": words, "wall": time.perf_counter() - started}


def judged(report):
    """Of a report what a row shows: seconds of all stages, ARI and NMI with the truth, memory."""
    return {
        "seconds": sum(report["seconds"].values()),
        "quality": {name.upper(): report["metrics"][name] for name in ("ari", "nmi")},
        "peak_mib": (report.get("peak_rss_bytes") or 0) / 2**20,
    }


def aside(file, *words):
    """What would make this process large, done by `file` in one of its own; its last line as JSON where it prints one."""
    words = [str(word) for word in words]
    environment = {"PYTHONWARNINGS": "ignore", **os.environ}
    done = subprocess.run([sys.executable, str(file), *words], stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{Path(file).parent.name} {shlex.join(words)} ended with {done.returncode}; what it said stands above")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    return json.loads(lines[-1]) if lines else None


def in_turn(names, turn):
    """The order of one round: there and back again, so that neighbours in time make the pairs."""
    return list(names) if turn % 2 == 0 else list(names)[::-1]


def _communicate(process):
    """`communicate` that keeps what the system counted for this one process."""
    import threading

    parts = {}

    def drain(name):
        parts[name] = getattr(process, name).read()

    readers = [threading.Thread(target=drain, args=(name,)) for name in ("stdout", "stderr")]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    _, status, process.usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return parts["stdout"], parts["stderr"]


def shown(command):
    """A command as a reader would type it: paths inside the repository shortened, Python's as `python`."""
    words = []
    for word in map(str, command):
        if word == sys.executable:
            word = "python"
        path = Path(word)
        if path.is_absolute():
            if path.is_relative_to(target().resolve()):
                word = str(Path("target/release") / path.relative_to(target().resolve()))
            elif path.is_relative_to(REPOSITORY):
                word = str(path.relative_to(REPOSITORY))
            else:
                # Temporary folders differ from run to run.
                word = path.name
        words.append(word)
    return shlex.join(words)


class Bench:
    """One named comparison: rows are added case by case, then printed and written."""

    def __init__(self, name, title, reading, arguments):
        self.name, self.title, self.reading, self.arguments = name, title, reading, arguments
        self.rows, self.notes = [], []
        self.versions = {"brodmann": our_version()}

    def note(self, text):
        self.notes.append(text)
        print(f"note: {text}", flush=True)

    def compare(
        self, case, n, ours, peers=None, threads=None, repeats=None, peer_repeats=None, finish=None, ours_name="brodmann"
    ):
        """Runs ours and the peers in turn; the peers at most `peer_repeats` times, where they take minutes (a number for
        all, or one per tool).

        `ours`: a command; `peers`: `{tool: command}`. `finish(report, tool)` may change a report (quality that is judged
        afterwards, steps under other names). A peer that fails is noted and left out; ours may not fail. Returns the
        reports per tool. With `steps` in the reports a row is made for each step of ours: `case: step`.
        """
        peers = {} if self.arguments.no_peers else dict(peers or {})
        commands = {ours_name: ours, **peers}
        reports = self.gather(case, commands, [ours_name], threads, repeats, peer_repeats, finish)
        self.add(case, n, commands, reports, ours_name)
        return reports

    def gather(self, case, commands, ours, threads=None, repeats=None, peer_repeats=None, finish=None):
        """The reports of several commands run in turn, per tool; the tools in `ours` may not fail. Makes no rows."""
        threads = threads or self.arguments.threads
        repeats = repeats or self.arguments.repeats
        commands = dict(commands)
        reports = {tool: [] for tool in commands}
        most = lambda tool: peer_repeats.get(tool) if isinstance(peer_repeats, dict) else peer_repeats
        for turn in range(repeats):
            for tool in in_turn(commands, turn):
                if tool not in ours and most(tool) is not None and turn >= most(tool):
                    continue
                command = commands[tool]
                try:
                    # A function of the turn where each has a seed of its own.
                    report = run(command(turn) if callable(command) else command, threads)
                except RuntimeError as failed:
                    if tool in ours:
                        raise
                    self.note(f"{tool} on {case}: left out. {reason(failed)}")
                    commands.pop(tool)
                    reports.pop(tool)
                    continue
                self.versions.update(report.get("versions", {}))
                reports[tool].append((finish and finish(report, tool)) or report)
        return reports

    def add(self, case, n, commands, reports, ours_name="brodmann"):
        """Rows from reports that were gathered already."""
        mine = reports[ours_name]
        # Steps of peers that ours does not have would stand without a number beside them: they are left out.
        steps = list(mine[0]["steps"]) if "steps" in mine[0] else [None]
        for step in steps:
            label = case if step is None else f"{case}: {step}"
            first = side(ours_name, commands[ours_name], mine, step)
            others = [t for t in reports if t != ours_name and reports[t] and has(reports[t], step)]
            for tool in others or [None]:
                row = {"case": label, "n": n, "ours": first, "peer": None, "ratio": None, "memory_ratio": None}
                if tool:
                    other = side(tool, commands[tool], reports[tool], step)
                    row["peer"] = other
                    if not (step and mine[0]["steps"][step].get("apart")):
                        both = zip(numbers(mine, step, "seconds"), numbers(reports[tool], step, "seconds"))
                        row["ratio"] = spread([b / a for a, b in both if a])
                    if first["peak_mib"] and other["peak_mib"]:
                        row["memory_ratio"] = other["peak_mib"]["median"] / first["peak_mib"]["median"]
                self.rows.append(row)
                print(line(row), flush=True)

    def write(self):
        """Prints the whole table and writes the results."""
        report = {
            "schema": SCHEMA,
            "name": self.name,
            "title": self.title,
            "reading": self.reading,
            "date": datetime.date.today().isoformat(),
            "command": typed(self.name, sys.argv[1:]),
            "machine": machine(),
            "versions": self.versions,
            "threads": self.arguments.threads,
            "rows": self.rows,
            "notes": self.notes,
        }
        path = self.arguments.json
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        from render import table

        print("\n" + "\n".join(table(report)) + f"\n\nwritten to {path}")


def typed(name, words):
    """The command as a reader would repeat it: without where its results went, and without folders of this machine."""
    kept, skip = [], False
    for word in words:
        if skip or word == "--json":
            skip = not skip
        elif word.startswith("--json=") or word == f"--{name}":
            continue
        elif Path(word).is_absolute() or word.startswith(".."):
            kept.append("DATA" if Path(word).is_dir() else shown([word]))
        else:
            kept.append(word)
    return " ".join(["bash benches/run", name, *(word if word == "DATA" else shlex.quote(word) for word in kept)])


def has(reports, step):
    return step is None or step in reports[0].get("steps", {})


def numbers(reports, step, what):
    for report in reports:
        part = report if step is None else report.get("steps", {}).get(step, {})
        yield part.get(what)


def side(tool, command, reports, step):
    """One tool's part of a row."""
    values = lambda what: spread(numbers(reports, step, what))
    quality = {}
    for report in reports:
        part = report if step is None else report.get("steps", {}).get(step, {})
        for what, value in part.get("quality", {}).items():
            quality.setdefault(what, []).append(value)
    return {
        "tool": tool,
        "command": shown(command),
        "seconds": values("seconds"),
        "cpu_seconds": values("cpu_seconds"),
        # Memory belongs to the process: it stands beside the whole where there is one.
        "peak_mib": None if step not in (None, "all") and "all" in reports[0]["steps"] else spread(r.get("peak_mib") for r in reports),
        "quality": {what: found for what, v in quality.items() if (found := spread(v))},
    }


def line(row):
    """One row as it is measured."""
    seconds = lambda s: "–" if not s or not s["seconds"] else f"{s['seconds']['median']:.3f} s"
    text = f"{row['case']}: brodmann {seconds(row['ours'])}"
    if row["peer"]:
        text += f", {row['peer']['tool']} {seconds(row['peer'])}"
        if row["ratio"]:
            text += f", ×{row['ratio']['median']:.2f}"
    return text


class Clock:
    """For peers' scripts: wall and processor seconds of what runs inside `with`."""

    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds, self.cpu_seconds = time.perf_counter() - self.wall, time.process_time() - self.cpu

    def report(self, **more):
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, **more}


def say(report):
    """The last line of a peer's script."""
    print(json.dumps(report), flush=True)


def simulate(path, side, genes=2000, density=0.05, seed=42, threads=2):
    """A simulated tissue of side² spots, made once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        words = ["simulate", "--out", path, "--side", side, "--genes", genes, "--density", density, "--seed", seed]
        run([program(), *words, "--json", "--quiet"], threads)
    return path


def tissues():
    """Where simulated tissues are kept between benches."""
    return REPOSITORY / "target" / "bench-data"
