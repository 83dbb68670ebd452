//! What can go wrong with a network, its files and its training.

use std::path::{Path, PathBuf};

use brodmann_kernels::{Blame, Diagnosis, Interrupted, OptionError};

/// Why a network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistologyError {
    /// A value that an option cannot have.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A file of weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Patches of another shape than the network takes.
    #[error("the patches have shape {found:?}; expected {expected}")]
    Patches {
        /// Their shape.
        found: Vec<usize>,
        /// What was expected.
        expected: String,
    },
    /// A patch with a value that is not a number.
    #[error("patch {patch} holds a value that is not finite; expected numbers between 0 and 1")]
    NotFinite {
        /// Its number.
        patch: usize,
    },
    /// The source of the patches failed.
    #[error("patch {patch} cannot be read ({detail})")]
    Source {
        /// Its number.
        patch: usize,
        /// What the source said.
        detail: String,
    },
    /// Too few patches to train on.
    #[error("there are {found} patches to train on; expected at least 2")]
    TooFewPatches {
        /// How many there are.
        found: usize,
    },
    /// Training went to infinity.
    #[error("the loss of epoch {epoch} is not finite; expected a number")]
    Diverged {
        /// Where it happened, from 1.
        epoch: usize,
    },
    /// A file of ONNX that is no network of patches, or none that can be computed here.
    #[error("{} cannot be used as a network of patches: {found}; expected {expected}", path.display())]
    Onnx {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What was expected.
        expected: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The machine has no such device.
    #[error("this machine has no {device}; expected one")]
    NoDevice {
        /// What was asked for.
        device: &'static str,
    },
    /// A checkpoint of another training.
    #[error("{} is a checkpoint of another training ({differences}); expected one of this training", path.display())]
    OtherTraining {
        /// The file.
        path: PathBuf,
        /// What differs.
        differences: String,
    },
    /// There is nothing to go on from.
    #[error("{} is missing; expected the checkpoint to go on from", path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
    },
}

impl Diagnosis for HistologyError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            Self::Weights(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Option(_) | Self::Interrupted(_) | Self::Weights(_) => return self.origin()?.advice(),
            Self::Patches { .. } => "cut the patches anew, or name another encoder".to_owned(),
            Self::NotFinite { .. } => "look at the picture there".to_owned(),
            Self::Source { .. } => "look at the picture".to_owned(),
            Self::TooFewPatches { .. } => {
                "use the network without training it, or give it more spots".to_owned()
            }
            Self::Diverged { .. } => "train with a lower learning rate or larger batches".to_owned(),
            Self::Onnx { advice, .. } => (*advice).to_owned(),
            Self::NoDevice { .. } => "use the CPU".to_owned(),
            Self::OtherTraining { .. } => "train into another folder or repeat the options it had".to_owned(),
            Self::NoCheckpoint { .. } => "start the training without going on".to_owned(),
        })
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Source { .. } | Self::NoCheckpoint { .. } | Self::Onnx { .. } => Blame::File(None),
            _ => self.origin().map_or(Blame::Value, Diagnosis::blame),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::OtherTraining { path, .. } | Self::NoCheckpoint { path } | Self::Onnx { path, .. } => {
                Some(path)
            }
            _ => self.origin()?.path(),
        }
    }
}

/// Why a file of weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{} cannot be read ({source})", path.display())]
    Read {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written ({source})", path.display())]
    Write {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is damaged or something else.
    #[error("{} holds no weights that can be read ({detail}); expected {expected}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file of PyTorch before version 1.6.
    #[error(
        "{} is in the format that PyTorch wrote before version 1.6; expected its zip format or safetensors",
        path.display()
    )]
    Legacy {
        /// The path as given.
        path: PathBuf,
    },
    /// A pickle that wants to run something.
    #[error("{} would call {call:?} on being opened; expected tensors and nothing else", path.display())]
    Calls {
        /// The path as given.
        path: PathBuf,
        /// What it would call.
        call: String,
    },
    /// A tensor of another shape.
    #[error("{} holds {name:?} of shape {found:?}; expected {expected:?}", path.display())]
    Shape {
        /// The path as given.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// That of the network.
        expected: Vec<usize>,
    },
    /// Tensors the network has and the file has not, or the other way round.
    #[error("{} {}; expected the {expected}", path.display(), unlike(missing, unknown))]
    Names {
        /// The path as given.
        path: PathBuf,
        /// What the network has and the file has not.
        missing: Vec<String>,
        /// What the file has and the network has not.
        unknown: Vec<String>,
        /// The network.
        expected: String,
    },
    /// A tensor that is not finite.
    #[error("{} holds a value under {name:?} that is not finite; expected numbers", path.display())]
    NotFinite {
        /// The path as given.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
}

/// What a file lacks and has too much of, with the first names of each.
fn unlike(missing: &[String], unknown: &[String]) -> String {
    let some = |verb: &str, names: &[String]| {
        let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        match names.len() {
            0 => None,
            n @ 1..=3 => Some(format!("{verb} {n} of its tensors ({})", first.join(", "))),
            n => Some(format!("{verb} {n} of its tensors ({}, …)", first.join(", "))),
        }
    };
    let lacks = some("lacks", missing);
    let more = some("holds", unknown).map(|t| t.replace("of its tensors", "tensors it does not have"));
    match (lacks, more) {
        (Some(a), Some(b)) => format!("{a} and {b}"),
        (a, b) => a.or(b).unwrap_or_default(),
    }
    .replace("its tensors", "the network's tensors")
    .replace("it does not have", "the network does not have")
}

impl Diagnosis for WeightsError {
    fn advice(&self) -> Option<String> {
        Some(
            match self {
                Self::Read { .. } => "name another file",
                Self::Write { .. } => "name another place",
                Self::Unreadable { .. } => {
                    "name a file of safetensors, or save the state dict anew in PyTorch"
                }
                Self::Legacy { .. } => "load it in a newer PyTorch and save its state dict again",
                Self::Calls { .. } => "open it where you trust it, and save its state dict alone",
                Self::Shape { .. } | Self::Names { .. } => {
                    "name weights of this network, with the names torchvision gives them"
                }
                Self::NotFinite { .. } => "name another file of weights",
            }
            .to_owned(),
        )
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => Blame::File(source.raw_os_error()),
            Self::Unreadable { .. } | Self::Legacy { .. } | Self::Calls { .. } => Blame::File(None),
            _ => Blame::Value,
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Unreadable { path, .. }
            | Self::Legacy { path }
            | Self::Calls { path, .. }
            | Self::Shape { path, .. }
            | Self::Names { path, .. }
            | Self::NotFinite { path, .. } => Some(path),
        }
    }
}
