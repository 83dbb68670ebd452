"""A whole study as a file: ``brodmann run``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import anndata
import pytest

STUDY = """
[study]
out = "results"
seed = 7

[inputs]
tissue = "tissue.h5ad"

[[step]]
command = "domains"
input = "tissue"
n-clusters = 4

[[step]]
command = "evaluate"
input = "domains"
pred = "domains"
json = "evaluation.json"

[[step]]
name = "other"
command = "mixture"
input = "tissue"
n_clusters = 4

[[step]]
command = "plot"
input = "domains"
color = ["domains", "domains_entropy"]
out = "plots/domains.png"
"""
STEPS = ["domains", "evaluate", "other", "plot"]
DOCS = Path(__file__).parents[2] / "docs" / "pipeline.md"


def brodmann(*args, cwd):
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    return [Path(binary).absolute(), *args], {"cwd": cwd, "text": True}


def run(folder, *args, code=0):
    command, options = brodmann(*args, cwd=folder)
    done = subprocess.run(command, capture_output=True, check=False, **options)
    assert done.returncode == code, done.stderr
    assert "panicked" not in done.stderr
    return done


def report(folder, *args, code=0):
    return json.loads(run(folder, "run", "pipeline.toml", "--json", *args, code=code).stdout)


def ran(folder, *args):
    """Names of the steps that ran."""
    return [s["name"] for s in report(folder, *args)["steps"] if s["status"] == "run"]


@pytest.fixture
def study(tmp_path):
    run(tmp_path, "simulate", "--out", "tissue.h5ad", "--side", "12", "--n-genes", "150", "--quiet")
    (tmp_path / "pipeline.toml").write_text(STUDY)
    return tmp_path


def change(folder, old, new):
    path = folder / "pipeline.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_whole_study_and_nothing_the_second_time(study):
    first = report(study)
    assert [(s["name"], s["status"]) for s in first["steps"]] == [(name, "run") for name in STEPS]
    written = anndata.read_h5ad(study / "results/domains.h5ad")
    assert written.obs["domains"].nunique() == 4 and written.uns["domains"]["params"]["random_state"] == 7
    assert (study / "results/plots/domains.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((study / "results/evaluation.json").read_text())
    assert metrics["metrics"]["ari"] == first["steps"][1]["report"]["metrics"]["ari"]
    for step in first["steps"]:
        assert step["seconds"] > 0 and step["why"] and step["outputs"]
        assert step["peak_rss_bytes"] is None or step["peak_rss_bytes"] > 1e6
    assert first["steps"][0]["warnings"]

    before = {p: p.stat().st_mtime_ns for p in (study / "results").rglob("*") if p.is_file()}
    second = report(study)
    assert {s["status"] for s in second["steps"]} == {"finished earlier"}
    assert [s["report"] for s in second["steps"]] == [s["report"] for s in first["steps"]]
    assert before == {p: p.stat().st_mtime_ns for p in (study / "results").rglob("*") if p.is_file()}
    # A file that was touched is the same; so is a study that moved.
    os.utime(study / "tissue.h5ad")
    assert ran(study) == []
    study.rename(study.with_name("moved"))
    assert ran(study.with_name("moved")) == []


def test_the_progress_and_the_summary_are_for_people(study):
    done = run(study, "run", "pipeline.toml", "--log", "run.log")
    assert "step 2 of 4: evaluate (it has not run yet)" in done.stderr
    assert "evaluate:   ARI" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["step", "status", "seconds", "memory", "warnings", "outputs"]
    assert [line.split()[0] for line in lines[1:5]] == STEPS
    assert "step 2 of 4: evaluate" in (study / "run.log").read_text()


@pytest.mark.parametrize("name", STEPS)
def test_the_result_of_a_step_is_that_of_its_command_line(study, name):
    step = {s["name"]: s for s in report(study)["steps"]}[name]
    output = study / step["outputs"][0]
    content = output.read_bytes()
    words = step["command_line"].split()
    assert words[0] == "brodmann"
    done = run(study, *words[1:], "--json", *([] if name == "evaluate" else ["--force"]))
    if name == "evaluate":
        assert json.loads(done.stdout)["metrics"] == step["report"]["metrics"]
    elif name == "plot":
        assert output.read_bytes() == content
    else:
        fresh = json.loads(done.stdout)
        assert fresh["sizes"] == step["report"]["sizes"] and fresh["quality"] == step["report"]["quality"]


def test_a_dry_run_can_be_pasted_into_a_shell(study):
    done = run(study, "run", "pipeline.toml", "--dry-run")
    assert not (study / "results").exists()
    assert "# step 1 of 4: domains: it has not run yet" in done.stdout
    assert "forecast: " in done.stdout and "not known before their inputs are there: evaluate, plot" in done.stdout
    binary = Path(os.environ["BRODMANN"]).absolute()
    script = done.stdout.replace("\nbrodmann ", f"\n{binary} ")
    subprocess.run(["sh", "-e"], input=script, cwd=study, text=True, check=True, capture_output=True)
    assert (study / "results/plots/domains.png").exists()
    # Of those files the study knows nothing.
    refused = run(study, "run", "pipeline.toml", code=2).stderr
    assert "domains.h5ad exists already" in refused and "brodmann run --force domains" in refused
    report(study, "--restart")
    done = run(study, "run", "pipeline.toml", "--dry-run", "--set", "other.n-clusters=3")
    plain = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len(plain) == 1 and plain[0].startswith("brodmann mixture tissue.h5ad --n-clusters 3")
    assert "# step 3 of 4: other: n-clusters was 4 and is 3" in done.stdout


def test_what_differs_runs_again_with_what_stands_on_it_and_says_why(study):
    assert ran(study) == STEPS
    change(study, "n-clusters = 4", "n-clusters = 3")
    again = report(study)
    assert [s["name"] for s in again["steps"] if s["status"] == "run"] == ["domains", "evaluate", "plot"]
    why = {s["name"]: s["why"] for s in again["steps"]}
    assert why["domains"] == ["n-clusters was 4 and is 3"]
    assert why["plot"] == ["results/domains.h5ad has changed"]
    # One for this run alone, which is what is finished then.
    assert ran(study, "--set", "plot.dpi=100") == ["plot"]
    assert ran(study) == ["plot"]
    assert ran(study, "--seed", "8") == STEPS
    assert ran(study, "--set", "study.seed=8") == []
    # What decides no result makes nothing run.
    assert ran(study, "--seed", "8", "--threads", "1") == []


def test_changed_inputs_and_outputs_are_seen_by_their_content(study):
    report(study)
    outputs = {name: study / "results" / name for name in ("domains.h5ad", "other.h5ad", "plots/domains.png")}
    outputs["plots/domains.png"].unlink()
    again = report(study)
    assert [s["name"] for s in again["steps"] if s["status"] == "run"] == ["plot"]
    assert again["steps"][3]["why"] == ["results/plots/domains.png is not there"]

    content = bytearray(outputs["other.h5ad"].read_bytes())
    times = outputs["other.h5ad"].stat()
    content[-1] ^= 1
    outputs["other.h5ad"].write_bytes(content)
    os.utime(outputs["other.h5ad"], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ran(study) == ["other"]

    outputs["domains.h5ad"].unlink()
    assert "domains" in ran(study)

    run(study, "simulate", "--out", "tissue.h5ad", "--side", "12", "--n-genes", "150", "--seed", "1", "--quiet", "--force")
    again = report(study)
    assert [s["name"] for s in again["steps"] if s["status"] == "run"] == STEPS
    assert again["steps"][0]["why"] == ["tissue.h5ad has changed"]


def test_steps_can_be_forced(study):
    report(study)
    forced = ran(study, "--force", "domains")
    assert forced[0] == "domains" and "other" not in forced
    assert ran(study, "--restart") == STEPS
    assert "did you mean domains" in run(study, "run", "pipeline.toml", "--force", "domain", code=2).stderr
    assert "names no step" in run(study, "run", "pipeline.toml", "--force", code=2).stderr


def test_a_step_that_asks_to_replace_its_output_replaces_its_own_alone(study):
    text = '[[step]]\ncommand = "convert"\ninput = "tissue.h5ad"\nout = "copy.h5ad"\n'
    (study / "pipeline.toml").write_text(text)
    (study / "results").mkdir()
    (study / "results/copy.h5ad").write_text("of somebody else")
    refused = run(study, "run", "pipeline.toml", code=2).stderr
    assert "step 1 of 1: convert: the output results/copy.h5ad exists already" in refused
    (study / "results/copy.h5ad").unlink()
    assert ran(study) == ["convert"]
    assert ran(study, "--restart") == ["convert"]


def test_mistakes_are_told_at_once_with_lines_and_near_names(study):
    change(study, "n-clusters = 4", "n-cluster = 4")
    change(study, 'command = "mixture"', 'command = "mixtur"')
    change(study, 'pred = "domains"', 'pred = "domains"\nuse-rep = ["a", "b"]')
    change(study, 'tissue = "tissue.h5ad"', 'tissue = "tissu.h5ad"')
    done = run(study, "run", "pipeline.toml", code=2)
    assert done.stdout == "" and not (study / "results").exists()
    assert done.stderr.startswith("error: pipeline.toml has 4 mistakes; expected none\n")
    assert "\n\nhint: mend the file; no step was run\n" in done.stderr
    lines = (study / "pipeline.toml").read_text().splitlines()
    for text, near in [
        ("n-cluster = 4", "did you mean n-clusters?"),
        ('command = "mixtur"', "did you mean mixture?"),
        ("use-rep = ", "2 values are given; expected one"),
        ('tissue = "tissu', "tissu.h5ad does not exist"),
    ]:
        number = 1 + next(i for i, line in enumerate(lines) if line.startswith(text))
        told = next(line for line in done.stderr.splitlines() if line.startswith(f"  line {number}: "))
        assert near in told


def test_a_failing_step_stops_the_study_and_the_rest_goes_on_later(study):
    change(study, 'pred = "domains"', 'pred = "domain"')
    done = run(study, "run", "pipeline.toml", code=2)
    assert done.stderr.rstrip().splitlines()[-3].startswith("error: step 2 of 4: evaluate: ")
    assert "the same command goes on there" in done.stderr
    change(study, 'pred = "domain"', 'pred = "domains"')
    assert ran(study) == STEPS[1:]


def test_warnings_are_an_error_where_the_study_is_strict(study):
    assert "--strict" in run(study, "run", "pipeline.toml", "--strict", code=3).stderr
    assert (study / "results/plots/domains.png").exists()
    change(study, "seed = 7", "seed = 7\nstrict = true")
    strict = report(study, code=3)
    assert {s["status"] for s in strict["steps"]} == {"finished earlier"} and strict["warnings"]


def start(folder, *args):
    command, options = brodmann("run", "pipeline.toml", *args, cwd=folder)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for(process, happened):
    end = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


NETWORK = """
[[step]]
command = "spami"
input = "domains"
n-clusters = 4
epochs = 400
checkpoint = "saved"
checkpoint-every = 4
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_was_stopped_goes_on_where_it_was(study, number):
    text = STUDY + NETWORK
    (study / "pipeline.toml").write_text(text)
    whole = study / "whole"
    whole.mkdir()
    (whole / "pipeline.toml").write_text(text.replace("tissue.h5ad", "../tissue.h5ad"))
    assert ran(whole) == [*STEPS, "spami"]

    process = start(study)
    wait_for(process, lambda: any((study / "results/saved").glob("[!.]*.safetensors")))
    time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate()
    if number == signal.SIGINT:
        assert process.returncode == 130 and "error: interrupted\n\nhint: in step 5 of 5: spami" in err
        assert not [p for p in study.rglob("*") if p.name.endswith(("brodmann-part", "brodmann-lock"))]
    assert out == "" and not (study / "results/spami.h5ad").exists()

    done = run(study, "run", "pipeline.toml", "--json")
    steps = json.loads(done.stdout)["steps"]
    assert [s["name"] for s in steps if s["status"] == "run"] == ["spami"]
    assert steps[4]["why"] == ["it did not come to its end"]
    assert re.search(r"going on after epoch \d+", done.stderr)
    one, other = (anndata.read_h5ad(f / "results/spami.h5ad") for f in (study, whole))
    assert (one.obsm["X_spami"] == other.obsm["X_spami"]).all()
    assert ran(study) == []


def test_a_study_runs_once_at_a_time(study):
    (study / "pipeline.toml").write_text(STUDY + NETWORK)
    process = start(study)
    wait_for(process, lambda: any((study / "results/saved").glob("*.safetensors")))
    second = run(study, "run", "pipeline.toml", code=2)
    assert "is being written by process" in second.stderr
    process.kill()
    process.communicate()


def test_one_step_for_each_of_several(study):
    run(study, "simulate", "--out", "right.h5ad", "--side", "10", "--n-genes", "150", "--seed", "2", "--quiet")
    text = """
        [inputs]
        left = "tissue.h5ad"
        right = "right.h5ad"
        [[step]]
        command = "domains"
        for = ["left", "right"]
        n-clusters = 4
        [[step]]
        name = "map"
        command = "plot"
        for = ["left", "right"]
        input = "domains-{}"
        color = "domains"
        [[step]]
        command = "mixture"
        input = ["left", "right"]
        n-clusters = 4
    """
    (study / "pipeline.toml").write_text(text)
    assert ran(study) == ["domains-left", "domains-right", "map-left", "map-right", "mixture"]
    run(study, "simulate", "--out", "right.h5ad", "--side", "10", "--n-genes", "150", "--seed", "3", "--quiet", "--force")
    assert ran(study) == ["domains-right", "map-right", "mixture"]


@pytest.mark.parametrize(
    ("name", "more", "steps"),
    [
        ("tissue.h5ad", [], ["qc", "domains", "evaluate", "plot", "markers", "report"]),
        ("slices.h5ad", ["--slices", "2"], ["qc", "domains", "evaluate", "plot", "markers", "report"]),
        ("multi.h5mu", ["--n-peaks", "150", "--n-proteins", "30"], ["qc", "domains", "spami", "evaluate", "plot", "markers", "report"]),
    ],
)
def test_a_study_written_for_a_file_runs_as_it_is(tmp_path, name, more, steps):
    run(tmp_path, "simulate", "--out", name, "--side", "10", "--n-genes", "150", "--quiet", *more)
    (tmp_path / "sub").mkdir()
    written = json.loads(run(tmp_path, "run", "--init", name, "--json").stdout)
    assert written["steps"] == steps and written["out"] == "pipeline.toml"
    text = (tmp_path / "pipeline.toml").read_text()
    assert ("library-key" in text) == ("slices" in name) and 'truth = "ground_truth"' in text
    if "spami" in steps:
        text = text.replace("# epochs = 300 ", "epochs = 20 ")
        (tmp_path / "pipeline.toml").write_text(text)
    assert ran(tmp_path) == steps
    refused = run(tmp_path, "run", "--init", name, code=2)
    assert "exists already" in refused.stderr and (tmp_path / "pipeline.toml").read_text() == text
    run(tmp_path, "run", "--init", name, "--force")
    # Elsewhere the paths still lead to the file.
    run(tmp_path, "run", "--init", name, "--out", "sub/other.toml")
    run(tmp_path, "run", "sub/other.toml", "--dry-run")


def test_a_file_without_places_gets_a_study_without_them(tmp_path):
    run(tmp_path, "simulate", "--out", "tissue.h5ad", "--side", "10", "--n-genes", "150", "--quiet")
    adata = anndata.read_h5ad(tmp_path / "tissue.h5ad")
    del adata.obsm["spatial"], adata.uns["spatial"], adata.obs["ground_truth"]
    adata.write(tmp_path / "tissue.h5ad")
    run(tmp_path, "run", "--init", "tissue.h5ad")
    assert ran(tmp_path) == ["leiden", "evaluate"]


def test_the_example_of_the_documentation_runs(tmp_path):
    if not DOCS.exists():
        pytest.skip("SKIPPED: the documentation is not here")
    run(tmp_path, "simulate", "--out", "tissue.h5ad", "--side", "12", "--n-genes", "150", "--quiet")
    example = DOCS.read_text().split("```toml\n")[1].split("```")[0]
    (tmp_path / "pipeline.toml").write_text(example)
    assert ran(tmp_path) == ["domains", "evaluate", "plot"]
    assert (tmp_path / "results/domains.png").exists()


def test_a_study_replaces_its_own_checkpoints_and_no_other(study):
    text = STUDY + NETWORK.replace("epochs = 400", "epochs = 8")
    (study / "pipeline.toml").write_text(text)
    assert ran(study) == [*STEPS, "spami"]
    # Another training of this study takes the place of the one before.
    (study / "pipeline.toml").write_text(text.replace("epochs = 8", "epochs = 12\nhidden = 32"))
    assert ran(study) == ["spami"]
    assert ran(study, "--force", "spami") == ["spami"]
    # Nobody knows any more whose it is.
    (study / "results/pipeline.state.json").unlink()
    refused = run(study, "run", "pipeline.toml", code=2).stderr
    assert "domains.h5ad exists already" in refused and "--force domains" in refused
    for output in (study / "results").rglob("*.*"):
        if output.suffix != ".safetensors":
            output.unlink()
    refused = run(study, "run", "pipeline.toml", code=2).stderr
    assert "saved after epoch 12, is there already" in refused and "--restart" in refused
    assert "spami" in ran(study, "--restart")
