//! Every reader on mutated files: an answer or an error in words, never a panic, never without end. A bounded number of
//! them; `bash fuzz/run --minutes N` does as many as there is time for.

mod common;
#[path = "../../../fuzz/src/engine.rs"]
mod engine;
#[path = "../../../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/src/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use common::Folder;
use engine::{Draws, mutated};
use seeds::Seed;

/// Mutations of each kind of file in a test run.
const EACH: u64 = 60;
/// A small file that takes longer hangs.
const HANGS_AFTER: Duration = Duration::from_secs(30);

fn simulated(folder: &Folder) -> impl Fn(&Path, &str) + '_ {
    |path, modalities| {
        let more = ["--modalities", modalities, "--n-genes", "12", "--n-proteins", "5"];
        folder.simulate(&path.display().to_string(), 5, &more);
    }
}

/// Changes one file of a seed, reads it, and puts it back; what was wrong.
fn one(seed: &Seed, index: u64, counts: &mut BTreeMap<&'static str, u64>) -> Option<String> {
    let mut draws = Draws::of(seed.name, index);
    let path = &seed.files[draws.below(seed.files.len())];
    let other = fs::read(&seed.files[draws.below(seed.files.len())]).expect("read");
    let own = fs::read(path).expect("read");
    fs::write(path, mutated(&own, &other, &mut draws)).expect("written");
    let start = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| (seed.target)(&seed.given)));
    let took = start.elapsed();
    fs::write(path, &own).expect("put back");
    let found = match answer {
        Err(_) => Some("panicked".to_owned()),
        Ok(_) if took > HANGS_AFTER => Some(format!("took {took:?}")),
        Ok(Err(said)) if said.len() < 12 => Some(format!("said only {said:?}")),
        Ok(answer) => {
            *counts.entry(if answer.is_ok() { "ok" } else { "refused" }).or_default() += 1;
            None
        }
    };
    found.map(|what| format!("{} {index} ({}): {what}", seed.name, path.display()))
}

#[test]
fn no_mutated_file_brings_a_reader_down() {
    let folder = Folder::new();
    let seeds = seeds::seeds(&folder.path(""), &simulated(&folder));
    for seed in &seeds {
        // A seed that is refused as it is would test nothing; this card is of no whole model.
        let whole = (seed.target)(&seed.given);
        assert!(whole.is_ok() || seed.name == "safetensors", "{}: {whole:?}", seed.name);
    }
    let minutes: Option<f64> = std::env::var("BRODMANN_FUZZ_MINUTES").ok().and_then(|m| m.parse().ok());
    let until = minutes.map(|m| Instant::now() + Duration::from_secs_f64(60.0 * m));
    let (mut counts, mut findings) = (BTreeMap::new(), Vec::new());
    let (start, mut index) = (Instant::now(), 0);
    while until.map_or(index < EACH, |until| Instant::now() < until) {
        findings.extend(seeds.iter().filter_map(|seed| one(seed, index, &mut counts)));
        index += 1;
    }
    let report = serde_json::json!({
        "campaign": "mutations", "runs": index * seeds.len() as u64, "counts": counts, "findings": findings,
        "seconds": start.elapsed().as_secs(),
    });
    println!("{report}");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
