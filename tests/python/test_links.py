"""Which peaks regulate which genes: on a simulated genome whose links are known, through both doors."""

import gzip
import json
import os
import subprocess

import numpy as np
import pandas as pd
import pytest

import brodmann as bm

mudata = pytest.importorskip("mudata")


@pytest.fixture(scope="module")
def regulated(tmp_path_factory):
    """400 cells, 60 genes, 12 peaks each; where the genes lie as BED."""
    binary = os.environ.get("BRODMANN")
    if not binary:
        pytest.skip("SKIPPED: BRODMANN does not name the command")
    folder = tmp_path_factory.mktemp("links")
    path, genes = folder / "tissue.h5mu", folder / "genes.bed"
    done = subprocess.run(
        [binary, "simulate", "--out", path, "--regulation", genes, "--side", "20", "--genes", "60", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path, genes


def links(path, genes, *args):
    binary = os.environ["BRODMANN"]
    words = [binary, "links", path, "--genes", genes, "--groupby", "ground_truth", "--use-rep", "X_regulation"]
    return subprocess.run([str(w) for w in [*words, *args]], capture_output=True, text=True, check=False)


def precision(table, truth, column):
    """Average precision of the true links."""
    order = table.sort_values(column, ascending=False)
    true = [link in truth for link in zip(order.gene, order.peak, order.domain, strict=True)]
    hits = np.flatnonzero(true)
    return float(np.mean((np.arange(len(hits)) + 1) / (hits + 1)))


def test_true_links_are_found_through_both_doors(regulated, tmp_path):
    path, genes = regulated
    table, out = tmp_path / "links.csv", tmp_path / "out.h5mu"
    done = links(path, genes, "--table", table, "--out", out, "--json", "--n-permutations", "200")
    assert done.returncode == 0, done.stderr
    found, report = pd.read_csv(table), json.loads(done.stdout)
    assert report["n_genes"] == [60, 60] and report["n_pairs"] == len(found) >= 60 * 12
    assert report["n_components"][0] == report["n_components"][1]
    written = mudata.read_h5mu(out)
    true = written.uns["true_links"]
    pairs = set(zip(true.gene, true.peak, strict=True))
    domains = [name.removeprefix("z:") for name in found if name.startswith("z:")]
    links_of = set(zip(true.gene, true.peak, true.domain, strict=True))
    assert len(pairs) == len(links_of)
    columns = ["strength", "z", "pearson"]
    long = pd.concat([
        found[["gene", "peak"]].assign(domain=d, **{name: found[f"{name}:{d}"] for name in columns}) for d in domains
    ])
    by_strength, by_z, by_part = (precision(long, links_of, column) for column in columns)
    assert by_strength > 10 * len(links_of) / len(long)
    assert by_part > 1.5 * by_strength and by_part > 1.5 * by_z
    # Every cell has a domain: what domains contribute is the correlation.
    parts = found[[f"pearson:{d}" for d in domains]].sum(axis=1)
    np.testing.assert_allclose(parts, found["pearson"], atol=1e-12)
    # What is told first is mostly true.
    told = [(link["gene"], link["peak"], of["domain"]) for of in report["domains"] for link in of["top"]]
    assert len(told) == 5 * len(domains) and np.mean([link in links_of for link in told]) > 0.7
    for of in report["domains"]:
        assert [link["pearson"] for link in of["top"]] == sorted((link["pearson"] for link in of["top"]), reverse=True)
    # Each in the domain where it is: the most specific of a true link's domains is its own, more often than not.
    of = found.set_index(["gene", "peak"])[[f"z:{d}" for d in domains]]
    best = [domains[int(np.argmax(of.loc[(g, p)].to_numpy()))] for g, p in zip(true.gene, true.peak, strict=True)]
    assert np.mean(np.array(best) == true.domain.to_numpy(dtype=str)) > 0.8
    assert written.uns["links"].shape == (len(found), found.shape[1])

    again = bm.tl.links(
        mudata.read_h5mu(path), genes, groupby="ground_truth", use_rep="X_regulation", n_permutations=200
    )
    assert np.array_equal(again["strength"], written.uns["links"]["strength"])
    for column in again.columns[-3:]:
        assert np.array_equal(again[column], written.uns["links"][column], equal_nan=True)


def test_links_are_written_for_browsers(regulated, tmp_path):
    path, genes = regulated
    bedpe, longrange, figure = tmp_path / "a.bedpe", tmp_path / "a.txt", tmp_path / "a.svg"
    done = links(path, genes, "--bedpe", bedpe, "--longrange", longrange, "--plot", figure, "--n-permutations", "20")
    assert done.returncode == 0, done.stderr
    assert "links of gene_" in figure.read_text()
    done = links(path, genes, "--plot", tmp_path / "b.svg", "--locus", "nobody", "--n-permutations", "20")
    assert done.returncode != 0 and "nobody" in done.stderr
    rows = [line.split("\t") for line in bedpe.read_text().splitlines()]
    assert rows[0][0].startswith("#chrom1") and rows[0][-2:] == ["domain", "p_adjusted"]
    assert all(len(row) == 12 and int(row[1]) < int(row[2]) for row in rows[1:])
    assert all(len(line.split("\t")) == 4 for line in longrange.read_text().splitlines())


def test_a_packed_annotation_that_ends_early_is_named(regulated, tmp_path):
    path, genes = regulated
    packed = tmp_path / "genes.bed.gz"
    packed.write_bytes(gzip.compress(genes.read_bytes()))
    assert links(path, packed, "--table", tmp_path / "whole.csv").returncode == 0
    packed.write_bytes(packed.read_bytes()[:-60])
    ended = links(path, packed, "--table", tmp_path / "links.csv")
    assert ended.returncode == 2 and "genes.bed.gz" in ended.stderr and "after line" in ended.stderr, ended.stderr


def test_what_cannot_be_linked_is_refused(regulated, tmp_path):
    path, genes = regulated
    mouse = tmp_path / "mouse.bed"
    mouse.write_text("chr1\t100\t2000\tXkr4\t0\t-\n")
    done = links(path, mouse)
    assert done.returncode != 0 and "gene_0001" in done.stderr, done.stderr
    done = links(path, tmp_path / "absent.gtf")
    assert done.returncode != 0 and "absent.gtf" in done.stderr
    done = links(path, genes, "--window", "0")
    assert "panicked" not in done.stderr
    plain = bm.datasets.simulated(side=12, modalities="rna")
    plain.write(tmp_path / "rna.h5ad")
    done = links(tmp_path / "rna.h5ad", genes)
    assert done.returncode != 0 and "peaks" in done.stderr, done.stderr
    bare = tmp_path / "bare.h5mu"
    without = mudata.read_h5mu(path)
    del without.obsm["X_regulation"]
    without.write(bare)
    with pytest.raises(ValueError, match="use_rep"):
        bm.tl.links(mudata.read_h5mu(bare), genes, groupby="ground_truth")
