//! Blocks that come to the GPU beside its computation, and results that leave it so: both bit for bit what they are without.

use candle_core::{DType, Device, Tensor};
use stir::backend::carriers::{self, Kept};
use stir::backend::reader::Reader;
use stir::models::ltx::config::TransformerConfig;
use stir::models::ltx::rope::{LatentGrid, Rope};
use stir::models::ltx::timestep::FrameLevels;
use stir::models::ltx::transformer::{Transformer, TransformerInputs};
use stir::units::Fps;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};
use stir::weights::synthetic::Synthetic;

use crate::harness::{bits, device, runs};
use crate::samples::random;

/// Wide enough that a block takes some time to copy, and with more blocks than are on the device at a time.
const CONFIG: TransformerConfig = TransformerConfig { layers: 6, ..TransformerConfig::RELEASED };
const GRID: LatentGrid = LatentGrid { frames: 4, height: 16, width: 16 };

fn store(files: &WeightFiles) -> Store<'_> {
    let placement = Placement { dtype: DType::BF16, device: device().clone() };
    Store::open(files, KeyMap::IDENTITY, &placement).unwrap()
}

fn velocity(network: &Transformer) -> Tensor {
    let text = random(&[1, 32, CONFIG.caption_channels], 2, DType::F32);
    let inputs = TransformerInputs {
        latents: &random(&[1, CONFIG.channels, GRID.frames, GRID.height, GRID.width], 1, DType::F32),
        levels: &FrameLevels::new(&[0.0, 0.5, 0.5, 0.5]),
        context: &network.context(&text).unwrap(),
        rope: &Rope::new(&CONFIG, GRID, Fps(25.0), device()).unwrap(),
        perturbation: None,
    };
    network.forward(&inputs).unwrap()
}

#[test]
fn velocities_do_not_depend_on_where_blocks_wait() {
    let files = WeightFiles::synthetic(Synthetic::new("offloaded", 1, &[]));
    let resident = bits(&velocity(&Transformer::load(&store(&files).root(), &CONFIG).unwrap()));
    for kept in [Kept::InPinnedMemory, Kept::WhereTheyAre] {
        let carrier = carriers::to(device(), kept).unwrap();
        assert!(carrier.is_some());
        let network = Transformer::streamed(store(&files), &CONFIG, carrier).unwrap();
        for run in 0..runs() {
            assert!(bits(&velocity(&network)) == resident, "{kept:?}, run {run}: other bits");
        }
    }
}

#[test]
fn results_are_read_while_the_next_are_computed() {
    let mut reader = Reader::new(device()).unwrap();
    let mut expected = Vec::new();
    let mut found = Vec::new();
    for index in 0..20 {
        while !reader.takes_more() {
            found.push(reader.finish().unwrap().unwrap());
        }
        let x = random(&[300, 200 + index], index as u64, DType::BF16).to_device(device()).unwrap();
        let product = x.matmul(&x.t().unwrap()).unwrap();
        expected.push(product.to_device(&Device::Cpu).unwrap());
        reader.begin(product).unwrap();
    }
    while let Some(tensor) = reader.finish().unwrap() {
        found.push(tensor);
    }
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.device().is_cpu() && bits(found) == bits(expected));
    }
}
