#!/usr/bin/env python3
"""BENCHMARKS.md from bench-results/*.json: one section a bench.

    python benches/render.py [--results bench-results] [--out BENCHMARKS.md] [--check]

`--check` writes nothing and fails when the file is not what the results give. Needs Python's standard library.
"""

import argparse
import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# The order of the pipeline; whatever else there is follows by name.
ORDER = [
    "end_to_end", "files", "platforms", "preprocess", "pca", "pca1", "knn", "graphs", "leiden", "metrics", "explain", "links", "forecasts", "spami", "staig", "python", "accuracy",
    "integration", "staig_accuracy", "kernels",
]
HEAD = """# Benchmarks

Every number here was printed by the command above its table; `bash benches/run NAME` sets up the peers in an
environment of their own, runs ours and theirs in turn, each time in a fresh process, and writes `bench-results/NAME.json`, from
which `python benches/render.py` makes this file.

* **Numbers** are medians [least–most] of the repeats. Memory is the peak of the whole process, imports and input included.
* **Ratio** is the peer's seconds by ours, pair by pair: above 1 we are quicker, below 1 we are slower and the row is marked **slower**.
* Of several tools in one bench, our row is repeated beside each peer. **CPU** seconds are those of all threads.
* Files named without a folder in "Each run's command" are temporary ones that the bench makes. Both sides have the same number of
  threads, by `RAYON_NUM_THREADS`, `OMP_NUM_THREADS`, `NUMBA_NUM_THREADS` and the like, unless a table says otherwise.
"""


def number(value):
    """Three significant digits, no more."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    if size >= 0.001:
        return f"{value:.3g}"
    return f"{value:.1e}"


def shown(spread, form=number):
    if not spread:
        return "–"
    text = form(spread["median"])
    if spread["n"] > 1 and form(spread["min"]) != form(spread["max"]):
        text += f" [{form(spread['min'])}–{form(spread['max'])}]"
    return text


def quality(side):
    def fixed(v):
        if abs(v) >= 1000:
            return f"{v:,.0f}"
        return f"{v:.1e}" if 0 < abs(v) < 0.001 else f"{v:.3f}".rstrip("0").rstrip(".")

    return ", ".join(f"{what} {shown(found, fixed)}" for what, found in side["quality"].items()) or "–"


def verdict(row):
    """The ratio, with what to think of it."""
    if not row["ratio"]:
        return "–"
    median = row["ratio"]["median"]
    text = f"{shown(row['ratio'])}×"
    if row["ratio"]["n"] < 3:
        text += f" ({row['ratio']['n']} pair{'s' if row['ratio']['n'] > 1 else ''})"
    return f"**slower** {text}" if median < 1 else text


def table(report):
    """The table's lines."""
    rows = report["rows"]
    with_peer = any(row["peer"] for row in rows)
    with_quality = any(side["quality"] for row in rows for side in (row["ours"], row["peer"]) if side)
    with_memory = any(side["peak_mib"] for row in rows for side in (row["ours"], row["peer"]) if side)
    with_cpu = any(row["ours"].get("cpu_seconds") for row in rows)
    head = ["case", "ours, s"]
    if with_peer:
        head += ["peer", "peer, s", "ratio"]
    if with_cpu:
        head += ["CPU s, ours", "CPU s, peer"] if with_peer else ["CPU, s"]
    if with_quality:
        head.append("quality, ours")
        head += ["quality, peer"] if with_peer else []
    if with_memory:
        head.append("peak MiB, ours")
        head += ["peak MiB, peer (of ours)"] if with_peer else []
    lines = [cells(head), cells(["---"] * len(head))]
    whole = lambda v: f"{v:,.0f}"
    for row in rows:
        ours, peer = row["ours"], row["peer"]
        out = [row["case"].replace("|", "\\|"), shown(ours["seconds"])]
        if with_peer:
            out += [peer["tool"], shown(peer["seconds"]), verdict(row)] if peer else ["–"] * 3
        if with_cpu:
            # Medians alone: the spread stands beside the seconds.
            medians = [number(side["cpu_seconds"]["median"]) if side and side.get("cpu_seconds") else "–" for side in (ours, peer)]
            out += medians if with_peer else medians[:1]
        if with_quality:
            out.append(quality(ours))
            out += [quality(peer) if peer else "–"] if with_peer else []
        if with_memory:
            out.append(shown(ours["peak_mib"], whole))
            more = f" ({number(row['memory_ratio'])}×)" if row["memory_ratio"] and peer["peak_mib"] else ""
            out += [shown(peer["peak_mib"], whole) + more if peer else "–"] if with_peer else []
        lines.append(cells(out))
    return lines


def cells(words):
    return "| " + " | ".join(words) + " |"


def commands(report):
    """The distinct commands of each tool, cases that share one written once."""
    seen = {}
    for row in report["rows"]:
        for side in (row["ours"], row["peer"]):
            if side and side["command"]:
                seen.setdefault((side["tool"], side["command"]), []).append(row["case"])
    return [f"{tool}: {command}" for (tool, command) in seen]


def section(report):
    machine = report["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    threads = f", {report['threads']} threads" if report.get("threads") else ""
    tools = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [f"## {report['title']}", "", report["reading"], ""]
    lines += ["```", report["command"], "```", "", *table(report), ""]
    losses = sum(1 for row in report["rows"] if row["ratio"] and row["ratio"]["median"] < 1)
    compared = sum(1 for row in report["rows"] if row["ratio"])
    if compared:
        lines += [f"Slower than the peer in {losses} of {compared} comparisons." if losses else f"Quicker in all {compared} comparisons.", ""]
    lines += [f"* {note}" for note in report.get("notes", [])]
    lines += [""] if report.get("notes") else []
    lines += [f"{report['date']}, {where}{threads}. {tools}.", ""]
    listed = commands(report)
    if listed:
        lines += ["<details><summary>Each run's command</summary>", "", "```", *listed, "```", "", "</details>", ""]
    return lines


def render(results):
    reports = {report["name"]: report for report in map(json.loads, (p.read_text() for p in sorted(results.glob("*.json"))))}
    for report in reports.values():
        if report.get("schema") != 1:
            sys.exit(f"{report.get('name')}: schema {report.get('schema')} was found, 1 was expected; measure again")
    names = [name for name in ORDER if name in reports] + sorted(set(reports) - set(ORDER))
    lines = [HEAD]
    lines += ["## Contents", ""] if names else ["No results yet."]
    for name in names:
        title = reports[name]["title"]
        anchor = "".join(c for c in title.lower() if c.isalnum() or c in " -_").replace(" ", "-")
        lines.append(f"* [{title}](#{anchor})")
    lines.append("")
    for name in names:
        lines += section(reports[name])
    return "\n".join(lines).rstrip() + "\n"


def main():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--results", type=Path, default=REPOSITORY / "bench-results")
    made.add_argument("--out", type=Path, default=REPOSITORY / "BENCHMARKS.md")
    made.add_argument("--check", action="store_true")
    arguments = made.parse_args()
    text = render(arguments.results)
    if arguments.check:
        if not arguments.out.exists() or arguments.out.read_text() != text:
            sys.exit(f"{arguments.out} is not what {arguments.results} gives; run python benches/render.py")
        return
    arguments.out.write_text(text)
    print(f"{arguments.out}: {text.count(chr(10) + '## ') - 1} benches")


if __name__ == "__main__":
    main()
