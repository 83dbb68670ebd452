//! Features of a patch by the weights of a file: `cargo run --example embed -- resnet50.pth`.

use std::path::Path;

use brodmann_networks::{Encoder, ResNet};
use ndarray::Array4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a file of weights")?;
    let network = ResNet::open(Path::new(&path))?;
    let patch = Array4::from_shape_fn((1, 3, 224, 224), |(_, c, i, j)| {
        ((c * 17 + i * 7 + j * 3) % 256) as f32 / 255.0
    });
    let features = network.embed(patch.view())?;
    println!("{}: {} features", network.name(), network.n_features());
    println!("{:?}", features.iter().take(5).collect::<Vec<_>>());
    Ok(())
}
