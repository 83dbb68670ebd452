#!/usr/bin/env python3
"""SpaMI side by side: one epoch of brodmann against the same network in PyTorch, on the same grid.

    bash benches/run spami [--sizes 1296 9216 100000 1000000]

The network is that of the paper (widths F -> 256 -> 64, dropout 0.15, corruption, local context, bilinear
discriminator, attention, cosine, reconstruction; Adam 1e-3), two modalities of 50 features, k = 3. PyTorch runs it in
two forms:

* `dense`: adjacency and context as dense N x N matrices, as in the paper's code;
* `sparse`: both as CSR, with the product on whichever side of a weight is narrower: as well as a user could write it.

Every run is a fresh process, so that its peak memory is its own; reading and setting up are not timed, nor is the
first epoch. Processor time is that of all threads.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common


def grid(n):
    """Directed rows of the grid: the first three of up, left, right, down, as k = 3 with ties by index finds them."""
    import numpy as np

    side = int(np.ceil(np.sqrt(n)))
    i = np.arange(n)
    x, y = i % side, i // side
    near = np.stack([i - side, i - 1, i + 1, i + side], axis=1)
    there = np.stack([y > 0, x > 0, (x + 1 < side) & (i + 1 < n), i + side < n], axis=1)
    rank = np.cumsum(there, axis=1)
    keep = there & (rank <= 3)
    rows = np.repeat(i, 4).reshape(n, 4)[keep]
    return rows, near[keep]


def peer(form, n, epochs, threads):
    """Runs in its own process; prints one JSON line."""
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows, columns = grid(n)
    rows, columns = torch.from_numpy(rows), torch.from_numpy(columns)
    loops = torch.arange(n)
    pairs = torch.unique(
        torch.cat([torch.stack([rows, columns]), torch.stack([columns, rows]), torch.stack([loops, loops])], 1), dim=1
    )
    degree = torch.bincount(pairs[0], minlength=n).float()
    norm = (degree[pairs[0]] * degree[pairs[1]]).rsqrt()
    context_pairs = torch.cat([torch.stack([rows, columns]), torch.stack([loops, loops])], 1)
    counts = torch.bincount(context_pairs[0], minlength=n).float()
    share = 1.0 / counts[context_pairs[0]]

    def operator(index, values):
        matrix = torch.sparse_coo_tensor(index, values, (n, n)).coalesce()
        return matrix.to_dense() if form == "dense" else matrix

    class Product(torch.autograd.Function):
        """A constant CSR matrix times a dense one, with its transpose ready for the way back."""

        @staticmethod
        def forward(ctx, matrix, transposed, x):
            ctx.transposed = transposed
            return matrix @ x

        @staticmethod
        def backward(ctx, upstream):
            return None, None, ctx.transposed @ upstream

    adjacency, context = operator(pairs, norm), operator(context_pairs, share)
    if form == "dense":
        propagate = lambda x: adjacency @ x
        surround = lambda x: context @ x
    else:
        context_t = context.t().coalesce().to_sparse_csr()
        adjacency, context = adjacency.to_sparse_csr(), context.to_sparse_csr()
        propagate = lambda x: Product.apply(adjacency, adjacency, x)
        surround = lambda x: Product.apply(context, context_t, x)

    class Convolution(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n_in, n_out)))
            self.bias = nn.Parameter(torch.zeros(n_out))
            # Propagation commutes with the weight: the sparse form does it on the narrow side.
            self.first = form == "sparse" and n_in < n_out

        def forward(self, x):
            y = propagate(x) @ self.weight if self.first else propagate(x @ self.weight)
            return y + self.bias

    class TwoLayers(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.one, self.two = Convolution(n_in, 256), Convolution(256, n_out)

        def forward(self, x):
            return self.two(F.relu(self.one(F.dropout(x, 0.15, self.training))))

    widths = [50, 50]
    encoders = nn.ModuleList(TwoLayers(w, 64) for w in widths)
    decoders = nn.ModuleList(TwoLayers(64, w) for w in widths)
    discriminators = nn.ModuleList(nn.Bilinear(64, 64, 1) for _ in widths)
    omega = nn.Parameter(nn.init.xavier_uniform_(torch.empty(64, 64)))
    u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(64, 1)))
    features = [torch.randn(n, w) for w in widths]
    parameters = [*encoders.parameters(), *decoders.parameters(), *discriminators.parameters(), omega, u]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)
    ones, zeros = torch.ones(n, 1), torch.zeros(n, 1)
    labels = torch.cat([ones, zeros], 1)

    def discriminate(m, z, g):
        if form == "dense":
            return discriminators[m](z, g)
        # nn.Bilinear on CPU is slow; the same by one product and row sums.
        return ((g @ discriminators[m].weight[0].t()) * z).sum(1, keepdim=True) + discriminators[m].bias

    def epoch():
        optimiser.zero_grad(set_to_none=True)
        embeddings, loss = [], 0.0
        for m, x in enumerate(features):
            z, strange = encoders[m](x), encoders[m](x[torch.randperm(n)])
            g, g_strange = (torch.sigmoid(F.normalize(surround(v), dim=1)) for v in (z, strange))
            for a, b, c in ((z, strange, g), (strange, z, g_strange)):
                logits = torch.cat([discriminate(m, a, c), discriminate(m, b, c)], 1)
                loss = loss + F.binary_cross_entropy_with_logits(logits, labels)
            embeddings.append(z)
        stacked = torch.stack(embeddings, 1)
        alpha = torch.softmax(torch.tanh(stacked @ omega) @ u + 1e-6, 1)
        fused = (alpha * stacked).sum(1)
        for m, x in enumerate(features):
            loss = loss + 10 * F.mse_loss(decoders[m](fused), x)
        loss = loss + 5 * (1 - F.cosine_similarity(embeddings[0], embeddings[1]).mean())
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    wall, cpu = [], []
    first = last = epoch()
    for _ in range(epochs):
        clock, processor = time.perf_counter(), time.process_time()
        last = epoch()
        wall.append(time.perf_counter() - clock)
        cpu.append(time.process_time() - processor)
    peak = common.peak_mib()
    row = dict(tool=f"torch {form}", n=n, threads=threads, epochs=epochs, peak_mib=peak)
    row.update(wall=statistics.median(wall), cpu=statistics.median(cpu), least_wall=min(wall), least_cpu=min(cpu))
    row.update(first_loss=first, last_loss=last, version=torch.__version__)
    print(json.dumps(row))


def per_epoch(report, tool):
    report["seconds"], report["cpu_seconds"] = report["wall"], report["cpu"]
    report["versions"] = {"torch": report["version"]} if "version" in report else {}


def main():
    parser = common.parser(__doc__, "spami")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1296, 9216])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--dense-limit", type=int, default=10_000, help="largest tissue for the dense form")
    parser.add_argument("--sparse-limit", type=int, default=100_000, help="largest tissue for the sparse form")
    parser.add_argument("--binary", type=Path, default=common.program("bench_spami"))
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    bench = common.Bench(
        "spami",
        "SpaMI: one epoch",
        "Seconds of one epoch (forward, backward, Adam) of the same network on the same grid; `dense` is how the paper's code "
        "holds its graphs, `sparse` the best a user could write; the features are made up on both sides. Memory is the peak of the process, PyTorch's own included.",
        arguments,
    )
    for n in arguments.sizes:
        # A million spots take seconds an epoch: a few epochs say enough.
        epochs = arguments.epochs if n <= 100_000 else 3
        peers = {}
        for form, limit in (("sparse", arguments.sparse_limit), ("dense", arguments.dense_limit)):
            if n <= limit:
                few = max(3, epochs // 4) if form == "dense" else epochs
                peers[f"PyTorch {form}"] = [sys.executable, __file__, "--peer", form, n, few, arguments.threads]
        command = [binary, n, "--epochs", epochs + 1, "--threads", arguments.threads]
        bench.compare(f"{n:,} spots", n, command, peers, finish=per_epoch)
    bench.write()


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--peer":
        peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
