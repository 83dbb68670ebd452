//! Which genes rise and fall together?
//!
//! Beside the selection of variable genes: a tissue's programmes (a cell type, a layer, a response) are groups of genes
//! that are correlated over its spots, and each can be read off one number per spot, its eigengene.
//!
//! * [`coexpression_modules()`]: modules, eigengenes and hub genes of an expression matrix.
//! * [`correlation()`]: correlation of the columns of a sparse matrix, within slices.
//! * [`network`]: soft-thresholded adjacency and topological overlap.
//! * [`soft_threshold`]: the power at which the network is nearest to scale-free.
//! * [`tree_cut`]: modules of a dendrogram, each branch cut at a height of its own.
//! * `blocks`: many genes in blocks of like ones.
//! * `eigengenes`: one profile per module, and how near each gene is to it.

mod blocks;
pub mod correlation;
mod eigengenes;
pub mod network;
pub mod soft_threshold;
#[cfg(test)]
mod tests;
pub mod tree_cut;

use brodmann_kernels::{CsrView, Monitor, OptionError, Seed, Slices};
use kodama::{Method, linkage};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::column_stats::slices_of;
use super::detect::check_finite;
use super::error::PreprocessError;
use blocks::blocks;
use correlation::{correlation, varying};
use eigengenes::Profiles;
use network::{Network, adjacency, dissimilarity};
use soft_threshold::{ScaleFreeFit, pick_soft_threshold};
use tree_cut::{TreeCutOptions, cut_tree};

/// The random stream of the genes that the power is chosen on.
const SAMPLE: &str = "coexpression/sample";
/// Powers that are tried.
const POWERS: [f64; 15] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0];

/// Options of [`coexpression_modules()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoexpressionOptions {
    /// What a negative correlation counts as.
    pub network: Network,
    /// Power of the adjacency; `None`: the smallest whose network is scale-free.
    pub power: Option<f64>,
    /// Fit from which on a network counts as scale-free.
    pub scale_free_fit: f64,
    /// Genes of the smallest module.
    pub min_module_size: usize,
    /// How readily a branch is split into modules: 0 to 4.
    pub deep_split: u8,
    /// Modules whose eigengenes are correlated more closely than 1 minus this are one.
    pub merge_height: f64,
    /// Genes that are correlated with the eigengene of their module less than this leave it (kME; its size in an unsigned
    /// network).
    pub min_membership: f64,
    /// Genes whose network is held at a time.
    pub max_block_size: usize,
}

impl Default for CoexpressionOptions {
    fn default() -> Self {
        Self {
            network: Network::Unsigned,
            power: None,
            scale_free_fit: 0.85,
            min_module_size: 20,
            deep_split: 2,
            merge_height: 0.15,
            min_membership: 0.3,
            max_block_size: 5000,
        }
    }
}

impl CoexpressionOptions {
    pub(crate) fn validate(&self) -> Result<(), OptionError> {
        let invalid = |option, found: String, expected| Err(OptionError::new(option, found, expected));
        if let Some(power) = self.power.filter(|p| !(*p >= 1.0 && *p <= 100.0)) {
            return invalid("power", power.to_string(), "a number from 1 to 100");
        }
        if !(self.scale_free_fit >= 0.0 && self.scale_free_fit <= 1.0) {
            return invalid("scale_free_fit", self.scale_free_fit.to_string(), "a number from 0 to 1");
        }
        if self.min_module_size < 2 {
            return invalid("min_module_size", self.min_module_size.to_string(), "at least 2");
        }
        if self.deep_split > 4 {
            return invalid("deep_split", self.deep_split.to_string(), "a whole number from 0 to 4");
        }
        if !(self.merge_height >= 0.0 && self.merge_height < 1.0) {
            return invalid("merge_height", self.merge_height.to_string(), "a number from 0 to below 1");
        }
        if !(self.min_membership >= 0.0 && self.min_membership < 1.0) {
            return invalid("min_membership", self.min_membership.to_string(), "a number from 0 to below 1");
        }
        if !(2..=MAX_BLOCK).contains(&self.max_block_size) {
            return invalid("max_block_size", self.max_block_size.to_string(), "a number from 2 to 20000");
        }
        Ok(())
    }
}

/// Largest block: its network takes 10 GB.
const MAX_BLOCK: usize = 20_000;

/// Modules of genes. Vectors over genes have one entry per column of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Coexpression {
    /// Module of each gene: 1 is the largest; 0 for genes in none.
    pub module: Vec<u32>,
    /// `(n_vars, n_modules)`: correlation of each gene with each eigengene (kME); NaN for genes that do not vary.
    pub membership: Array2<f64>,
    /// Sum of the adjacencies to the other genes of the module; NaN for genes in none, and for those of a module larger
    /// than a block that are not among the nearest to its eigengene.
    pub connectivity: Vec<f64>,
    /// `(n_obs, n_modules)`: eigengenes, of length 1 and mean 0 within each slice; rising with the genes of the module.
    pub eigengenes: Array2<f64>,
    /// Share of the variance of its genes that each eigengene holds.
    pub variance_explained: Vec<f64>,
    /// Power of the adjacency.
    pub power: f64,
    /// What the power was chosen by; empty where it was given.
    pub fits: Vec<ScaleFreeFit>,
    /// Whether a tried power reached the fit asked for (true where the power was given).
    pub scale_free: bool,
    /// Blocks the genes were taken in.
    pub n_blocks: usize,
}

impl Coexpression {
    /// Modules found.
    pub fn n_modules(&self) -> usize {
        self.eigengenes.ncols()
    }

    /// Correlation of a gene with the eigengene of its own module; NaN for genes in none.
    pub fn own_membership(&self, gene: usize) -> f64 {
        match self.module[gene] {
            0 => f64::NAN,
            module => self.membership[[gene, module as usize - 1]],
        }
    }

    /// Genes of each module, nearest to its eigengene first; ties by index.
    pub fn hubs(&self) -> Vec<Vec<usize>> {
        let mut hubs = vec![Vec::new(); self.n_modules()];
        for (gene, &module) in self.module.iter().enumerate().filter(|(_, m)| **m > 0) {
            hubs[module as usize - 1].push(gene);
        }
        for genes in &mut hubs {
            // Against the eigengene as closely as along it: members of an unsigned network may run either way.
            genes.sort_by(|&a, &b| self.own_membership(b).abs().total_cmp(&self.own_membership(a).abs()));
        }
        hubs
    }
}

/// Modules of genes that are expressed together, their eigengenes and hub genes.
///
/// 1. Correlation of genes over spots, within slices; genes that do not vary are in no module.
/// 2. Adjacency `a_ij = |cor_ij|^β`, or `((1 + cor_ij) / 2)^β`, with the smallest `β` whose network is scale-free.
/// 3. Topological overlap, and average linkage of one minus it.
/// 4. Branches of the tree become modules ([`tree_cut`]).
/// 5. Eigengenes: the first principal component of each module's genes. Modules with nearly the same one are merged, genes
///    far from theirs are left out, and so are modules that become too small by that.
///
/// More genes than `max_block_size` are taken in blocks: they are divided by their correlations with the leading
/// principal components, each block has a network and a tree of its own, and merging joins what a division cut apart.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, log-normalised. `slices`: correlations are within slices, so that what shifts a slice as a
/// whole makes no module. `seed`: which genes the power is chosen on, where there are more than a block holds.
/// # Returns
/// [`Coexpression`]; no modules where none is found.
/// # Errors
/// `NonFinite`, `Empty`, `Option`, `ShapeMismatch`, `Interrupted`.
/// # Cost
/// For a block of `p` genes: the products of `xᵀx` ([`correlation()`]), `p³` multiply-adds, and `32 p²` bytes at most
/// (0.8 GB for 5000 genes). Beside that a copy of `x`, and the principal components where there are several blocks.
/// # Source
/// Zhang & Horvath 2005, Stat Appl Genet Mol Biol 4:17; Langfelder & Horvath 2008, BMC Bioinformatics 9:559.
/// # Differences
/// Blocks come from principal components rather than from k-means of the profiles. Genes are left out once, after modules
/// of all blocks were merged, and not added to other modules.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{CoexpressionOptions, coexpression_modules};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::Array2;
///
/// // Genes 0 to 4 follow one pattern over the spots, genes 5 to 9 another.
/// let x = Array2::from_shape_fn((60, 10), |(i, j)| {
///     let pattern = if j < 5 { i % 3 } else { i / 20 };
///     3.0 * pattern as f32 + ((i * (j + 5) * 7) % 11) as f32 / 11.0
/// });
/// let x = CsrMatrix::from_dense(x.view());
/// let options = CoexpressionOptions { min_module_size: 3, power: Some(6.0), ..Default::default() };
/// let found = coexpression_modules(x.view(), None, &options, Seed(0), &Silent)?;
/// assert_eq!(found.n_modules(), 2);
/// assert!(found.module[..5].iter().all(|m| *m == found.module[0]));
/// assert!(found.module[5..].iter().all(|m| *m == found.module[5]));
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn coexpression_modules(
    x: CsrView<'_, f32>,
    slices: Option<&Slices>,
    options: &CoexpressionOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Coexpression, PreprocessError> {
    options.validate()?;
    let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars });
    }
    check_finite(x)?;
    let slices = slices_of(n_obs, slices)?;
    let varies = varying(x, &slices);
    let genes: Vec<usize> = (0..n_vars).filter(|&j| varies[j]).collect();
    let of_genes = if genes.len() == n_vars { None } else { Some(x.select_columns(&varies)) };
    let own = of_genes.as_ref().map_or(x, |few| few.view());

    monitor.stage("co-expression", 0);
    let parts = blocks(own, &slices, options.max_block_size, seed, monitor)?;
    let (power, fits, scale_free) = power_of(own, &slices, options, seed, monitor)?;
    let mut modules: Vec<Vec<usize>> = Vec::new();
    monitor.stage("co-expression modules", parts.len() as u64);
    for part in &parts {
        modules.extend(modules_of(own, &slices, part, power, options, monitor)?);
        monitor.advance(1);
    }
    let mut profiles = Profiles::of(own, &slices, modules, options.merge_height, seed, monitor)?;
    let mut membership = profiles.membership(own, &slices);
    if let Some(fewer) = profiles.without_strangers(&membership, options) {
        profiles = Profiles::of(own, &slices, fewer, options.merge_height, seed, monitor)?;
        membership = profiles.membership(own, &slices);
    }

    let mut module = vec![0u32; n_vars];
    let mut connectivity = vec![f64::NAN; n_vars];
    for (m, members) in profiles.modules.iter().enumerate() {
        monitor.check()?;
        for &g in members {
            module[genes[g]] = m as u32 + 1;
        }
        let mut nearest = members.clone();
        nearest.sort_by(|&a, &b| membership[[b, m]].abs().total_cmp(&membership[[a, m]].abs()));
        nearest.truncate(options.max_block_size);
        nearest.sort_unstable();
        let mut links = correlation(own, &slices, &nearest, monitor)?;
        adjacency(&mut links, options.network, power);
        for (&g, row) in nearest.iter().zip(links.rows()) {
            connectivity[genes[g]] = row.sum() - 1.0;
        }
    }
    let mut spread = Array2::from_elem((n_vars, profiles.modules.len()), f64::NAN);
    for (row, &j) in membership.rows().into_iter().zip(&genes) {
        spread.row_mut(j).assign(&row);
    }
    Ok(Coexpression {
        module,
        membership: spread,
        connectivity,
        eigengenes: profiles.eigengenes,
        variance_explained: profiles.variance_explained,
        power,
        fits,
        scale_free,
        n_blocks: parts.len(),
    })
}

/// The power asked for, or the one the network is scale-free at.
fn power_of(
    x: CsrView<'_, f32>,
    slices: &Slices,
    options: &CoexpressionOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(f64, Vec<ScaleFreeFit>, bool), PreprocessError> {
    if let Some(power) = options.power {
        return Ok((power, Vec::new(), true));
    }
    let n = x.n_cols();
    let mut some: Vec<usize> = (0..n).collect();
    if n > options.max_block_size {
        let draw = seed.derive(SAMPLE, 0);
        some.sort_by_key(|&j| draw.word(j as u64));
        some.truncate(options.max_block_size);
        some.sort_unstable();
    }
    let links = correlation(x, slices, &some, monitor)?;
    let fits = pick_soft_threshold(links.view(), options.network, &POWERS);
    match fits.iter().find(|fit| fit.index() >= options.scale_free_fit) {
        Some(fit) => Ok((fit.power, fits, true)),
        None => Ok((options.network.usual_power(), fits, false)),
    }
}

/// Modules among some genes: their numbers, largest module first.
fn modules_of(
    x: CsrView<'_, f32>,
    slices: &Slices,
    genes: &[usize],
    power: f64,
    options: &CoexpressionOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<usize>>, PreprocessError> {
    let n = genes.len();
    if n < 2 {
        return Ok(Vec::new());
    }
    let mut links = correlation(x, slices, genes, monitor)?;
    adjacency(&mut links, options.network, power);
    monitor.check()?;
    let distances = dissimilarity(links.view());
    drop(links);
    monitor.check()?;
    // The linkage overwrites what it is given, and the cut asks for the distances.
    let tree = linkage(&mut distances.clone(), n, Method::Average);
    let merges: Vec<tree_cut::Merge> = tree
        .steps()
        .iter()
        .map(|s| tree_cut::Merge { left: s.cluster1, right: s.cluster2, height: f64::from(s.dissimilarity) })
        .collect();
    let cut = TreeCutOptions { min_size: options.min_module_size, deep_split: options.deep_split };
    let labels = cut_tree(&merges, &distances, n, &cut);
    let n_modules = labels.iter().copied().max().unwrap_or(0) as usize;
    let mut modules = vec![Vec::new(); n_modules];
    for (&gene, &label) in genes.iter().zip(&labels).filter(|(_, l)| **l > 0) {
        modules[label as usize - 1].push(gene);
    }
    Ok(modules)
}
