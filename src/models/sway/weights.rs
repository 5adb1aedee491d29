//! The weights of a `sway` model: those that ship with stir, or those in a folder that `scripts/sway/train` left.

use candle_core::{DType, Device};
use sha2::{Digest, Sha256};

use super::denoiser::Denoiser;
use super::encoder::Encoder;
use super::keys;
use crate::error::{Error, Result};
use crate::models::manifest::Manifest;
use crate::models::{Defaults, Location, WeightOrigin, WeightSource};
use crate::weights::checkpoint::Checkpoint;
use crate::weights::digest::hexadecimal;
use crate::weights::fingerprint;
use crate::weights::store::{Placement, Store};

const MANIFEST: &str = include_str!("../../../models/sway/manifest.toml");
const ENCODER: &str = "encoder.safetensors";
static EMBEDDED_ENCODER: &[u8] = include_bytes!("../../../models/sway/encoder.safetensors");
const DENOISER: &str = "denoiser.safetensors";
static EMBEDDED_DENOISER: &[u8] = include_bytes!("../../../models/sway/denoiser.safetensors");

/// Bytes of the weights that ship with stir, at 16 bits a value.
pub const EMBEDDED_BYTES: u64 = (EMBEDDED_ENCODER.len() + EMBEDDED_DENOISER.len()) as u64;

/// Both weight files of one model, their content verified, and what its makers recommend.
#[derive(Debug)]
pub struct Weights {
    defaults: Defaults,
    sums: [String; 2],
    encoder: Checkpoint,
    denoiser: Checkpoint,
}

impl Weights {
    /// The weights that ship with stir.
    ///
    /// # Errors
    /// A manifest or a file in `models/sway` that was changed before the program was built.
    pub fn embedded() -> Result<Self> {
        Self::open(&Location::Embedded)
    }

    /// Finds both files and verifies their content.
    ///
    /// # Errors
    /// A manifest that lists other files, and files that cannot be read or are not those that it lists.
    pub fn open(location: &Location) -> Result<Self> {
        match location {
            Location::Embedded => {
                let thing = "models/sway/manifest.toml";
                Self::of(&Manifest::parse(MANIFEST, thing)?, thing, |file, sha256| {
                    let bytes = if file == ENCODER { EMBEDDED_ENCODER } else { EMBEDDED_DENOISER };
                    Checkpoint::embedded(&format!("models/sway/{file}"), bytes, sha256)
                })
            }
            Location::Checkpoint(path) => {
                let hint = "check --model";
                Err(Error::run(path.display().to_string(), "a folder with a manifest of sway", "a checkpoint", hint))
            }
            Location::Named(entry) => {
                let hint = "check the list of models";
                Err(Error::run(&entry.name, "a model of sway", entry.family.clone(), hint))
            }
            Location::Synthetic(name) => {
                let hint = "check the list of models";
                Err(Error::run(name, "a model of sway", "a model with random weights", hint))
            }
            Location::Folder { path, manifest } => {
                let thing = path.join("manifest.toml").display().to_string();
                Self::of(manifest, &thing, |file, sha256| Checkpoint::open(&path.join(file), sha256))
            }
        }
    }

    /// The files that `manifest` lists, each opened by its name and checksum.
    fn of(manifest: &Manifest, thing: &str, open: impl Fn(&str, &str) -> Result<Checkpoint>) -> Result<Self> {
        let sums = &manifest.sha256;
        let (Some(encoder), Some(denoiser), 2) = (sums.get(ENCODER), sums.get(DENOISER), sums.len()) else {
            let found =
                if sums.is_empty() { "none".to_owned() } else { sums.keys().cloned().collect::<Vec<_>>().join(", ") };
            let hint = "have the manifest written again: python -m scripts.sway.manifest --models FOLDER";
            return Err(Error::input(thing, format!("checksums of {ENCODER} and {DENOISER}"), found, hint));
        };
        Ok(Self {
            defaults: manifest.defaults,
            sums: [encoder, denoiser].map(|sum| sum.to_ascii_lowercase()),
            encoder: open(ENCODER, encoder)?,
            denoiser: open(DENOISER, denoiser)?,
        })
    }

    /// Both files, whose content is known.
    pub fn sources(&self) -> Vec<WeightSource> {
        let source = |(network, name, sha256): (_, &str, &String)| {
            let (name, sha256) = (name.to_owned(), sha256.clone());
            WeightSource { network, origin: WeightOrigin::Known { name, sha256 } }
        };
        let [encoder, denoiser] = &self.sums;
        [("encoder", ENCODER, encoder), ("denoiser", DENOISER, denoiser)].map(source).to_vec()
    }

    /// What tells both files from others, in hexadecimal digits: see [`fingerprint`].
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for (name, checkpoint) in [(ENCODER, &self.encoder), (DENOISER, &self.denoiser)] {
            fingerprint::update(&mut digest, name, checkpoint.bytes());
        }
        hexadecimal(&digest.finalize())
    }

    /// What the manifest recommends.
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    /// Checks that the files, where there are some, are what they were when they were opened.
    ///
    /// # Errors
    /// A run error that names the file.
    pub fn check_unchanged(&self) -> Result<()> {
        self.encoder.check_unchanged().and_then(|()| self.denoiser.check_unchanged())
    }

    /// Bytes of the image encoder's weights in float32: their file has 16 bits a value.
    pub fn encoder_bytes(&self) -> u64 {
        2 * self.encoder.bytes().len() as u64
    }

    /// As [`encoder_bytes`](Self::encoder_bytes), of the denoiser.
    pub fn denoiser_bytes(&self) -> u64 {
        2 * self.denoiser.bytes().len() as u64
    }

    /// The image encoder's network, float32, on the device.
    ///
    /// # Errors
    /// Weights that do not fit this version of the network.
    pub fn encoder(&self, device: &Device) -> Result<Encoder> {
        let store = Store::new(self.encoder.name(), self.encoder.bytes(), keys::ENCODER, &placement(device))?;
        let network = Encoder::load(&store.root())?;
        store.finish()?;
        Ok(network)
    }

    /// The denoiser's network, float32, on the device.
    ///
    /// # Errors
    /// Weights that do not fit this version of the network.
    pub fn denoiser(&self, device: &Device) -> Result<Denoiser> {
        let store = Store::new(self.denoiser.name(), self.denoiser.bytes(), keys::DENOISER, &placement(device))?;
        let network = Denoiser::load(&store.root())?;
        store.finish()?;
        Ok(network)
    }
}

/// The networks are so small that float32 costs nothing, and exactness is worth more than speed.
fn placement(device: &Device) -> Placement {
    Placement { dtype: DType::F32, device: device.clone() }
}
