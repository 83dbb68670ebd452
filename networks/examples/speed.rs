//! Seconds per patch of ResNet-50 and per step of BYOL: `cargo run --release --example speed`.

use std::time::Instant;

use brodmann_kernels::{Seed, Silent};
use brodmann_networks::byol::AugmentOptions;
use brodmann_networks::{ByolOptions, Encoder, ResNet, ResNetShape, byol};
use ndarray::Array4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n: usize = std::env::args().nth(1).map_or(Ok(8), |v| v.parse())?;
    let network = ResNet::random(ResNetShape::RESNET_50, Seed(1))?;
    let patches = Array4::from_shape_fn((n, 3, 224, 224), |(p, c, i, j)| {
        ((p * 31 + c * 17 + i * 7 + j * 3) % 256) as f32 / 255.0
    });
    network.embed(patches.view())?;
    let start = Instant::now();
    network.embed(patches.view())?;
    println!("forward: {:.3} s per patch of {n}", start.elapsed().as_secs_f64() / n as f64);
    if std::env::args().nth(2).is_some() {
        let options = ByolOptions {
            epochs: 1,
            batch_size: n,
            augment: AugmentOptions::default(),
            ..ByolOptions::default()
        };
        let start = Instant::now();
        byol(&patches, &network, &options, Seed(1), None, &Silent)?;
        println!("BYOL: {:.1} s per step of {n} patches", start.elapsed().as_secs_f64());
    }
    Ok(())
}
