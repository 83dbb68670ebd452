//! Which instruction set the vectorised kernels run on.
//!
//! Every kernel behind this module has one body, compiled once per instruction set and chosen at run time. AVX2 and AVX-512
//! give the same bits: lanes of sums are counted by the body, not by the instruction set. Their fused multiply-add rounds once
//! where the portable body rounds twice, so a processor without it differs in the last bits.

/// An instruction set the kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// x86-64 with AVX-512 F, DQ, BW and VL.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// What every processor of the architecture can do; no fused operations.
    Portable,
}

/// The instruction set in use: the fastest this processor has.
#[inline]
pub fn active() -> Simd {
    // The standard library caches the detection, so this is a load and two tests.
    if has(Simd::Avx512) {
        Simd::Avx512
    } else if has(Simd::Avx2) {
        Simd::Avx2
    } else {
        Simd::Portable
    }
}

/// Instruction sets this processor has, fastest first.
pub fn available() -> Vec<Simd> {
    [Simd::Avx512, Simd::Avx2, Simd::Portable].into_iter().filter(|&s| has(s)).collect()
}

/// Does this processor have the instruction set?
#[inline]
#[cfg(target_arch = "x86_64")]
pub fn has(simd: Simd) -> bool {
    let avx2 = || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match simd {
        Simd::Avx512 => {
            avx2()
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
        }
        Simd::Avx2 => avx2(),
        Simd::Portable => true,
    }
}

/// Does this processor have the instruction set?
#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub fn has(simd: Simd) -> bool {
    simd == Simd::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_has_the_portable_set_and_the_active_one() {
        assert_eq!(available().last(), Some(&Simd::Portable));
        assert!(has(active()));
    }
}
