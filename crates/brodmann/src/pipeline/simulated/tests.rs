use brodmann_data::{ReadOptions, read};
use brodmann_kernels::{Interrupted, Seed, Silent};

use super::*;
use crate::simulate::{SimModality, simulate};

fn options(modalities: &[SimModality]) -> SimulationOptions {
    SimulationOptions {
        side: 13,
        seed: Seed(9),
        modalities: modalities.to_vec(),
        slices: 2,
        batch_effect: 0.5,
        n_genes: 120,
        n_proteins: 11,
        n_peaks: 90,
        ..SimulationOptions::default()
    }
}

#[test]
fn a_streamed_file_holds_what_the_tissue_in_memory_holds_whatever_the_blocks() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = [SimModality::Rna, SimModality::Adt, SimModality::Atac];
    let cases = [
        ("h5ad", SimulationOptions { density: Some(0.05), ..options(&all[..1]) }),
        ("h5ad", SimulationOptions { noise: 1.0, image: true, ..options(&all[1..2]) }),
        ("h5mu", SimulationOptions { image: true, ..options(&all) }),
    ];
    for (ending, options) in cases {
        let whole = folder.path().join(format!("whole.{ending}"));
        let streamed = folder.path().join(format!("streamed.{ending}"));
        write_simulation(simulate(&options, &Silent).expect("simulated"), &whole).expect("written");
        let expected = read(&whole, &ReadOptions::default()).expect("read");
        for rows in [1, 50, 169, 10_000] {
            let report = stream_simulation(&options, &streamed, rows, &Silent).expect("streamed");
            assert_eq!(report.n_obs, 2 * 169);
            assert!(read(&streamed, &ReadOptions::default()).expect("read") == expected, "{ending}, {rows}");
        }
    }
}

#[test]
fn an_interrupted_stream_leaves_nothing() {
    struct Stop;
    impl Monitor for Stop {
        fn check(&self) -> Result<(), Interrupted> {
            Err(Interrupted)
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("tissue.h5ad");
    let stopped = stream_simulation(&options(&[SimModality::Rna]), &output, 100, &Stop);
    assert!(matches!(stopped, Err(PipelineError::Simulate(SimulateError::Interrupted(_)))));
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn a_block_stays_small_however_many_features_there_are() {
    let rows =
        |n_genes| default_rows_per_block(&SimulationOptions { n_genes, ..options(&[SimModality::Rna]) });
    assert_eq!(rows(2000) * 2000 / (1 << 23), 0);
    assert_eq!((rows(1), rows(usize::MAX)), (1 << 14, 256));
}
