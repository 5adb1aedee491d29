//! Classifier-free guidance.

use crate::error::Result;
use crate::latents::Latents;

/// `unconditional + scale * (prompt - unconditional)`, part by part.
///
/// # Errors
/// Parts of different names or shapes.
///
/// # Source
/// Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), equation 6, with `scale = 1 + w`.
pub fn classifier_free(prompt: &Latents, unconditional: &Latents, scale: f64) -> Result<Latents> {
    let mut guided = Latents::default();
    for (name, base) in &unconditional.parts {
        let towards_prompt = (&prompt.parts[name] - base)?;
        guided.parts.insert(name, (base + (towards_prompt * scale)?)?);
    }
    Ok(guided)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn one(values: &[f32]) -> Latents {
        let tensor = Tensor::new(values, &Device::Cpu).unwrap();
        Latents { parts: [("latents", tensor)].into() }
    }

    #[test]
    fn guidance_goes_past_the_prompt() {
        let guided = classifier_free(&one(&[1.0, -1.0]), &one(&[0.0, 1.0]), 2.0).unwrap();
        assert_eq!(guided.parts["latents"].to_vec1::<f32>().unwrap(), [2.0, -3.0]);
    }

    #[test]
    fn scale_one_is_the_prompt_alone() {
        let guided = classifier_free(&one(&[0.5]), &one(&[0.25]), 1.0).unwrap();
        assert_eq!(guided.parts["latents"].to_vec1::<f32>().unwrap(), [0.5]);
    }
}
