//! Files of final latents with the record of their run.

use stir::pipeline::latent_file::LatentFile;
use stir::pipeline::latent_record::LatentRecord;
use stir::units::Grid;

#[path = "../scratch.rs"]
mod scratch;

/// Of `sway` and of LTX-Video.
const GRIDS: [Grid; 2] = [Grid { side: 1, frames: 1 }, Grid { side: 32, frames: 8 }];

/// One input: the record's text, or a whole file.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(record) = LatentRecord::parse(text, "fuzzed record")
    {
        assert_eq!(LatentRecord::parse(&record.to_json(), "its own record").expect("it was written"), record);
        for grid in GRIDS {
            let _ = record.framing(grid, "fuzzed record");
        }
    }
    let scratch = scratch::Scratch::new();
    let Ok(file) = LatentFile::open(&scratch.write("latents.safetensors", bytes)) else { return };
    if let Ok(shape) = file.shape()
        && !shape.contains(&0)
        && let Ok(latents) = file.read(&[("latents", shape.clone())].into())
    {
        assert_eq!(latents.parts["latents"].dims(), shape);
    }
}
