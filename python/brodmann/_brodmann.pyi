"""The compiled part: arrays in, arrays out. Not public; the package's modules are."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__version__: str

# threads
def set_n_threads(n_threads: int) -> None: ...
def n_threads() -> int: ...
def set_max_memory(bytes: int | None) -> None: ...
def max_memory() -> int | None: ...
def parse_bytes(text: str) -> int | None: ...
def set_follow_external(follow: bool) -> None: ...
def follow_external() -> bool: ...

# preprocess
_CsrArrays: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], tuple[int, int]]
_F64: TypeAlias = npt.NDArray[np.float64]
_F32: TypeAlias = npt.NDArray[np.float32]
_Codes: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.uint32]
_Mask: TypeAlias = npt.NDArray[np.bool_] | None

def dense_to_csr(x: npt.NDArray[Any], *, wide: bool = False) -> _CsrArrays: ...
def normalize_total(
    x: Any, *, target_sum: float | None, max_fraction: float | None
) -> tuple[_CsrArrays, _F64, int]: ...
def log1p(x: Any, *, base: float | None = None) -> _CsrArrays: ...
def clr(x: Any) -> _CsrArrays: ...
def column_mean_sd(x: Any) -> tuple[_F64, _F64]: ...
def scale_to_dense(x: Any, mean: _F64, sd: _F64, *, max_value: float | None) -> _F32: ...
def scale_sparse(x: Any, mean: _F64, sd: _F64, *, max_value: float | None) -> _CsrArrays: ...
def highly_variable_genes(
    x: Any,
    *,
    slices: _Codes | None,
    log_base: float | None,
    flavor: str,
    n_top_genes: int | None,
    min_mean: float,
    max_mean: float,
    min_disp: float,
    max_disp: float,
    n_bins: int,
    span: float,
) -> dict[str, Any]: ...
def pca(
    x: Any, *, mask: _Mask, n_components: int, scale: bool, max_value: float | None, random_state: int
) -> dict[str, Any]: ...
def tfidf_lsi(
    x: Any, *, n_components: int, min_fraction: float, scale_factor: float, random_state: int
) -> dict[str, Any]: ...
def mitochondrial(names: Sequence[str], *, prefix: str | None) -> npt.NDArray[np.bool_]: ...
def qc(
    x: Any,
    *,
    mito: npt.NDArray[np.bool_],
    coordinates: npt.NDArray[Any] | None,
    slices: _Codes | None,
    in_tissue: _Mask,
    n_neighbors: int,
    threshold: float,
) -> dict[str, Any]: ...

GENE_NAMES: list[str]

# graph
def neighbors(embedding: npt.NDArray[Any], *, n_neighbors: int, random_state: int) -> dict[str, Any]: ...
def spatial_neighbors(
    coordinates: npt.NDArray[Any],
    *,
    slices: _Codes | None,
    kind: str,
    n_neighbors: int | None,
    radius: float | None,
    n_rings: int,
    symmetrise: bool,
    lengths: tuple[float, float] | None,
    percentile: float | None,
) -> tuple[_CsrArrays, _CsrArrays, list[tuple[int | None, str]]]: ...
def transform_graph(graph: Any, *, set_diag: bool, transform: str | None) -> _CsrArrays: ...
def lattice_neighbors(
    coordinates: npt.NDArray[Any], slices: _Codes | None, n_neighbors: int | None
) -> int | None: ...
def validate_graph(graph: Any, *, n_obs: int, key: str) -> None: ...
def autocorrelation(
    values: Any,
    weights: Any,
    *,
    statistic: str,
    row_normalize: bool,
    two_tailed: bool,
    randomization: bool,
    n_perms: int,
    random_state: int,
) -> dict[str, Any]: ...

# metrics
def compare_labels(truth: _Codes, pred: _Codes, score: str) -> float: ...
def score_clusters(embedding: npt.NDArray[Any], labels: _Codes, score: str) -> float: ...
def silhouette(
    embedding: npt.NDArray[Any], labels: _Codes, *, sample_size: int | None, random_state: int
) -> tuple[float, _F64, npt.NDArray[np.uint32]]: ...
def lisi(embedding: npt.NDArray[Any], labels: _Codes, *, perplexity: float) -> _F64: ...
def batch_kl(embedding: npt.NDArray[Any], batch: _Codes) -> _F64: ...
def pas(labels: _Codes, graph: Any) -> float: ...
def coherence_graph(coordinates: npt.NDArray[Any], *, slices: _Codes | None) -> _CsrArrays: ...
def chaos(coordinates: npt.NDArray[Any], labels: _Codes) -> float: ...
def evaluate(
    pred: _Codes,
    *,
    truth: npt.NDArray[np.int32] | None,
    embedding: npt.NDArray[Any] | None,
    batch: _Codes | None,
    graph: Any,
    coordinates: npt.NDArray[Any] | None,
    max_queries: int | None,
    perplexity: float,
    random_state: int,
) -> dict[str, Any]: ...

# colors
MISSING_COLOR: str

def category_colors(n: int, given: Sequence[str] | None = None) -> list[str]: ...
def match_colors(
    truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], truth_colors: Sequence[str], n_prediction: int
) -> list[str]: ...
def color_limits(
    values: npt.NDArray[np.float64], low: str | None = None, high: str | None = None
) -> tuple[float, float, str] | None: ...
def dendrogram(values: npt.NDArray[np.float64]) -> tuple[list[int], list[tuple[int, int, float]]] | None: ...
def color_map(name: str) -> list[str]: ...
def domain_outlines(
    coordinates: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], n_groups: int
) -> list[tuple[int, list[list[list[float]]]]]: ...
def spot_shape(coordinates: npt.NDArray[np.float64]) -> tuple[str, float, float]: ...
def title_of(key: str) -> str: ...
def unit_of(key: str) -> str: ...
def axes_of(key: str, components: tuple[int, int]) -> tuple[list[str], bool]: ...

# containers
def read_any(
    path: str,
    *,
    format: str | None,
    library_id: str | None,
    bin: str | None,
    table_name: str | None,
    coordinate_system: str | None,
) -> dict[str, Any]: ...
def read_tenx_h5(path: str, *, genome: str | None) -> dict[str, Any]: ...
def read_tenx_mtx(folder: str) -> dict[str, Any]: ...
def read_table(
    counts: str, *, coordinates: str | None, orientation: str, coordinate_columns: list[str] | None
) -> dict[str, Any]: ...
def simulated(
    *,
    side: int,
    random_state: int,
    noise: float,
    modalities: list[str],
    slices: int,
    batch_effect: float,
    image: tuple[float, float, float] | None,
    n_genes: int,
    n_proteins: int,
    n_peaks: int,
) -> dict[str, Any]: ...

# leiden
#: ``(graph, reading, use_weights, quality, resolution, weight)``; a graph is scipy CSR, a reading one of
#: "directed", "undirected", "auto", "entries".
_Layer = tuple[Any, str, bool, str, float, float]

class Partition:
    membership: npt.NDArray[np.uint32]
    n_clusters: int
    quality: float
    layer_quality: list[float]
    n_iterations: int
    converged: bool
    directed: list[bool]
    seconds: float

class ResolutionSearch:
    resolution: float
    partition: Partition
    exact: bool
    unreached: str | None
    trace: list[tuple[float, int]]

def leiden_multiplex(
    layers: Sequence[_Layer],
    *,
    n_iterations: int = -1,
    initial: npt.NDArray[np.integer] | None = None,
    random_state: int = 42,
    names: Sequence[str] = ...,
) -> Partition: ...
def leiden_n_clusters(
    layers: Sequence[_Layer],
    n_clusters: int,
    *,
    spatial: int | None,
    n_iterations: int = -1,
    random_state: int = 42,
    names: Sequence[str] = ...,
) -> tuple[ResolutionSearch | None, ResolutionSearch, list[float], str | None]: ...
def check_layers(
    names: Sequence[str], resolution: Sequence[float], weights: Sequence[float], weights_option: str
) -> None: ...
def check_n_clusters(n_clusters: int, n_obs: int) -> None: ...
def check_key_added(key: str, columns_read: Sequence[str] = ...) -> None: ...
def leiden_quality(layers: Sequence[_Layer], membership: npt.NDArray[np.integer]) -> tuple[float, list[float]]: ...
def distance2connectivity(
    distances: Any, key: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any], npt.NDArray[Any], tuple[int, int]]: ...

# harmony
def harmony(
    x: npt.NDArray[Any],
    covariates: Sequence[Sequence[int]],
    *,
    n_clusters: int | None,
    theta: float,
    lamb: float,
    sigma: float,
    block_size: float,
    max_iterations: int,
    max_passes: int,
    tolerance_passes: float,
    tolerance: float,
    random_state: int,
) -> tuple[npt.NDArray[np.float64], list[float], bool]: ...

def check_amounts(x: Any) -> None: ...

# umap
def umap(
    connectivities: Any,
    embedding: npt.NDArray[Any] | None,
    *,
    min_dist: float,
    spread: float,
    n_epochs: int | None,
    init: str,
    random_state: int,
) -> tuple[npt.NDArray[np.float32], int]: ...

# kmeans
def kmeans(
    x: npt.NDArray[Any],
    *,
    n_clusters: int,
    n_init: int = 10,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    random_state: int = 42,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64], float, int, bool]: ...

# methods: leiden, spatialleiden, spami, staig, domains, banksy, smoothed_pca, mixture
def find_domains(
    method: str,
    tissue: dict[str, Any],
    options: dict[str, Any],
    *,
    random_state: int,
    prior: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any], int, bool]: ...

# markers, enrich, svg, neighborhood
def explain(
    command: str, tissue: dict[str, Any], options: dict[str, Any], *, random_state: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]], str]: ...

def image_overlay(tissue: dict[str, Any], options: dict[str, Any], ending: str) -> bytes: ...
def image_patches(
    tissue: dict[str, Any], options: dict[str, Any], rows: list[int], side: int
) -> npt.NDArray[np.uint8]: ...
def report(paths: list[str], out: str, options: dict[str, Any], *, random_state: int) -> str: ...

# gmm
#: ``model, n_init, init, subset, max_iterations, tolerance, regularization``.
_Mixture: TypeAlias = dict[str, Any]

def gmm(x: npt.NDArray[Any], mixture: _Mixture, *, n_components: int, random_state: int) -> dict[str, Any]: ...
def select_n_clusters(
    x: npt.NDArray[Any],
    mixture: _Mixture,
    *,
    method: str,
    min_clusters: int,
    max_clusters: int,
    criterion: str,
    n_runs: int,
    sample_size: int,
    random_state: int,
) -> tuple[int, npt.NDArray[np.uint32], dict[str, npt.NDArray[Any]], list[str]]: ...

# refine
def refine_labels(
    labels: _Codes, coordinates: npt.NDArray[Any], slices: _Codes | None, *, n_neighbors: int
) -> npt.NDArray[np.uint32]: ...

# apart
_Genes: TypeAlias = tuple[list[str], list[str]]
_Sums: TypeAlias = tuple[int, _F64, _F64]
_Axes: TypeAlias = tuple[_F64, _F64]

class StaigSlice:
    def __new__(
        cls, name: str, options: dict[str, Any], *, path: str | None = None, parts: Any = None
    ) -> StaigSlice: ...
    def genes(self) -> _Genes: ...
    def join(self, genes: Sequence[str]) -> dict[str, Any]: ...
    def variable(self, kept: Sequence[bool], n_slices: int) -> list[bool]: ...
    def fit(self, kept: Sequence[bool], selected: Sequence[bool], n_slices: int) -> int: ...
    def sums(self) -> _Sums: ...
    def ready(self, axes: _Axes | None, sizes: Sequence[int], index: int, *, random_state: int) -> int: ...
    def gradients(self, parameters: _F32, epoch: int) -> tuple[_F32, list[float]]: ...
    def embed(self, parameters: _F32) -> _F32: ...

class StaigLead:
    def __new__(cls, names: Sequence[str], options: dict[str, Any], *, random_state: int) -> StaigLead: ...
    def share(self, genes: Sequence[_Genes]) -> list[str]: ...
    def keep(self, facts: Sequence[dict[str, Any]]) -> list[bool]: ...
    def select(self, verdicts: Sequence[Sequence[bool]]) -> list[bool]: ...
    def wants_sums(self) -> bool: ...
    def add_sums(self, sums: _Sums) -> None: ...
    def axes(self) -> _Axes | None: ...
    def sizes(self) -> list[int]: ...
    def begin(self, n_entries: int, n_edges: int) -> tuple[int, int]: ...
    def parameters(self) -> _F32: ...
    def add(self, values: _F32, numbers: Sequence[float]) -> None: ...
    def step(self) -> tuple[float, bool]: ...
    def finish(self, embeddings: Sequence[_F32]) -> tuple[list[dict[str, Any]], int]: ...
    def write(self, index: int, path: Any, out: Any) -> None: ...

_Modalities: TypeAlias = list[tuple[str, str, list[str], int | None]]
_Map: TypeAlias = tuple[str, str, list[bool], list[bool], list[tuple[str, _F64]]]
_Question: TypeAlias = tuple[str, _Map, _F64]
_Answer: TypeAlias = tuple[list[_F64], _F64]
_BalanceSums: TypeAlias = tuple[int, _F64, float]
_Balance: TypeAlias = tuple[_F64, float]
_Output: TypeAlias = tuple[_F32, _F32, list[_F32]]

class SpamiSlice:
    def __new__(
        cls, name: str, options: dict[str, Any], *, path: str | None = None, parts: Any = None
    ) -> SpamiSlice: ...
    def modalities(self) -> _Modalities: ...
    def join(self, shared: Sequence[tuple[str, list[str]]]) -> dict[str, Any]: ...
    def answer(self, modality: int, question: _Question) -> _Answer: ...
    def encode(self, maps: Sequence[_Map | None]) -> list[_BalanceSums]: ...
    def ready(
        self, balances: Sequence[_Balance] | None, sizes: Sequence[int], index: int, *, random_state: int
    ) -> int: ...
    def gradients(self, parameters: _F32, epoch: int) -> tuple[_F32, list[float]]: ...
    def embed(self, parameters: _F32) -> _Output: ...

class SpamiLead:
    def __new__(cls, names: Sequence[str], options: dict[str, Any], *, random_state: int) -> SpamiLead: ...
    def share(self, slices: Sequence[_Modalities]) -> list[tuple[str, list[str]]]: ...
    def join(self, facts: Sequence[dict[str, Any]]) -> None: ...
    def of_counts(self) -> list[int]: ...
    def fit(self, modality: int, ask: Callable[[_Question], list[_Answer]]) -> None: ...
    def maps(self) -> list[_Map | None]: ...
    def balance(self, sums: Sequence[Sequence[_BalanceSums]]) -> list[_Balance] | None: ...
    def sizes(self) -> list[int]: ...
    def begin(self) -> tuple[int, int, bool]: ...
    def parameters(self) -> _F32: ...
    def add(self, values: _F32, numbers: Sequence[float]) -> None: ...
    def step(self) -> tuple[float, bool]: ...
    def finish(self, outputs: Sequence[_Output]) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], int]: ...
    def write(self, index: int, path: Any, out: Any) -> None: ...
