#!/usr/bin/env python3
"""STAIG: one epoch of brodmann beside the same maths in dense PyTorch, on the same grid and sizes.

    bash benches/run staig [--sizes 1207 4000 8000 20000 100000] [--moments 8000 100000 1000000]

The network and loss are those of the paper at its defaults: two views with edges (0.2) and features (0.1, 0.2) left out, one
graph convolution of 64 with PReLU, two dense layers with ELU between, the neighbour-contrastive loss over all pairs at
tau 10, Adam with L2 weight decay; 3000 sparse genes, 5 % non-zero. PyTorch holds features, graphs and all N x N similarities as
dense matrices, in f32 and f64, up to --dense-limit spots. Ours computes in f32, exactly (`exact`: the same sums, tile by tile)
and in linear time (`moments`: a polynomial of the similarities; its bound on the relative error of a denominator is printed).
Every run is a process of its own; the first epoch is not timed.
"""
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

GENES, DENSITY, WIDTH, TAU = 3000, 0.05, 64, 10.0
EDGE_DROP, MASKS = 0.2, (0.1, 0.2)


def peer(kind, n, genes, epochs, threads):
    """Runs in its own process; prints one JSON line."""
    import statistics

    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    number = {"f32": torch.float32, "f64": torch.float64}[kind]

    # Ten domains in stripes, each with its own tenth of the genes raised, as bench_staig makes them.
    per_row = max(int(genes * DENSITY), 1)
    gap = genes // per_row
    columns = torch.arange(per_row) * gap + (torch.rand(n, per_row) * gap).long()
    raised = torch.where(columns % 10 == (torch.arange(n) * 10 // n)[:, None], 2.0, 0.5)
    x = torch.zeros(n, genes, dtype=number)
    x.scatter_(1, columns, (raised + torch.rand(n, per_row)).to(number))
    # A square lattice.
    side = math.ceil(math.sqrt(n))
    i = torch.arange(n)
    right = i[(i % side + 1 < side) & (i + 1 < n)]
    below = i[i + side < n]
    upper = torch.cat([torch.stack([right, right + 1]), torch.stack([below, below + side])], 1)
    neighbours = torch.zeros(n, n, dtype=number)
    neighbours[upper[0], upper[1]] = 1
    neighbours[upper[1], upper[0]] = 1
    degree = neighbours.sum(1)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(genes, WIDTH, dtype=number)))
            self.bias = nn.Parameter(torch.zeros(WIDTH, dtype=number))
            self.slope = nn.PReLU(dtype=number)
            self.one, self.two = (nn.Linear(WIDTH, WIDTH, dtype=number) for _ in range(2))

        def forward(self, x, operator):
            h = self.slope(operator @ (x @ self.weight) + self.bias)
            return self.two(F.elu(self.one(h)))

    def view(mask):
        """A graph with edges left out, normalised with self-loops, and features with columns left out."""
        kept = upper[:, torch.rand(upper.shape[1]) >= EDGE_DROP]
        graph = torch.eye(n, dtype=number)
        graph[kept[0], kept[1]] = 1
        graph[kept[1], kept[0]] = 1
        root = graph.sum(1).rsqrt()
        return x * (torch.rand(genes) >= mask).to(number), root[:, None] * graph * root

    def half(a, b):
        within, between = torch.exp(a @ a.t() / TAU), torch.exp(a @ b.t() / TAU)
        positive = between.diagonal() + (neighbours * within).sum(1) + (neighbours * between).sum(1)
        denominator = within.sum(1) - within.diagonal() + between.sum(1)
        return -torch.log(positive / denominator / (2 * degree + 1))

    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4, weight_decay=1e-5)

    def epoch():
        optimiser.zero_grad(set_to_none=True)
        one, two = (F.normalize(network(*view(mask)), dim=1) for mask in MASKS)
        loss = (half(one, two) + half(two, one)).mean() / 2
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    epoch()
    clocks = []
    for _ in range(epochs):
        with common.Clock() as clock:
            loss = epoch()
        clocks.append(clock)
    common.say({
        # The mean, as ours.
        "seconds": statistics.mean(c.seconds for c in clocks),
        "cpu_seconds": statistics.mean(c.cpu_seconds for c in clocks),
        "peak_mib": common.peak_mib(),
        "quality": {"loss": loss},
        "versions": {"torch": torch.__version__},
    })


def per_epoch(report, tool):
    if tool != "brodmann":
        return
    report["seconds"], report["cpu_seconds"] = report["wall"], report["cpu"]
    report["quality"] = {"loss": report["loss"]}
    if report["negatives"] == "Moments":
        report["quality"]["bound"] = report["bound"]


def main():
    parser = common.parser(__doc__, "staig")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1207, 4000, 8000, 20_000, 100_000], help="exact negatives")
    parser.add_argument("--moments", type=int, nargs="*", default=[1207, 4000, 8000, 20_000, 100_000, 1_000_000])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--genes", type=int, default=GENES)
    parser.add_argument("--dense-limit", type=int, default=8000, help="largest tissue for PyTorch: memory grows as N²")
    parser.add_argument("--kinds", nargs="+", default=["f32", "f64"], help="numbers PyTorch computes in")
    parser.add_argument("--binary", type=Path, default=common.program("bench_staig"))
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    bench = common.Bench(
        "staig",
        "STAIG: one epoch",
        "Seconds of one epoch (two views, forward, loss over all pairs, backward, Adam). `exact` is the same sum as PyTorch's; "
        "`moments` sums a polynomial instead, in linear time. The losses differ in the draws of the views; memory is the peak of "
        "the process, PyTorch's own included. `bound` is that on the relative error of a denominator of the polynomial.",
        arguments,
    )

    def epochs(n, exact):
        # Minutes an epoch at the far end: the mean of a few says enough.
        return 2 if n > (20_000 if exact else 200_000) else arguments.epochs

    for n in arguments.sizes:
        e = epochs(n, True)
        peers = {}
        if n <= arguments.dense_limit:
            few = e if n <= 4000 else max(2, e // 2)
            peers = {
                f"PyTorch dense {kind}": [sys.executable, __file__, "--peer", kind, n, arguments.genes, few, arguments.threads]
                for kind in arguments.kinds
            }
        words = ["--epochs", e + 1, "--threads", arguments.threads, "--genes", arguments.genes, "--negatives", "exact"]
        bench.compare(f"exact, {n:,} spots", n, [binary, n, *words], peers, finish=per_epoch)
    for n in arguments.moments:
        words = ["--epochs", epochs(n, False) + 1, "--threads", arguments.threads, "--genes", arguments.genes]
        words += ["--negatives", "moments"]
        bench.compare(f"moments, {n:,} spots", n, [binary, n, *words], finish=per_epoch)
    bench.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], *map(int, sys.argv[3:7]))
    else:
        main()
