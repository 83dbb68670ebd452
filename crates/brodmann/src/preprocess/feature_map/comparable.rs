//! Measured values on the scale that decoding leads back to.

use brodmann_kernels::CsrMatrix;

use crate::preprocess::{LsiOptions, Modality, SizeFactors, clr, log_tfidf, log1p, row_totals};

/// Log-normalised, CLR or log TF-IDF values of all columns: what denoised values are compared with.
///
/// # Inputs
/// `counts`: raw counts. `target_sum`: total of each spot, RNA alone.
/// # Cost
/// One copy.
pub fn comparable(counts: CsrMatrix<f32>, kind: Modality, target_sum: f64) -> CsrMatrix<f32> {
    let mut x = counts;
    match kind {
        Modality::Rna => {
            SizeFactors::to_total(row_totals(x.view(), None), target_sum).apply(&mut x);
            log1p(&mut x);
            x
        }
        Modality::Adt => {
            clr(&mut x);
            x
        }
        Modality::Atac => log_tfidf(x.view(), LsiOptions::default().scale_factor),
    }
}
