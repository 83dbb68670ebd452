//! How much memory training will take.

use brodmann_kernels::Seed;

use super::graph::Operators;
use super::network;
use super::options::SpamiOptions;
use super::prior::{Labelled, UNLABELLED};

/// Forecast of the peak of [`train`](super::train()) and of applying the result, in bytes: features, graph, and the
/// buffers of the network, whose plan is drawn up without taking them.
///
/// The graph is taken to have `n_neighbors` neighbours in each row, every other one in both directions.
pub fn memory_bytes(n_obs: usize, widths: &[usize], options: &SpamiOptions) -> u64 {
    memory_bytes_of_slices(&[n_obs], widths, options)
}

/// [`memory_bytes`] of slices of these sizes: they are trained on in turn, in buffers for the largest.
pub fn memory_bytes_of_slices(sizes: &[usize], widths: &[usize], options: &SpamiOptions) -> u64 {
    if options.validate(widths.len()).is_err() {
        return 0;
    }
    let n_obs: usize = sizes.iter().sum();
    let largest = sizes.iter().copied().max().unwrap_or(0);
    let (parameters, layout) = network::parameters::<f32>(options, widths, Seed(0));
    let operators = Operators::<f32>::empty();
    let buffers =
        |n, training| network::write(options, &layout, &operators, n, training).0.memory_bytes(training);
    let n = n_obs as u64;
    let features = 4 * n * widths.iter().sum::<usize>() as u64;
    let k = options.n_neighbors.min(n_obs) as u64;
    // The context, its transpose, and the union with loops: 8 bytes an entry.
    let operators_of_all = n * (8 * (2 * (k + 1) + 3 * k / 2 + 1) + 3 * 8);
    // Rows as given: 12 bytes an entry. Of several slices each has operators of its own.
    let copies = if sizes.len() > 1 { 2 } else { 1 };
    let graph = n * (12 * k + 8) + copies * operators_of_all;
    // The lists of rows it is made from: freed, but rarely given back to the system.
    let building = n * (2 * 24 + 16 * (3 * k + 4));
    let permutations = 4 * n * (widths.len() as u64 + 1);
    // Values, gradients, two moments.
    let weights = 16 * parameters.iter().map(|p| p.value.len() as u64).sum::<u64>();
    // Results, while the buffers they are copied from still live.
    let outputs =
        4 * n * (options.embedding_width(widths.len()) + widths.len() * (options.latent + 1)) as u64
            + features;
    let peak = (buffers(largest, true) + permutations).max(buffers(n_obs, false) + outputs);
    features + graph + building + weights + peak
}

/// [`memory_bytes`] of a training that a reference guides: of `(spots, shared features, labels)`.
///
/// Beside the network of the reference there are the shared features of both sides three times (as given, averaged, and
/// beside the embeddings while anchors are looked for), the index of that search, and the anchors.
pub fn memory_bytes_guided(
    n_obs: usize,
    widths: &[usize],
    options: &SpamiOptions,
    (n_reference, n_shared, n_labels): (usize, usize, usize),
) -> u64 {
    let alone = memory_bytes(n_obs, widths, options);
    if alone == 0 {
        return 0;
    }
    let n = widths.len();
    let (mut parameters, layout) = network::parameters::<f32>(options, widths, Seed(0));
    let shape = (n_shared.max(1), n_labels.max(1));
    let prior = network::prior_parameters(&mut parameters, options, n, shape, Seed(0));
    let operators = Operators::<f32>::empty();
    let (tape, nodes) = network::write(options, &layout, &operators, n_obs, true);
    let before = tape.memory_bytes(true);
    let labels = Labelled {
        labels: vec![UNLABELLED; n_reference],
        n_labels: shape.1,
        width: options.embedding_width(n),
    };
    let (tape, _) = network::write_prior(tape, nodes.fused, options, &prior, &operators, labels, [1.0, 1.0]);
    let buffers = tape.memory_bytes(true).saturating_sub(before);
    let width = options.embedding_width(n) as u64;
    let both = (n_obs + n_reference) as u64;
    // Features as given in f32, averaged in f64; the two tables of a search in f64, their copy, and its index in f32.
    let features = both * n_shared as u64 * (4 + 8);
    let search = both * (n_shared as u64 + width) * (8 + 8 + 8 + 8);
    let anchors = both * (20 * (12 + 12) + 13 * 4 + 24) + 4 * n_obs as u64 * n_labels as u64;
    let graph = n_reference as u64 * 160;
    alone + buffers + features + search + anchors + graph
}
