//! How much memory training will take.

use brodmann_kernels::Seed;

use super::graph::Operators;
use super::network;
use super::options::SpamiOptions;

/// Forecast of the peak of [`train`](super::train()) and of applying the result, in bytes: features, graph, and the
/// buffers of the network, whose plan is drawn up without taking them.
///
/// The graph is taken to have `n_neighbors` neighbours in each row, every other one in both directions.
pub fn memory_bytes(n_obs: usize, widths: &[usize], options: &SpamiOptions) -> u64 {
    if options.validate(widths.len()).is_err() {
        return 0;
    }
    let (parameters, layout) = network::parameters::<f32>(options, widths, Seed(0));
    let operators = Operators::<f32>::empty();
    let buffers =
        |training| network::write(options, &layout, &operators, n_obs, training).0.memory_bytes(training);
    let n = n_obs as u64;
    let features = 4 * n * widths.iter().sum::<usize>() as u64;
    let k = options.n_neighbors.min(n_obs) as u64;
    // Rows: 12 bytes an entry as given, 8 each for the context, its transpose, and the union with loops.
    let graph = n * (12 * k + 8 * (2 * (k + 1) + 3 * k / 2 + 1) + 4 * 8);
    // The lists of rows it is made from: freed, but rarely given back to the system.
    let building = n * (2 * 24 + 16 * (3 * k + 4));
    let permutations = 4 * n * (widths.len() as u64 + 1);
    // Values, gradients, two moments.
    let weights = 16 * parameters.iter().map(|p| p.value.len() as u64).sum::<u64>();
    // Results, while the buffers they are copied from still live.
    let outputs =
        4 * n * (options.embedding_width(widths.len()) + widths.len() * (options.latent + 1)) as u64
            + features;
    let peak = (buffers(true) + permutations).max(buffers(false) + outputs);
    features + graph + building + weights + peak
}
