//! Normal noise from a counter-based generator: Philox4x32-10 and Box-Muller in float64.
//!
//! Every value depends on seed, stream and index alone, so a seed means the same noise on every device, platform and thread count.
//!
//! The counter's four words are `[block low, block high, part, purpose]`; the key is the seed, low word first. One block gives two
//! normals: block `b` holds the values `2b` and `2b + 1` of the tensor in row-major order.
//!
//! # Source
//! Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), section 3.3 and the known-answer vectors of its library Random123.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::latents::{Latents, Shapes};

/// What a draw is for: the counter's fourth word. Numbers are part of the reproducibility promise and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial noise of the latents.
    Initial = 0,
    /// A second pass at a higher resolution.
    SecondPass = 1,
    /// The noise of a stochastic sampling step.
    Step = 2,
    /// Noise added to latents before decoding.
    Decode = 3,
    /// Noise that the denoiser sees on values that are held, anew at every step.
    Held = 4,
}

/// The Philox4x32-10 bijection.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let product = [MULTIPLIERS[0] * u64::from(counter[0]), MULTIPLIERS[1] * u64::from(counter[2])];
        counter = [
            (product[1] >> 32) as u32 ^ counter[1] ^ key[0],
            product[1] as u32,
            (product[0] >> 32) as u32 ^ counter[3] ^ key[1],
            product[0] as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// A uniform number strictly between 0 and 1 from 53 of 64 bits.
fn uniform(low: u32, high: u32) -> f64 {
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
    (bits as f64 + 0.5) / (1u64 << 53) as f64
}

/// `count` standard normal values of one stream; `part` tells the tensors of one draw apart.
pub fn normals(seed: u64, purpose: Purpose, part: u32, count: usize) -> Vec<f32> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut values = Vec::with_capacity(count + 1);
    for block in 0..count.div_ceil(2) as u64 {
        let words = philox([block as u32, (block >> 32) as u32, part, purpose as u32], key);
        let radius = libm::sqrt(-2.0 * libm::log(uniform(words[0], words[1])));
        let angle = std::f64::consts::TAU * uniform(words[2], words[3]);
        values.push((radius * libm::cos(angle)) as f32);
        values.push((radius * libm::sin(angle)) as f32);
    }
    values.truncate(count);
    values
}

/// Initial noise for every part. The part `latents` is stream 0, the others follow in name order.
///
/// # Errors
/// A failed tensor operation.
pub fn initial(seed: u64, shapes: &Shapes) -> Result<Latents> {
    of_step(seed, Purpose::Initial, 0, shapes)
}

/// Noise of one step for every part: the counter's third word is the step times 256 plus the stream, which is numbered as in [`initial`].
///
/// # Errors
/// A failed tensor operation.
pub fn of_step(seed: u64, purpose: Purpose, step: usize, shapes: &Shapes) -> Result<Latents> {
    let mut latents = Latents::default();
    let mut next_stream = 1;
    for (name, shape) in shapes {
        let stream = if *name == "latents" {
            0
        } else {
            next_stream += 1;
            next_stream - 1
        };
        let values = normals(seed, purpose, (step as u32) << 8 | stream, shape.iter().product());
        latents.parts.insert(name, Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    Ok(latents)
}

/// A seed that nobody chose, from the system's entropy. It fits in 32 bits, so that it is easy to note down.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now()) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors of Random123 for philox4x32-10.
    #[test]
    fn philox_gives_the_published_values() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn the_first_pair_is_box_muller_of_the_first_block() {
        let words = philox([0; 4], [42, 0]);
        let radius = (-2.0 * uniform(words[0], words[1]).ln()).sqrt();
        let angle = std::f64::consts::TAU * uniform(words[2], words[3]);
        let values = normals(42, Purpose::Initial, 0, 3);
        assert!((f64::from(values[0]) - radius * angle.cos()).abs() < 1e-6);
        assert!((f64::from(values[1]) - radius * angle.sin()).abs() < 1e-6);
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn values_are_standard_normal_and_streams_differ() {
        let values = normals(7, Purpose::Initial, 0, 100_000);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 1e5;
        // Five standard errors: 5 / sqrt(1e5) and 5 sqrt(2) / sqrt(1e5).
        assert!(mean.abs() < 0.016, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.0225, "variance {variance}");
        assert_ne!(normals(7, Purpose::Initial, 1, 8), values[..8]);
        assert_ne!(normals(7, Purpose::Decode, 0, 8), values[..8]);
        assert_ne!(normals(8, Purpose::Initial, 0, 8), values[..8]);
    }

    #[test]
    fn every_step_and_every_part_has_its_own_noise() {
        let shapes = [("control", vec![2]), ("latents", vec![2])].into();
        let values = |step| of_step(7, Purpose::Step, step, &shapes).unwrap().parts;
        let (first, second) = (values(0), values(1));
        let vector = |tensor: &Tensor| tensor.to_vec1::<f32>().unwrap();
        assert_eq!(vector(&first["latents"]), normals(7, Purpose::Step, 0, 2));
        assert_eq!(vector(&first["control"]), normals(7, Purpose::Step, 1, 2));
        assert_eq!(vector(&second["latents"]), normals(7, Purpose::Step, 256, 2));
        assert_eq!(vector(&second["control"]), normals(7, Purpose::Step, 257, 2));
    }

    #[test]
    fn a_longer_draw_begins_with_the_shorter_one() {
        assert_eq!(normals(1, Purpose::Step, 3, 5), normals(1, Purpose::Step, 3, 9)[..5]);
    }
}
