use super::*;
use brodmann_kernels::Silent;

/// Writes counts for the tuning script.
#[test]
#[ignore = "export"]
fn export() {
    use std::io::Write;
    let Ok(dir) = std::env::var("SIM_OUT") else { return };
    let mods = std::env::var("SIM_MODS").unwrap_or_else(|_| "rna,adt,atac".into());
    let noise: f64 = std::env::var("SIM_NOISE").ok().and_then(|v| v.parse().ok()).unwrap_or(0.0);
    for seed in 0..3 {
        let options = SimulationOptions {
            seed: brodmann_kernels::Seed(seed),
            noise,
            image: true,
            modalities: mods.split(',').map(|m| m.parse().expect("name")).collect(),
            ..Default::default()
        };
        let s = simulate(&options, &Silent).expect("simulate");
        for m in &s.modalities {
            let d = m.counts.view().to_dense();
            ndarray_npy::write_npy(format!("{dir}/{}_{seed}.npy", m.name), &d).expect("npy");
        }
        let gt = ndarray::Array1::from(s.ground_truth.clone());
        ndarray_npy::write_npy(format!("{dir}/gt_{seed}.npy"), &gt).expect("npy");
        ndarray_npy::write_npy(format!("{dir}/xy_{seed}.npy"), &s.coordinates).expect("npy");
        let mut f = std::fs::File::create(format!("{dir}/he_{seed}.ppm")).expect("file");
        write!(f, "P6\n{} {}\n255\n", s.images[0].width, s.images[0].height).expect("w");
        f.write_all(&s.images[0].rgb).expect("w");
    }
}
