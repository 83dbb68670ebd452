//! Every reader as a plain function of a path: an answer or an error in words, never a panic, never without end.

use std::path::Path;

use brodmann::pipeline::tensor_file::TensorFile;
use brodmann_data::{OpenOptions, ReadOptions, open_any, picture, read_named_rows, read_npy};
use brodmann_kernels::{Diagnosis, Silent};

/// What a reader said; the error in its words.
pub type Answer = Result<(), String>;

/// A reader.
pub type Target = fn(&Path) -> Answer;

fn told<T, E: Diagnosis>(answer: Result<T, E>) -> Answer {
    answer.map(drop).map_err(|e| format!("{e}. {}", e.advice().unwrap_or_default()))
}

/// Whatever it is, as `convert` reads it.
pub fn container(path: &Path) -> Answer {
    told(open_any(path, &OpenOptions::default(), &ReadOptions::default(), &Silent))
}

/// A picture, all of its smallest level.
pub fn slide(path: &Path) -> Answer {
    told(picture::Slide::open(path).and_then(|slide| {
        let level = slide.levels().len().saturating_sub(1);
        let (width, height) = slide.levels().last().map_or((0, 0), |l| (l.width.min(512), l.height.min(512)));
        slide.region(level, 0..height, 0..width)
    }))
}

/// An array of numpy.
pub fn npy(path: &Path) -> Answer {
    told(read_npy(path))
}

/// A table joined by names.
pub fn named_rows(path: &Path) -> Answer {
    let ids: Vec<String> = ["s0", "s1", "s2"].map(str::to_owned).to_vec();
    told(read_named_rows(path, &ids, path))
}

/// A saved model.
pub fn tensors(path: &Path) -> Answer {
    told(TensorFile::read(path, "staig", "a model of STAIG"))
}
