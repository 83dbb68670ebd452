//! Peaks that truly regulate genes, in domains that are known: what methods of links are judged by.

use brodmann_kernels::{CsrMatrix, Monitor, OptionError, ParallelLoop, Seed};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::options::SimulateError;
use super::sampler::{gamma, normal, poisson, uniform};

/// Bases of a peak.
const PEAK_LENGTH: u64 = 500;
/// Bases of a gene.
const GENE_LENGTH: u64 = 20_000;
/// Genes of one chromosome.
const GENES_PER_CHROMOSOME: usize = 100;
/// Overdispersion of transcripts: variance `mean + mean² / SHAPE`.
const SHAPE: f64 = 3.0;

/// Options of [`simulate_regulation`].
#[derive(Clone, Debug, PartialEq)]
pub struct RegulationOptions {
    /// Seed of everything random.
    pub seed: Seed,
    /// Genes.
    pub n_genes: usize,
    /// Peaks within reach of each gene; one of them is its promoter.
    pub peaks_per_gene: usize,
    /// Share of the genes that peaks regulate.
    pub regulated: f64,
    /// Peaks that regulate such a gene.
    pub enhancers_per_gene: usize,
    /// Programs of activity, which cells of every domain follow to different degrees.
    pub n_programs: usize,
    /// Largest distance of a peak from where transcription starts, in bases.
    pub reach: u64,
    /// Mean count of a gene where nothing regulates it.
    pub expression: f64,
    /// Mean count of a closed peak.
    pub accessibility: f64,
    /// How many times as much is counted at mean activity of a program.
    pub effect: f64,
}

impl Default for RegulationOptions {
    fn default() -> Self {
        Self {
            seed: Seed::default(),
            n_genes: 100,
            peaks_per_gene: 12,
            regulated: 0.6,
            enhancers_per_gene: 2,
            n_programs: 4,
            reach: 200_000,
            expression: 0.5,
            accessibility: 0.08,
            effect: 4.0,
        }
    }
}

impl RegulationOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`OptionError`], the first found.
    pub fn validate(&self) -> Result<(), OptionError> {
        const MOST: usize = 10_000_000;
        for (option, value) in [
            ("n_genes", self.n_genes),
            ("peaks_per_gene", self.peaks_per_gene),
            ("n_programs", self.n_programs),
            ("n_peaks", self.n_genes.saturating_mul(self.peaks_per_gene)),
        ] {
            if !(1..=MOST).contains(&value) {
                return Err(OptionError::new(option, value, format!("a number from 1 to {MOST}")));
            }
        }
        if self.enhancers_per_gene >= self.peaks_per_gene {
            let expected = "fewer than the peaks of a gene";
            return Err(OptionError::new("enhancers_per_gene", self.enhancers_per_gene, expected));
        }
        if !(0.0..=1.0).contains(&self.regulated) {
            return Err(OptionError::new("regulated", self.regulated, "a share from 0 to 1"));
        }
        if !(2 * PEAK_LENGTH..=10_000_000).contains(&self.reach) {
            return Err(OptionError::new("reach", self.reach, "a number of bases from 1000 to 10000000"));
        }
        for (option, value) in
            [("expression", self.expression), ("accessibility", self.accessibility), ("effect", self.effect)]
        {
            if !(value > 0.0 && value <= 1000.0) {
                return Err(OptionError::new(option, value, "a number above 0, at most 1000"));
            }
        }
        Ok(())
    }
}

/// A gene of a simulated genome; positions are 0-based, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedGene {
    /// Its name: `gene_0001`.
    pub name: String,
    /// `chr1`, `chr2`, ….
    pub chromosome: String,
    /// First base.
    pub start: u64,
    /// Behind the last base.
    pub end: u64,
    /// Whether it is read towards smaller positions.
    pub reverse: bool,
}

/// A true link: the peak regulates the gene in the domain, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrueLink {
    /// Gene.
    pub gene: u32,
    /// Peak.
    pub peak: u32,
    /// Domain.
    pub domain: u32,
}

/// Counts of genes and peaks, and which peaks regulate which genes.
#[derive(Clone, Debug, PartialEq)]
pub struct Regulation {
    /// Genes and their positions.
    pub genes: Vec<SimulatedGene>,
    /// `chr1-1000-1500`.
    pub peak_names: Vec<String>,
    /// `(n_cells, n_genes)` raw counts.
    pub rna: CsrMatrix<f32>,
    /// `(n_cells, n_peaks)` raw counts.
    pub atac: CsrMatrix<f32>,
    /// By rising gene, peak.
    pub truth: Vec<TrueLink>,
    /// `(n_cells, n_domains + n_programs)`: domain and activity of each program, with noise, as an embedding might have
    /// them.
    pub embedding: Array2<f64>,
}

impl Regulation {
    /// The genes as BED.
    pub fn bed(&self) -> String {
        let line = |gene: &SimulatedGene| {
            let strand = if gene.reverse { '-' } else { '+' };
            format!("{}\t{}\t{}\t{}\t0\t{strand}\n", gene.chromosome, gene.start, gene.end, gene.name)
        };
        self.genes.iter().map(line).collect()
    }

    /// The truth as a table: gene, peak, domain.
    pub fn truth_table(&self) -> String {
        let line = |link: &TrueLink| {
            let (gene, peak) = (&self.genes[link.gene as usize].name, &self.peak_names[link.peak as usize]);
            format!("{gene}\t{peak}\t{}\n", link.domain)
        };
        "gene\tpeak\tdomain\n".to_owned() + &self.truth.iter().map(line).collect::<String>()
    }
}

/// What a peak follows in one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// Always open, as promoters are.
    Promoter,
    /// A program in one domain; closed elsewhere.
    Program { domain: u32, program: u32 },
    /// Open in one domain, whatever cells do there.
    Domain { domain: u32 },
    /// Closed everywhere.
    Nothing,
}

/// Simulates genes and peaks of which some peaks regulate some genes in one domain each.
///
/// A cell `i` has activities `wᵢᵣ` of all programs, drawn from a gamma distribution of mean 1, which do not depend on its
/// domain. A regulated gene follows one program in one domain, and so do its enhancers:
///
/// ```text
/// rate = base · (1 + effect · wᵢᵣ)   for cells of the domain,   base elsewhere
/// ```
///
/// times the cell's size. Of the other peaks within reach one is the promoter, open in all cells; a third is open in the same
/// domain whatever the program, a third follows another program there, and a third is closed: what differs between
/// domains alone, or between cells alone, does not tell them from the enhancers.
///
/// # Inputs
/// `domains`: of each cell, below `n_domains`; those of [`super::simulate`] for instance.
/// # Returns
/// [`Regulation`], the same bits on any number of threads.
/// # Errors
/// Options out of range, a domain beyond their number, interruption.
/// # Cost
/// O(cells · (genes + peaks)) time, O(non-zeros) memory.
pub fn simulate_regulation(
    domains: &[u32],
    n_domains: usize,
    options: &RegulationOptions,
    monitor: &dyn Monitor,
) -> Result<Regulation, SimulateError> {
    options.validate()?;
    if let Some(domain) = domains.iter().find(|d| **d as usize >= n_domains) {
        return Err(
            OptionError::new("n_domains", n_domains, format!("more than {domain}, a domain given")).into()
        );
    }
    let seed = options.seed;
    let (genes, peak_names) = genome(options);
    let (followed, mut truth) = (plan(options, n_domains), Vec::new());
    for (gene, peaks) in followed.peaks.chunks_exact(options.peaks_per_gene).enumerate() {
        let Some((domain, program)) = followed.genes[gene] else { continue };
        for (k, &peak) in peaks.iter().enumerate() {
            if peak == (Follows::Program { domain, program }) {
                let peak = (gene * options.peaks_per_gene + k) as u32;
                truth.push(TrueLink { gene: gene as u32, peak, domain });
            }
        }
    }
    monitor.stage("simulate", domains.len() as u64);
    let width = n_domains + options.n_programs;
    type Row = (Vec<(u32, f32)>, Vec<(u32, f32)>, Vec<f64>);
    let rows: Vec<Row> = domains
        .par_iter()
        .enumerate()
        .map(|(i, &domain)| {
            monitor.check()?;
            let mut rng = seed.stream("simulate/regulation/cell", i as u64);
            let activity: Vec<f64> = (0..options.n_programs).map(|_| gamma(&mut rng, 1.5) / 1.5).collect();
            let mut size = || (0.25 * normal(&mut rng)).exp();
            let sizes = [size(), size()];
            let mut embedded = vec![0.0; width];
            for (d, value) in embedded[..n_domains].iter_mut().enumerate() {
                *value = 4.0 * f64::from(d == domain as usize) + 0.3 * normal(&mut rng);
            }
            for (value, w) in embedded[n_domains..].iter_mut().zip(&activity) {
                *value = w.sqrt() * 2.0 + 0.3 * normal(&mut rng);
            }
            let lift = |own: u32, program: u32| {
                if own == domain { 1.0 + options.effect * activity[program as usize] } else { 1.0 }
            };
            let rna = counts(
                &mut rng,
                followed.genes.iter().map(|own| {
                    sizes[0] * options.expression * own.map_or(1.0, |(own, program)| lift(own, program))
                }),
                true,
            );
            let atac = counts(
                &mut rng,
                followed.peaks.iter().map(|peak| {
                    sizes[1]
                        * options.accessibility
                        * match *peak {
                            Follows::Promoter => 1.0 + options.effect,
                            Follows::Program { domain: own, program } => lift(own, program),
                            Follows::Domain { domain: own } => {
                                1.0 + options.effect * f64::from(own == domain)
                            }
                            Follows::Nothing => 1.0,
                        }
                }),
                false,
            );
            monitor.advance(1);
            Ok((rna, atac, embedded))
        })
        .try_collect_vec::<_, SimulateError>()?;
    let mut embedding = Array2::zeros((domains.len(), width));
    let (mut rna, mut atac) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (i, (genes, peaks, embedded)) in rows.into_iter().enumerate() {
        rna.push(genes);
        atac.push(peaks);
        embedding.row_mut(i).iter_mut().zip(embedded).for_each(|(to, from)| *to = from);
    }
    let rna = CsrMatrix::from_rows(genes.len(), &rna);
    let atac = CsrMatrix::from_rows(peak_names.len(), &atac);
    Ok(Regulation { genes, peak_names, rna, atac, truth, embedding })
}

/// Counts of the given rates: (column, count) of those that are not 0.
fn counts(rng: &mut ChaCha8Rng, rates: impl Iterator<Item = f64>, overdispersed: bool) -> Vec<(u32, f32)> {
    let mut row = Vec::new();
    for (column, rate) in rates.enumerate() {
        let rate = if overdispersed { rate * gamma(rng, SHAPE) / SHAPE } else { rate };
        let count = poisson(rng, rate);
        if count > 0.0 {
            row.push((column as u32, count as f32));
        }
    }
    row
}

/// Genes along chromosomes, each with its own peaks within reach, none of them within that of another gene.
fn genome(options: &RegulationOptions) -> (Vec<SimulatedGene>, Vec<String>) {
    // Half of the genes share what lies between them: a peak may have two genes within reach.
    let pitch = options.reach + options.reach / 2;
    let mut genes = Vec::with_capacity(options.n_genes);
    let mut peaks = Vec::with_capacity(options.n_genes * options.peaks_per_gene);
    let digits = options.n_genes.max(1).ilog10() as usize + 1;
    let digits = digits.max(4);
    for gene in 0..options.n_genes {
        let mut rng = options.seed.stream("simulate/regulation/places", gene as u64);
        let chromosome = format!("chr{}", gene / GENES_PER_CHROMOSOME + 1);
        let tss = (gene % GENES_PER_CHROMOSOME) as u64 * pitch + 2 * options.reach + GENE_LENGTH;
        let reverse = uniform(&mut rng) < 0.5;
        let (start, end) = if reverse { (tss + 1 - GENE_LENGTH, tss + 1) } else { (tss, tss + GENE_LENGTH) };
        for k in 0..options.peaks_per_gene {
            // Its promoter is the first; the others lie anywhere.
            let away = (2.0 * uniform(&mut rng) - 1.0) * (options.reach - PEAK_LENGTH) as f64;
            let middle = if k == 0 { tss } else { tss.saturating_add_signed(away as i64) };
            let from = middle - PEAK_LENGTH / 2;
            peaks.push(format!("{chromosome}-{from}-{}", from + PEAK_LENGTH));
        }
        let name = format!("gene_{:0digits$}", gene + 1);
        genes.push(SimulatedGene { name, chromosome, start, end, reverse });
    }
    (genes, peaks)
}

/// What genes and peaks follow.
struct Followed {
    /// Domain and program of each regulated gene.
    genes: Vec<Option<(u32, u32)>>,
    peaks: Vec<Follows>,
}

fn plan(options: &RegulationOptions, n_domains: usize) -> Followed {
    let (mut genes, mut peaks) = (Vec::new(), Vec::new());
    let below =
        |rng: &mut ChaCha8Rng, n: usize| ((uniform(rng) * n as f64) as usize).min(n.saturating_sub(1)) as u32;
    for gene in 0..options.n_genes {
        let mut rng = options.seed.stream("simulate/regulation/links", gene as u64);
        let is_regulated = uniform(&mut rng) < options.regulated && n_domains > 0;
        let (domain, program) = (below(&mut rng, n_domains), below(&mut rng, options.n_programs));
        genes.push(is_regulated.then_some((domain, program)));
        for k in 0..options.peaks_per_gene {
            let other = below(&mut rng, options.n_programs.saturating_sub(1));
            let other = if other >= program { other + 1 } else { other };
            peaks.push(match k {
                0 => Follows::Promoter,
                k if is_regulated && k <= options.enhancers_per_gene => Follows::Program { domain, program },
                k if n_domains > 0 && k % 3 == 0 => Follows::Domain { domain },
                k if n_domains > 0 && options.n_programs > 1 && k % 3 == 1 => {
                    Follows::Program { domain, program: other }
                }
                _ => Follows::Nothing,
            });
        }
    }
    Followed { genes, peaks }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;

    use super::*;

    fn domains(n: usize) -> Vec<u32> {
        (0..n).map(|i| (i * 3 / n) as u32).collect()
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            let options = RegulationOptions { n_genes: 20, ..Default::default() };
            pool.install(|| simulate_regulation(&domains(60), 3, &options, &Silent).expect("simulated"))
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn enhancers_and_genes_vary_together_in_their_domain_alone() {
        let options =
            RegulationOptions { n_genes: 40, accessibility: 0.3, expression: 1.0, ..Default::default() };
        let (labels, n) = (domains(900), 900);
        let found = simulate_regulation(&labels, 3, &options, &Silent).expect("simulated");
        let column = |m: &CsrMatrix<f32>, j: u32, domain: Option<u32>| -> Vec<f64> {
            let wanted = (0..n).filter(|&i| domain.is_none_or(|d| labels[i] == d));
            wanted.map(|i| f64::from(m.view().get(i, j as usize).unwrap_or(0.0))).collect()
        };
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let correlation = |x: &[f64], y: &[f64]| {
            let (mx, my) = (mean(x), mean(y));
            let sum =
                |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(a, b)| f(a - mx, b - my)).sum::<f64>();
            sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
        };
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for link in &found.truth {
            for domain in 0..3 {
                let (x, y) = (
                    column(&found.atac, link.peak, Some(domain)),
                    column(&found.rna, link.gene, Some(domain)),
                );
                if domain == link.domain { &mut inside } else { &mut outside }.push(correlation(&x, &y));
            }
        }
        assert!(mean(&inside) > 0.15, "{}", mean(&inside));
        assert!(mean(&outside).abs() < 0.05, "{}", mean(&outside));
    }

    #[test]
    fn the_truth_lies_within_reach_and_is_written_out() {
        let options = RegulationOptions { n_genes: 250, ..Default::default() };
        let found = simulate_regulation(&domains(9), 3, &options, &Silent).expect("simulated");
        assert_eq!((found.rna.n_cols(), found.atac.n_cols()), (250, 3000));
        // 60 % of the genes, two enhancers each.
        assert!((found.truth.len() as f64 - 300.0).abs() < 50.0, "{}", found.truth.len());
        for link in &found.truth {
            let gene = &found.genes[link.gene as usize];
            let tss = if gene.reverse { gene.end - 1 } else { gene.start };
            let mut parts = found.peak_names[link.peak as usize].split('-');
            assert_eq!(parts.next(), Some(gene.chromosome.as_str()));
            let from: u64 = parts.next().and_then(|p| p.parse().ok()).expect("a start");
            assert!(tss.abs_diff(from + PEAK_LENGTH / 2) <= options.reach);
        }
        assert_eq!(found.bed().lines().count(), 250);
        assert_eq!(found.truth_table().lines().count(), found.truth.len() + 1);
        assert_eq!(found.genes[249].chromosome, "chr3");
    }

    #[test]
    fn what_cannot_be_simulated_is_refused() {
        let base = RegulationOptions::default();
        for options in [
            RegulationOptions { n_genes: 0, ..base.clone() },
            RegulationOptions { peaks_per_gene: usize::MAX, ..base.clone() },
            RegulationOptions { enhancers_per_gene: 12, ..base.clone() },
            RegulationOptions { regulated: f64::NAN, ..base.clone() },
            RegulationOptions { effect: -1.0, ..base.clone() },
            RegulationOptions { reach: 3, ..base.clone() },
        ] {
            let error = simulate_regulation(&[0], 1, &options, &Silent).expect_err("unfit");
            assert_eq!(brodmann_kernels::proofread::flaw(&error), None);
        }
        assert!(simulate_regulation(&[3], 3, &base, &Silent).is_err());
        let none = simulate_regulation(&[], 0, &base, &Silent).expect("no cells");
        assert!(none.truth.is_empty() && none.rna.n_rows() == 0);
    }
}
