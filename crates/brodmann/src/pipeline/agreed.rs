//! Domains that several methods agree on, and how sure they are of each spot.
//!
//! No single method is right on every tissue. Cheap members, each with a view of its own on expression and surroundings,
//! are clustered apart; what they agree on becomes the map, and where they do not it says so. The genes are read and
//! chosen once for all.
//!
//! ```text
//! X = genes, chosen and made comparable
//! smoothed        mixture of the components of the mean of X over a spot and its neighbours
//! banksy.2        mixture of the components of X beside the surroundings (BANKSY, λ = 0.2)
//! hops            mixture of the components P of X beside their means over one, two, three hops
//! spatialleiden   Leiden of the neighbours in P and in space
//! image           on request: mixture of the components of the picture's features, averaged over the neighbours
//! domains       = what all their runs vote for, spots and their neighbours together (cluster::members)
//! ```
//!
//! Several modalities: X of each; embeddings side by side, each at unit variance in total, and their components;
//! one layer of neighbours per modality. Every member sees them all.

use brodmann_data::{Array, Categorical, Column, Value, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError, ParallelLoop, Seed, Slices};
use indexmap::IndexMap;
use ndarray::{Array2, Axis, concatenate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::Range;

use super::PipelineError;
use super::clustering::{ClusterNumber, Integration, MAX_CLUSTERS, note_unreached};
use super::domains::{Domains, Labels};
use super::embedding::integrated;
use super::expression::{self, CLUSTER_NEIGHBORS, Expression, FeatureSummary, N_INIT, ValueOptions, Wanted};
use super::fingerprint::Fingerprint;
use super::forecast::{FEWER_SPOTS, Forecast, Need, Work, product_bytes};
use super::histology::features::{Picture, image_features};
use super::histology::request::{FILE, SlideOptions};
use super::histology::{EncoderOptions, Networks};
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{FeatureRequest, Naming, Place, check_n_clusters, check_n_neighbors};
use super::run::{Run, Stage};
use super::said::Said;
use super::scene::Scene;
use super::scores::{TruthScores, score_truth, truth_key};
use super::smoothed_pca::smoothed_bytes;
use super::tissue::ModalityInfo;
use crate::cluster::{
    CovarianceModel, GmmOptions, Layer, Members, SearchOptions, agreeing_runs, gmm, member_votes, members,
    search_n_clusters_by_seed,
};
use crate::graph::{NeighborsOptions, neighbor_means, neighbors};
use crate::metrics::adjusted_rand_index;
use crate::models::{BanksyOptions, SmoothedPcaOptions, banksy, hop_means, smoothed_pca};
use crate::preprocess::{PreprocessError, pca_dense};

/// Neighbours that expression is averaged over.
const SMOOTHED_NEIGHBORS: usize = 10;
/// Components of every embedding. More hold noise, in which a mixture of few spots goes astray: from 20 to 30 some starts
/// collapse that do not at 15.
const COMPONENTS: usize = 15;
/// Neighbours in space of a hop, of SpatialLeiden, and of the vote on the map.
const NEIGHBORS: usize = 6;
/// Hops.
const HOPS: usize = 3;
/// Runs of each member: its start moves the ARI by a tenth, and of three votes one that goes astray is outvoted.
const RESTARTS: usize = 3;
/// Spots in the hierarchy that a mixture starts from: of many starts none need be from all spots.
const SUBSET: usize = 500;
/// Where the number of domains is searched: runs of each member, and starts of each of their mixtures.
const SEARCH_RUNS: usize = 2;
const SEARCH_STARTS: usize = 2;
/// Numbers of domains whose agreement differs by less are as good: the smaller is taken.
const AS_GOOD: f64 = 0.01;
/// Below this agreement of the members (mean ARI) the map is in doubt.
const LITTLE: f64 = 0.3;
/// Purpose of the random streams of that search.
const SEARCH: &str = "domains/search";
/// Candidates that are told beside the number chosen.
const CANDIDATES: usize = 3;

/// A member: a view of the tissue, with its clusterer.
///
/// The order is part of the result: a member's random stream follows from its place, whoever else takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Member {
    /// Components of expression averaged over the neighbours, a mixture.
    #[serde(rename = "smoothed")]
    Smoothed,
    /// BANKSY with λ = 0.2, mostly the spot, a mixture.
    #[serde(rename = "banksy.2")]
    BanksyOwn,
    /// BANKSY with λ = 0.8, mostly its surroundings, a mixture.
    #[serde(rename = "banksy.8")]
    BanksyAround,
    /// Components of the spot beside their means over one, two and three hops, a mixture.
    #[serde(rename = "hops")]
    Hops,
    /// SpatialLeiden: Leiden of the neighbours in expression and in space.
    #[serde(rename = "spatialleiden")]
    SpatialLeiden,
    /// Components of the features of the picture, averaged over the neighbours, a mixture.
    #[serde(rename = "image")]
    Image,
}

impl Member {
    /// Those that take part where nothing is said: four that err in different ways. A second λ of BANKSY would count
    /// nearly the same view twice.
    pub const DEFAULT: [Self; 4] = [Self::Smoothed, Self::BanksyOwn, Self::Hops, Self::SpatialLeiden];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoothed => "smoothed",
            Self::BanksyOwn => "banksy.2",
            Self::BanksyAround => "banksy.8",
            Self::Hops => "hops",
            Self::SpatialLeiden => "spatialleiden",
            Self::Image => "image",
        }
    }

    /// Weight of the surroundings in the BANKSY features it rests on; 0: the spot alone.
    fn lambda(self) -> Option<f64> {
        match self {
            Self::Smoothed | Self::Image => None,
            Self::BanksyOwn => Some(0.2),
            Self::BanksyAround => Some(0.8),
            Self::Hops | Self::SpatialLeiden => Some(0.0),
        }
    }
}

/// How members are made and joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgreementOptions {
    /// Who takes part.
    pub members: Vec<Member>,
    /// Domains; `auto` or nothing: the number that the members agree on best.
    pub n_clusters: Option<ClusterNumber>,
    /// The most domains considered then.
    pub max_clusters: usize,
    /// What is done to each member's components of several slices first.
    pub integrate: Option<Integration>,
    /// Runs of each member, all of which vote.
    pub restarts: usize,
    /// Starts of each mixture.
    pub n_init: usize,
    /// How their covariances are tied.
    pub gmm_model: CovarianceModel,
    /// Nearest spots in space whose majority a spot follows; 0 for none.
    pub refine: usize,
    /// Write each member's labels too.
    pub member_labels: bool,
}

impl Default for AgreementOptions {
    fn default() -> Self {
        Self {
            members: Member::DEFAULT.to_vec(),
            n_clusters: None,
            max_clusters: MAX_CLUSTERS,
            integrate: None,
            restarts: RESTARTS,
            n_init: N_INIT,
            gmm_model: CovarianceModel::default(),
            refine: 0,
            member_labels: false,
        }
    }
}

/// A run of several members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainsRequest {
    /// How members are made and joined.
    pub agreement: AgreementOptions,
    /// The picture, where it takes part.
    pub slide: SlideOptions,
    /// What makes features of it.
    pub encoder: EncoderOptions,
    /// Networks, where there are any.
    pub networks: Networks,
    /// Counts or logarithms.
    pub values: ValueOptions,
    /// How counts become features.
    pub features: FeatureRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// Names of result and truth.
    pub naming: Naming,
}

impl DomainsRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let mut request = Self {
            agreement: sections.take(&base.agreement)?,
            slide: sections.take(&base.slide)?,
            encoder: sections.take(&base.encoder)?,
            networks: base.networks,
            values: sections.take(&base.values)?,
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::DOMAINS)?;
        // A slide makes the picture a member, and the member takes the picture that the file keeps.
        let is_member = request.agreement.members.contains(&Member::Image);
        match (is_member, request.slide.is_asked_for()) {
            (false, true) => request.agreement.members.push(Member::Image),
            (true, false) => request.slide.image = vec![FILE.to_owned()],
            _ => (),
        }
        request.validate()?;
        Ok(request)
    }

    fn validate(&self) -> Result<(), PipelineError> {
        self.slide.validate()?;
        self.encoder.validate_beside(self.slide.is_asked_for())?;
        let mut members = self.agreement.members.clone();
        members.sort_unstable();
        members.dedup();
        if members.is_empty() || members.len() < self.agreement.members.len() {
            let found = self.agreement.members.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
            let found = if found.is_empty() { "nothing".to_owned() } else { found };
            return Err(OptionError::new("members", found, "at least one, each once").into());
        }
        for (option, value) in [("n_init", self.agreement.n_init), ("restarts", self.agreement.restarts)] {
            if value == 0 {
                return Err(OptionError::new(option, 0, "at least 1").into());
            }
        }
        if self.agreement.max_clusters < 2 {
            return Err(OptionError::new("max_clusters", self.agreement.max_clusters, "at least 2").into());
        }
        if let Some(n_pcs) = self.features.n_pcs {
            return Err(
                OptionError::new("n_pcs", n_pcs, "nothing, since each member has its own number").into()
            );
        }
        self.wanted().check()
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { compares_slices: false, ..Wanted::logarithms(&self.features, &self.values) }
    }

    fn given(&self) -> Option<usize> {
        match self.agreement.n_clusters {
            Some(ClusterNumber::Given(k)) => Some(k),
            _ => None,
        }
    }

    fn banksy_options(&self) -> BanksyOptions {
        let mut lambdas: Vec<f64> = self.agreement.members.iter().filter_map(|m| m.lambda()).collect();
        lambdas.sort_by(f64::total_cmp);
        lambdas.dedup();
        BanksyOptions { lambdas, n_components: COMPONENTS, ..BanksyOptions::default() }
    }

    /// What each member sees of a modality.
    fn views(
        &self,
        slices: Option<&Slices>,
        values: &CsrMatrix<f32>,
        surroundings: &Surroundings,
        run: &mut Run<'_>,
    ) -> Result<Vec<View>, PipelineError> {
        let (seed, monitor) = (run.seed, run.monitor);
        let Surroundings { coordinates, near, wide } = surroundings;
        let options = self.banksy_options();
        let mut components = Vec::new();
        if !options.lambdas.is_empty() {
            let found = run.timed(Stage::Train, || {
                banksy(values.view(), coordinates.view(), slices, &options, seed, monitor)
            })?;
            found.notes.iter().for_each(|note| monitor.note(&format!("surroundings: {note}")));
            for (own, lambda) in found.components.into_iter().zip(&options.lambdas) {
                components.push(self.across(slices, own.scores, &format!("BANKSY {lambda}"), run)?);
            }
        }
        let of = |member: Member| {
            let at = options.lambdas.iter().position(|l| Some(*l) == member.lambda());
            components[at.expect("asked for above")].view()
        };
        let mut views = Vec::with_capacity(self.agreement.members.len());
        for &member in &self.agreement.members {
            views.push(match member {
                Member::BanksyOwn | Member::BanksyAround => View::Embedding(of(member).to_owned()),
                Member::Hops => {
                    let made = run.timed(Stage::Train, || {
                        let hops = hop_means(of(member), near.view(), HOPS)?;
                        // Four times the columns, most of which say the same again.
                        pca_dense(hops.view(), COMPONENTS)
                    });
                    View::Embedding(made.map_err(of_features)?)
                }
                Member::Smoothed => {
                    let graph = wide.as_ref().expect("made where this member takes part");
                    let options = SmoothedPcaOptions { n_components: COMPONENTS, rounds: 1 };
                    monitor.stage("smoothing, principal components", 0);
                    let made = run.timed(Stage::Train, || {
                        smoothed_pca(values.view(), graph.view(), slices, &options, seed, monitor)
                    });
                    View::Embedding(self.across(slices, made.map_err(of_features)?, member.name(), run)?)
                }
                Member::SpatialLeiden => {
                    let options =
                        NeighborsOptions { n_neighbors: CLUSTER_NEIGHBORS, ..NeighborsOptions::default() };
                    monitor.stage("neighbours in expression", 0);
                    let built = run.timed(Stage::Graph, || neighbors(of(member), &options, seed, monitor))?;
                    View::Neighbors(vec![built.connectivities])
                }
                // Of the tissue, not of a modality.
                Member::Image => continue,
            });
        }
        Ok(views)
    }

    /// What the picture shows: components of its features, averaged over the neighbours in space.
    fn picture(
        &self,
        scene: &Scene<'_>,
        near: &CsrMatrix<f64>,
        run: &mut Run<'_>,
    ) -> Result<View, PipelineError> {
        let place = (self.place.spatial_key.as_str(), scene.slices());
        let picture = Picture { slide: &self.slide, encoder: &self.encoder, networks: &self.networks };
        let made = image_features(scene.tissue, &picture, place, run)?;
        let averaged = neighbor_means(made.comparable.view(), near.view());
        let components = pca_dense(averaged.view(), COMPONENTS).map_err(of_features)?;
        Ok(View::Embedding(self.across(scene.slices(), components, Member::Image.name(), run)?))
    }

    /// Components without the differences of slices, where that was asked for; `of` parts the random streams.
    fn across(
        &self,
        slices: Option<&Slices>,
        components: Array2<f64>,
        of: &str,
        run: &mut Run<'_>,
    ) -> Result<Array2<f64>, PipelineError> {
        let Some(integration) = self.agreement.integrate else { return Ok(components) };
        let seed = run.seed.derive(&format!("domains/harmony/{of}"), 0);
        integrated(components.view(), integration, slices, seed, run)
    }

    /// What the members but the picture agree on: so one sees what it changes.
    fn without_picture(
        &self,
        (runs, space): (&[Vec<Vec<u32>>], &CsrMatrix<f64>),
        n_clusters: usize,
        run: &mut Run<'_>,
    ) -> Result<Option<Vec<u32>>, PipelineError> {
        let others: Vec<Vec<Vec<u32>>> = runs
            .iter()
            .zip(&self.agreement.members)
            .filter(|(_, member)| **member != Member::Image)
            .map(|(runs, _)| runs.clone())
            .collect();
        if others.is_empty() || others.len() == runs.len() {
            return Ok(None);
        }
        let monitor = run.monitor;
        let found =
            run.timed(Stage::Cluster, || members(&others, Some(space.view()), n_clusters, monitor))?;
        Ok(Some(found.labels))
    }

    /// Where the spots lie, and the graphs that the members stand on.
    fn surroundings(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<Surroundings, PipelineError> {
        let coordinates = scene.tissue.coordinates(&self.place.spatial_key)?;
        let mut graph = |n_neighbors| expression::graph(coordinates.view(), n_neighbors, scene.slices(), run);
        let near = graph(NEIGHBORS)?;
        let averages = self.agreement.members.contains(&Member::Smoothed);
        let wide = averages.then(|| graph(SMOOTHED_NEIGHBORS)).transpose()?;
        Ok(Surroundings { coordinates, near, wide })
    }

    /// The labels of `n_runs` runs of each member, all found side by side; `purpose` parts the random streams of the final
    /// runs from those of a search.
    fn label(
        &self,
        (views, space): (&[View], &CsrMatrix<f64>),
        n_clusters: usize,
        (n_runs, n_init): (usize, usize),
        purpose: &str,
        run: &mut Run<'_>,
    ) -> Result<Vec<Vec<Vec<u32>>>, PipelineError> {
        let mixture = GmmOptions {
            n_components: n_clusters,
            model: self.agreement.gmm_model,
            n_init,
            subset: SUBSET.max(2 * n_clusters),
            ..GmmOptions::default()
        };
        let (seed, monitor) = (run.seed, run.monitor);
        let seed_of = |member: Member, round| {
            seed.derive("domains/member", member as u64).derive(purpose, round as u64)
        };
        // What one run of several misses is no news.
        let own = |member: Member, is_silent: bool| OfMember {
            name: member.name(),
            whole: monitor,
            is_silent: is_silent || purpose == SEARCH,
        };
        let of = |(member, view, rounds): (Member, &View, Range<usize>)| {
            monitor.check()?;
            let found = match view {
                View::Embedding(embedding) => rounds
                    .clone()
                    .map(|round| {
                        let (seed, own) = (seed_of(member, round), own(member, round > 0));
                        Ok(gmm(embedding.view(), &mixture, seed, &own)?.labels)
                    })
                    .collect::<Result<Vec<_>, PipelineError>>()?,
                View::Neighbors(graphs) => {
                    let layers: Vec<Layer<'_>> = graphs.iter().chain([space]).map(Layer::new).collect();
                    let (search, last) = (SearchOptions::default(), Some(graphs.len()));
                    let seeds: Vec<Seed> = rounds.clone().map(|round| seed_of(member, round)).collect();
                    let silent = own(member, true);
                    let found =
                        search_n_clusters_by_seed(&layers, last, n_clusters, &search, &seeds, &silent)?;
                    if let Some(first) = found.first() {
                        note_unreached(&first.last, n_clusters, &own(member, false));
                    }
                    found.into_iter().map(|found| found.last.partition.membership).collect()
                }
            };
            if purpose != SEARCH {
                monitor.advance(rounds.len() as u64);
            }
            Ok(found)
        };
        // Runs of a graph share what they find on the way, and take longest.
        let shared = |view: &View| matches!(view, View::Neighbors(_));
        let mut tasks: Vec<(usize, Range<usize>)> = views
            .iter()
            .enumerate()
            .flat_map(|(at, view)| {
                let step = if shared(view) { n_runs } else { 1 };
                (0..n_runs).step_by(step).map(move |first| (at, first..first + step))
            })
            .collect();
        tasks.sort_by_key(|(at, _)| !shared(&views[*at]));
        let found: Vec<Vec<Vec<u32>>> = run.timed(Stage::Cluster, || {
            let runs = tasks.par_iter();
            let runs =
                runs.map(|(at, rounds)| of((self.agreement.members[*at], &views[*at], rounds.clone())));
            runs.try_collect_vec::<_, PipelineError>()
        })?;
        let mut labels: Vec<Vec<Vec<u32>>> = views.iter().map(|_| Vec::new()).collect();
        tasks.iter().zip(found).for_each(|((at, _), found)| labels[*at].extend(found));
        Ok(labels)
    }

    /// The number of domains that the members agree on best, and all that were tried.
    fn number(
        &self,
        (views, space): (&[View], &CsrMatrix<f64>),
        n_obs: usize,
        run: &mut Run<'_>,
    ) -> Result<(usize, Vec<TriedAgreement>), PipelineError> {
        let monitor = run.monitor;
        let most = self.agreement.max_clusters.min(n_obs.saturating_sub(1)).max(2);
        monitor.stage("number of domains", (most - 1) as u64);
        let mut tried = Vec::with_capacity(most - 1);
        for n_clusters in 2..=most {
            let of = (SEARCH_RUNS, SEARCH_STARTS);
            let runs = self.label((views, space), n_clusters, of, SEARCH, run)?;
            tried.push(TriedAgreement { n_clusters, agreement: mean_agreement(&runs)? });
            monitor.advance(1);
        }
        let n_clusters = best(&tried);
        let others = candidates(&tried, n_clusters);
        let others = if others.is_empty() {
            String::new()
        } else {
            let of = |t: &TriedAgreement| format!("{} ({:.2})", t.n_clusters, t.agreement);
            format!("; they also agree on {}", others.iter().map(of).collect::<Vec<_>>().join(", "))
        };
        let at = tried[n_clusters - 2].agreement;
        monitor.note(&format!(
            "{n_clusters} domains, the number on which the members agree best (mean ARI {at:.2}){others}; {} asks for \
             another number",
            Opt("n_clusters")
        ));
        Ok((n_clusters, tried))
    }
}

fn of_features(source: PreprocessError) -> PipelineError {
    PipelineError::Preprocess { modality: "features".to_owned(), source }
}

/// Where the spots lie, and who is near whom.
struct Surroundings {
    coordinates: Array2<f64>,
    /// The 6 nearest: of a hop, of SpatialLeiden, of the vote on the map.
    near: CsrMatrix<f64>,
    /// The 10 nearest, where somebody averages over them.
    wide: Option<CsrMatrix<f64>>,
}

/// What a member clusters.
enum View {
    /// Rows of an embedding.
    Embedding(Array2<f64>),
    /// Neighbours in expression, of each modality, beside those in space.
    Neighbors(Vec<CsrMatrix<f64>>),
}

/// What a member sees of several modalities at once.
///
/// Embeddings are put side by side, each divided by the root of its total variance so that none outweighs another, and
/// their leading components taken, as many as one has.
fn joined(views: Vec<View>) -> Result<View, PipelineError> {
    if views.len() == 1 {
        return Ok(views.into_iter().next().expect("one"));
    }
    let (mut blocks, mut graphs, mut n_components) = (Vec::new(), Vec::new(), 0);
    for view in views {
        match view {
            View::Neighbors(own) => graphs.extend(own),
            View::Embedding(mut block) => {
                n_components = block.ncols().max(n_components);
                if let Some(mean) = block.mean_axis(Axis(0)) {
                    block -= &mean;
                }
                let total = block.iter().map(|v| v * v).sum::<f64>();
                if total > 0.0 {
                    block *= (block.nrows() as f64 / total).sqrt();
                }
                blocks.push(block);
            }
        }
    }
    if blocks.is_empty() {
        return Ok(View::Neighbors(graphs));
    }
    let of: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    let wide = concatenate(Axis(1), &of).expect("all of the same spots");
    Ok(View::Embedding(pca_dense(wide.view(), n_components).map_err(of_features)?))
}

/// What a member has to say, said in its name; its stages are not those of the run.
struct OfMember<'a> {
    name: &'static str,
    whole: &'a dyn Monitor,
    is_silent: bool,
}

impl Monitor for OfMember<'_> {
    fn note(&self, message: &str) {
        if !self.is_silent {
            self.whole.note(&format!("{}: {message}", self.name));
        }
    }

    fn warn(&self, message: &str) {
        if !self.is_silent {
            self.whole.warn(&format!("{}: {message}", self.name));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.whole.is_interrupted()
    }
}

/// The number that members agree on best; of those that are [as good](AS_GOOD) the smallest.
///
/// Two domains are the easiest to agree on (white and grey matter, tumour and the rest) and rarely what is asked for: they
/// are taken only where the agreement on more is less than half of that.
fn best(tried: &[TriedAgreement]) -> usize {
    let more: Vec<&TriedAgreement> = tried.iter().filter(|t| t.n_clusters > 2).collect();
    let two = tried.iter().find(|t| t.n_clusters == 2);
    let highest = more.iter().map(|t| t.agreement).fold(f64::NEG_INFINITY, f64::max);
    match (more.iter().find(|t| t.agreement >= highest - AS_GOOD), two) {
        (Some(_), Some(two)) if two.agreement > 0.0 && highest < 0.5 * two.agreement => 2,
        (Some(found), _) => found.n_clusters,
        (None, _) => 2,
    }
}

/// Other numbers on which the members agree better than on their neighbours, the best first.
fn candidates(tried: &[TriedAgreement], chosen: usize) -> Vec<TriedAgreement> {
    let at = |i: Option<usize>| i.and_then(|i| tried.get(i)).map_or(f64::NEG_INFINITY, |t| t.agreement);
    let mut peaks: Vec<TriedAgreement> = (0..tried.len())
        .filter(|&i| tried[i].n_clusters != chosen)
        .filter(|&i| tried[i].agreement > at(i.checked_sub(1)) && tried[i].agreement > at(Some(i + 1)))
        .map(|i| tried[i])
        .collect();
    peaks.sort_by(|a, b| b.agreement.total_cmp(&a.agreement));
    peaks.truncate(CANDIDATES);
    peaks
}

/// How well the members agree on a number of domains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TriedAgreement {
    /// Domains.
    pub n_clusters: usize,
    /// Mean adjusted Rand index of two members.
    pub agreement: f64,
}

/// One member of a run.
#[derive(Clone, Debug, Serialize)]
pub struct MemberReport {
    /// Its name.
    pub name: &'static str,
    /// Share of its vote.
    pub weight: f64,
    /// Mean adjusted Rand index with the others; 1 where there are none.
    pub agreement: f64,
    /// Domains it found.
    pub n_clusters: usize,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
}

/// What is known of a run beside what is known of every one.
#[derive(Clone, Debug, Serialize)]
pub struct DomainsFacts {
    /// The features, by modality.
    pub features: IndexMap<String, FeatureSummary>,
    /// The members.
    pub members: Vec<MemberReport>,
    /// Where no number of domains was given: how well the members agree on each.
    pub agreement_by_number: Vec<TriedAgreement>,
    /// Mean entropy of the votes on a spot, 0 to 1.
    pub mean_entropy: f64,
    /// The map without the picture, where that is a member.
    pub without_picture: Option<WithoutPicture>,
}

/// What the picture changed.
#[derive(Clone, Debug, Serialize)]
pub struct WithoutPicture {
    /// Adjusted Rand index of the maps with it and without.
    pub agreement: f64,
    /// Agreement of the map without it with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
}

impl Facts for DomainsFacts {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .members
            .iter()
            .map(|m| {
                let truth = m.metrics.as_ref().map_or(String::new(), |t| format!(", ARI {:.3}", t.ari));
                let percent = 100.0 * m.weight;
                format!("member {:<20} agreement {:.2}, weight {percent:.0} %{truth}", m.name, m.agreement)
            })
            .collect();
        if let Some(without) = &self.without_picture {
            let truth =
                without.metrics.as_ref().map_or(String::new(), |t| format!("; its own ARI {:.3}", t.ari));
            lines.push(format!("without the picture: ARI {:.2} with this map{truth}", without.agreement));
        }
        lines.push(format!("mean entropy {:.2} (0: all members agree on every spot)", self.mean_entropy));
        if !self.agreement_by_number.is_empty() {
            let of = |t: &TriedAgreement| format!("{}: {:.2}", t.n_clusters, t.agreement);
            let curve: Vec<String> = self.agreement_by_number.iter().map(of).collect();
            lines.push(format!("agreement by number of domains: {}", curve.join(", ")));
        }
        lines
    }
}

/// A modality as it took part.
struct Modality {
    info: ModalityInfo,
    /// Without its values.
    expression: Expression,
    features: FeatureSummary,
}

/// What the solution leaves for the record.
pub struct Agreed {
    modalities: Vec<Modality>,
    /// Labels of each member's runs.
    runs: Vec<Vec<Vec<u32>>>,
    members: Members,
    /// The map that the other members make, where the picture is one.
    without_picture: Option<Vec<u32>>,
    tried: Vec<TriedAgreement>,
}

impl Method for DomainsRequest {
    type Solved = Agreed;
    type Facts = DomainsFacts;

    fn frame(&self) -> Frame<'_> {
        Frame {
            modality: self.features.modality,
            features: Some(&self.features),
            integrate: Some(self.agreement.integrate),
            ..Frame::new(keys::DOMAINS, "domains that methods agree on", &self.place, &self.naming)
        }
    }

    fn reads(&self, reads: &mut Reads) {
        if self.slide.is_asked_for() {
            reads.uns.push(keys::SPATIAL.to_owned());
        }
    }

    fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.networks.check(&self.encoder)?;
        check_n_neighbors("refine", self.agreement.refine, n_obs)?;
        self.given().map_or(Ok(()), |k| check_n_clusters(k, n_obs))
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        // The members' components, and their copies on the way to a mixture.
        let width = (4 + HOPS) * COMPONENTS;
        let embeddings = 16 * (scene.n_obs() * width * scene.tissue.modalities().len()) as u64;
        let clustering = Work {
            n_obs: scene.n_obs(),
            latent: vec![(CLUSTER_NEIGHBORS, COMPONENTS); scene.tissue.modalities().len()],
            spatial: Some(NEIGHBORS + SMOOTHED_NEIGHBORS),
            n_clusterings: 1,
            ..Work::default()
        };
        let mut bytes = clustering.bytes() + embeddings;
        for info in scene.tissue.modalities() {
            let expected = expression::expected(scene, info, &self.wanted())?;
            let (n_obs, width) = (scene.n_obs(), expected.n_features);
            let smoothed = smoothed_bytes(n_obs, &expected, SMOOTHED_NEIGHBORS) + product_bytes(n_obs, width);
            let work = self.banksy_options().memory_bytes(n_obs, width).max(smoothed);
            bytes = (expected.with(work) + clustering.graphs_in_space()).max(bytes);
        }
        let forecast = Forecast { bytes, seconds: None };
        Ok(Some(Need { forecast, advice: Box::new(|_| FEWER_SPOTS.to_owned()) }))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, Agreed), PipelineError> {
        let monitor = run.monitor;
        let surroundings = self.surroundings(scene, run)?;
        let mut modalities = Vec::new();
        let mut seen: Vec<Vec<View>> = self.agreement.members.iter().map(|_| Vec::new()).collect();
        // First, since a picture that is missing or does not fit is told at once then.
        if let Some(place) = self.agreement.members.iter().position(|m| *m == Member::Image) {
            seen[place].push(self.picture(scene, &surroundings.near, run)?);
        }
        for info in scene.tissue.modalities() {
            let mut expression = expression::prepare(scene, info, &self.wanted(), run)?;
            let features = expression.summary();
            let values = std::mem::replace(&mut expression.values, CsrMatrix::with_capacity(0, 0, 0));
            let of_expression =
                seen.iter_mut().zip(&self.agreement.members).filter(|(_, m)| **m != Member::Image);
            let views = self.views(scene.slices(), &values, &surroundings, run)?;
            of_expression.zip(views).for_each(|((seen, _), view)| seen.push(view));
            modalities.push(Modality { info: info.clone(), expression, features });
        }
        let views = seen.into_iter().map(joined).collect::<Result<Vec<View>, PipelineError>>()?;
        let space = surroundings.near;
        let (n_clusters, tried) = match self.given() {
            Some(k) => (k, Vec::new()),
            None => self.number((&views, &space), scene.n_obs(), run)?,
        };
        monitor.stage("members", (views.len() * self.agreement.restarts) as u64);
        let of = (self.agreement.restarts, self.agreement.n_init);
        let runs = self.label((&views, &space), n_clusters, of, "domains/run", run)?;
        drop(views);
        monitor.stage("agreement", 0);
        let found = run.timed(Stage::Cluster, || members(&runs, Some(space.view()), n_clusters, monitor))?;
        let without_picture = self.without_picture((&runs, &space), n_clusters, run)?;
        let agreement = found.mean_agreement();
        if runs.len() > 1 && agreement < LITTLE {
            monitor.warn(&format!(
                "the members agree little on {n_clusters} domains (mean ARI {agreement:.2}), so the map is in doubt: \
                 see where in the entropy of each spot, or choose another number with {}",
                Opt("n_clusters")
            ));
        }
        let n_found = found.labels.iter().max().map_or(0, |m| *m as usize + 1);
        let outcome = Outcome::Labels(Labels {
            labels: found.labels.clone(),
            quality: agreement,
            reached: n_found == n_clusters,
            refine: self.agreement.refine,
        });
        Ok((outcome, Agreed { modalities, runs, members: found, without_picture, tried }))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        solved: Agreed,
        domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<DomainsFacts>, PipelineError> {
        let Agreed { modalities, mut runs, members: found, without_picture, tried } = solved;
        let monitor = run.monitor;
        let votes = run.timed(Stage::Cluster, || {
            let all: Vec<&[u32]> = runs.iter().flatten().map(Vec::as_slice).collect();
            let share = |(runs, weight): (&Vec<_>, &f64)| vec![weight / runs.len() as f64; runs.len()];
            let weights: Vec<f64> = runs.iter().zip(&found.weights).flat_map(share).collect();
            member_votes(&domains.labels, &all, &weights)
        })?;
        // What stands for a member: the run that agrees best with the other members.
        let taken = run.timed(Stage::Cluster, || agreeing_runs(&runs, monitor))?;
        let labels: Vec<Vec<u32>> =
            runs.iter_mut().zip(taken).map(|(runs, taken)| runs.swap_remove(taken)).collect();
        drop(runs);
        let key = self.frame().key();
        let truth = truth_key(scene.tissue, self.naming.truth.as_deref())?;
        let mut reports = Vec::with_capacity(labels.len());
        for (m, (member, own)) in self.agreement.members.iter().zip(&labels).enumerate() {
            reports.push(MemberReport {
                name: member.name(),
                weight: found.weights[m],
                agreement: found.agreement_with_others(m),
                n_clusters: own.iter().max().map_or(0, |l| *l as usize + 1),
                metrics: truth.as_deref().map(|t| score_truth(scene.tissue, t, own)).transpose()?,
            });
            if self.agreement.member_labels {
                let column = Column::Categorical(Categorical::from_labels(own));
                run.target(None).obs.insert(format!("{key}_{}", member.name()), column);
            }
        }
        let mean_entropy = votes.entropy.iter().sum::<f64>() / votes.entropy.len().max(1) as f64;
        let root = run.target(None);
        root.obs.insert(format!("{key}_entropy"), Column::Float64(votes.entropy));
        root.obsm.insert(format!("{key}_probability"), votes.probabilities.mapv(|p| p as f32).into());
        let (mut features, mut preprocess) = (IndexMap::new(), serde_json::Map::new());
        let mut hash = Fingerprint::default();
        for Modality { info, expression, features: own } in modalities {
            hash = hash.text(&info.name).text(&expression.data_hash);
            preprocess.insert(info.name.clone(), expression.describe(&self.features));
            features.insert(info.name.clone(), own);
            let column = Column::Bool(expression.selected);
            run.target(info.key.as_deref()).var.insert(format!("{key}_features"), column);
        }
        let without_picture = match without_picture {
            Some(other) => Some(WithoutPicture {
                agreement: adjusted_rand_index(&other, &domains.labels)?,
                metrics: truth.as_deref().map(|t| score_truth(scene.tissue, t, &other)).transpose()?,
            }),
            None => None,
        };
        let params = json!({
            "slide": self.slide.is_asked_for().then_some(&self.slide),
            "encoder": self.slide.is_asked_for().then_some(&self.encoder),
            "members": self.agreement.members,
            "n_clusters": self.agreement.n_clusters,
            "restarts": self.agreement.restarts,
            "n_init": self.agreement.n_init,
            "gmm_model": self.agreement.gmm_model,
            "random_state": run.seed.0,
            "spatial_key": self.place.spatial_key,
            "library_key": scene.library_key,
            "refine": self.agreement.refine,
            "preprocess": preprocess,
        });
        let mut written = Written::from([
            ("features".to_owned(), json!(features).into()),
            ("members".to_owned(), json!(self.agreement.members).into()),
            ("weights".to_owned(), json!(found.weights).into()),
            ("agreement".to_owned(), Value::Array(Array::F64(found.agreement.into_dyn()))),
        ]);
        if !tried.is_empty() {
            let numbers: Vec<usize> = tried.iter().map(|t| t.n_clusters).collect();
            let agreement: Vec<f64> = tried.iter().map(|t| t.agreement).collect();
            let curve = json!({ "n_clusters": numbers, "agreement": agreement });
            written.insert("agreement_by_number".to_owned(), curve.into());
        }
        Ok(Finished {
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: Some(hash.hex()),
            written,
            facts: DomainsFacts {
                features,
                members: reports,
                agreement_by_number: tried,
                mean_entropy,
                without_picture,
            },
        })
    }
}

/// Mean adjusted Rand index of two different members, over all their runs; 1 where there is one member.
fn mean_agreement(runs: &[Vec<Vec<u32>>]) -> Result<f64, PipelineError> {
    let (mut sum, mut n) = (0.0, 0);
    for (m, one) in runs.iter().enumerate() {
        for (first, second) in one.iter().flat_map(|a| runs[..m].iter().flatten().map(move |b| (a, b))) {
            sum += adjusted_rand_index(first, second)?;
            n += 1;
        }
    }
    Ok(if n > 0 { sum / f64::from(n) } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(agreement: &[f64]) -> Vec<TriedAgreement> {
        let of = |(i, &agreement): (usize, &f64)| TriedAgreement { n_clusters: i + 2, agreement };
        agreement.iter().enumerate().map(of).collect()
    }

    #[test]
    fn the_best_number_is_a_peak_and_two_only_where_no_other_is_near() {
        assert_eq!(best(&curve(&[0.92, 0.47, 0.50, 0.64, 0.62, 0.645, 0.55])), 5);
        assert_eq!(best(&curve(&[0.2, 0.3, 0.9, 0.4])), 4);
        assert_eq!(best(&curve(&[0.98, 0.4, 0.45])), 2);
        assert_eq!(best(&curve(&[0.1])), 2);
    }

    #[test]
    fn candidates_are_the_other_peaks() {
        let tried = curve(&[0.92, 0.47, 0.50, 0.45, 0.64, 0.55]);
        let numbers: Vec<usize> = candidates(&tried, 6).iter().map(|t| t.n_clusters).collect();
        assert_eq!(numbers, [2, 4]);
    }

    #[test]
    fn members_are_named_once_and_a_misnamed_one_is_refused() {
        let said = |text: &str| Said::new(serde_json::from_str(text).expect("an object"));
        let of = |text: &str| DomainsRequest::from_said(&said(text));
        let request = of(r#"{ "members": ["hops", "banksy.8"], "n_clusters": 5 }"#).expect("valid");
        assert_eq!(request.agreement.members, [Member::Hops, Member::BanksyAround]);
        assert_eq!(request.banksy_options().lambdas, [0.0, 0.8]);
        assert_eq!(of("{}").expect("defaults").agreement.members, Member::DEFAULT);
        for wrong in
            [r#"{ "members": [] }"#, r#"{ "members": ["hops", "hops"] }"#, r#"{ "members": ["hop"] }"#]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
