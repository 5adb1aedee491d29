//! The weights that ship with stir.

use candle_core::{DType, Device};

use super::denoiser::Denoiser;
use super::encoder::Encoder;
use super::keys;
use crate::error::Result;
use crate::weights::store::{Placement, Store};

static ENCODER: &[u8] = include_bytes!("../../../models/sway/encoder.safetensors");
static DENOISER: &[u8] = include_bytes!("../../../models/sway/denoiser.safetensors");

/// The image encoder's network, float32, on the device.
///
/// # Errors
/// Weights that do not fit this version of the network.
pub fn encoder(device: &Device) -> Result<Encoder> {
    let store = Store::new("models/sway/encoder.safetensors", ENCODER, keys::ENCODER, &placement(device))?;
    let network = Encoder::load(&store.root())?;
    store.finish()?;
    Ok(network)
}

/// The denoiser's network, float32, on the device.
///
/// # Errors
/// Weights that do not fit this version of the network.
pub fn denoiser(device: &Device) -> Result<Denoiser> {
    let store = Store::new("models/sway/denoiser.safetensors", DENOISER, keys::DENOISER, &placement(device))?;
    let network = Denoiser::load(&store.root())?;
    store.finish()?;
    Ok(network)
}

/// The networks are so small that float32 costs nothing, and exactness is worth more than speed.
fn placement(device: &Device) -> Placement {
    Placement { dtype: DType::F32, device: device.clone() }
}
