//! Guidance: a velocity that goes further towards the prompt than any single prediction, part by part of the latents.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::latents::Latents;

/// How the predictions of one step are combined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// Classifier-free guidance; 1 or less means none.
    pub scale: f64,
    /// Whether the unconditional prediction is first scaled to be as near to the prompt's as it can be.
    pub project_unconditional: bool,
    /// Spatio-temporal guidance, away from the perturbed prediction; 0 or less means none.
    pub perturbation_scale: f64,
    /// How far the spread of the result is brought back to that of the prompt's prediction: 0 not at all, 1 wholly. Lightricks' lists write
    /// 1 for not at all.
    pub rescale: f64,
}

/// The predictions of one step.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// With the prompt.
    pub prompt: Latents,
    /// Without it; needed where [`Guidance::needs_unconditional`].
    pub unconditional: Option<Latents>,
    /// With the prompt, by a perturbed network; needed where [`Guidance::needs_perturbed`].
    pub perturbed: Option<Latents>,
}

impl Guidance {
    /// The prompt's prediction alone.
    pub const NONE: Self = Self { scale: 1.0, project_unconditional: false, perturbation_scale: 0.0, rescale: 0.0 };

    /// Whether a prediction without the prompt is used.
    pub fn needs_unconditional(&self) -> bool {
        self.scale > 1.0
    }

    /// Whether a perturbed prediction is used.
    pub fn needs_perturbed(&self) -> bool {
        self.perturbation_scale > 0.0
    }

    /// The velocity to follow.
    ///
    /// # Errors
    /// A prediction that is needed and not there, and parts of different names or shapes.
    ///
    /// # Source
    /// `LTXVideoPipeline` of Lightricks/LTX-Video, whose order of steps this is.
    pub fn combine(&self, predictions: &Predictions) -> Result<Latents> {
        let prompt = &predictions.prompt;
        let mut velocity = prompt.clone();
        if self.needs_unconditional() {
            let unconditional = there(&predictions.unconditional, "without the prompt")?;
            velocity = if self.project_unconditional {
                classifier_free(prompt, &projected(unconditional, prompt)?, self.scale)?
            } else {
                classifier_free(prompt, unconditional, self.scale)?
            };
        }
        if self.needs_perturbed() {
            let perturbed = there(&predictions.perturbed, "of the perturbed network")?;
            velocity = away_from(&velocity, prompt, perturbed, self.perturbation_scale)?;
        }
        if self.rescale == 0.0 { Ok(velocity) } else { rescaled(&velocity, prompt, self.rescale) }
    }
}

fn there<'a>(prediction: &'a Option<Latents>, which: &str) -> Result<&'a Latents> {
    prediction.as_ref().ok_or_else(|| {
        let hint = "report it with the exact command";
        Error::run(format!("prediction {which}"), "one for the guidance that was asked for", "none", hint)
    })
}

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

/// `unconditional`, scaled to be as near to `prompt` as it can be: `unconditional * <prompt, unconditional> / |unconditional|^2`.
///
/// # Errors
/// Parts of different names or shapes.
///
/// # Source
/// Fan et al., "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models" (2025), equation 7.
pub fn projected(unconditional: &Latents, prompt: &Latents) -> Result<Latents> {
    /// Keeps a prediction of zeros at zero.
    const SMALLEST: f64 = 1e-8;
    let mut result = Latents::default();
    for (name, part) in &unconditional.parts {
        let share = ((&prompt.parts[name] * part)?.sum_all()? / (part.sqr()?.sum_all()? + SMALLEST)?)?;
        result.parts.insert(name, part.broadcast_mul(&share)?);
    }
    Ok(result)
}

/// `velocity + scale * (prompt - perturbed)`, part by part.
///
/// # Errors
/// Parts of different names or shapes.
///
/// # Source
/// Hyung et al., "Spatiotemporal Skip Guidance for Enhanced Video Diffusion Sampling" (CVPR 2025), equation 6.
pub fn away_from(velocity: &Latents, prompt: &Latents, perturbed: &Latents, scale: f64) -> Result<Latents> {
    let mut result = Latents::default();
    for (name, part) in &velocity.parts {
        let away = (&prompt.parts[name] - &perturbed.parts[name])?;
        result.parts.insert(name, (part + (away * scale)?)?);
    }
    Ok(result)
}

/// Brings the standard deviation of every part back to that of `prompt`, by the share `share`: 1 wholly, 0 not at all.
///
/// # Errors
/// Parts of different names, or a failed tensor operation.
///
/// # Source
/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (WACV 2024), section 3.4.
pub fn rescaled(velocity: &Latents, prompt: &Latents, share: f64) -> Result<Latents> {
    let mut result = Latents::default();
    for (name, part) in &velocity.parts {
        let ratio = (deviation(&prompt.parts[name])? / deviation(part)?)?;
        result.parts.insert(name, part.broadcast_mul(&((ratio * share)? + (1.0 - share))?)?);
    }
    Ok(result)
}

/// The unbiased standard deviation of all values.
fn deviation(x: &Tensor) -> Result<Tensor> {
    Ok(x.flatten_all()?.var(0)?.sqrt()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn one(values: &[f32]) -> Latents {
        let tensor = Tensor::new(values, &Device::Cpu).unwrap();
        Latents { parts: [("latents", tensor)].into() }
    }

    fn values(latents: &Latents) -> Vec<f32> {
        latents.parts["latents"].to_vec1().unwrap()
    }

    fn near(found: &Latents, expected: &[f32]) {
        let found = values(found);
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn guidance_goes_past_the_prompt() {
        let guided = classifier_free(&one(&[1.0, -1.0]), &one(&[0.0, 1.0]), 2.0).unwrap();
        assert_eq!(values(&guided), [2.0, -3.0]);
    }

    #[test]
    fn scale_one_is_the_prompt_alone() {
        let guided = classifier_free(&one(&[0.5]), &one(&[0.25]), 1.0).unwrap();
        assert_eq!(values(&guided), [0.5]);
    }

    /// By hand: <(3, 1), (1, 1)> / |(1, 1)|^2 = 2.
    #[test]
    fn the_projection_by_hand() {
        near(&projected(&one(&[1.0, 1.0]), &one(&[3.0, 1.0])).unwrap(), &[2.0, 2.0]);
        assert_eq!(values(&projected(&one(&[0.0]), &one(&[3.0])).unwrap()), [0.0]);
    }

    #[test]
    fn away_from_the_perturbed_by_hand() {
        let result = away_from(&one(&[1.0, 2.0]), &one(&[1.0, 1.0]), &one(&[0.0, 2.0]), 3.0).unwrap();
        assert_eq!(values(&result), [4.0, -1.0]);
    }

    /// By hand: deviations are sqrt(2) and 2 sqrt(2), so the whole way halves and half of it takes three quarters.
    #[test]
    fn the_rescale_by_hand() {
        let (velocity, prompt) = (one(&[0.0, 4.0]), one(&[1.0, 3.0]));
        near(&rescaled(&velocity, &prompt, 1.0).unwrap(), &[0.0, 2.0]);
        near(&rescaled(&velocity, &prompt, 0.5).unwrap(), &[0.0, 3.0]);
    }

    #[test]
    fn without_guidance_the_prompt_s_prediction_is_followed() {
        let predictions = Predictions {
            prompt: one(&[1.0, 2.0]),
            unconditional: Some(one(&[5.0, 5.0])),
            perturbed: Some(one(&[7.0, 7.0])),
        };
        assert_eq!(values(&Guidance::NONE.combine(&predictions).unwrap()), [1.0, 2.0]);
        assert!(!Guidance::NONE.needs_unconditional() && !Guidance::NONE.needs_perturbed());
    }

    #[test]
    fn a_prediction_that_is_needed_has_to_be_there() {
        let predictions = Predictions { prompt: one(&[1.0]), unconditional: None, perturbed: None };
        let missing = |guidance: Guidance| guidance.combine(&predictions).unwrap_err().to_string();
        assert!(missing(Guidance { scale: 3.0, ..Guidance::NONE }).contains("without the prompt"));
        assert!(missing(Guidance { perturbation_scale: 1.0, ..Guidance::NONE }).contains("perturbed"));
    }

    /// By hand: the projection of (1, 1) is (2, 2); guidance by 2 gives (4, 0); 3 away from (2, 2) gives (7, -3).
    #[test]
    fn all_of_it_by_hand() {
        let predictions = Predictions {
            prompt: one(&[3.0, 1.0]),
            unconditional: Some(one(&[1.0, 1.0])),
            perturbed: Some(one(&[2.0, 2.0])),
        };
        let guidance = Guidance { scale: 2.0, project_unconditional: true, perturbation_scale: 3.0, rescale: 0.0 };
        near(&guidance.combine(&predictions).unwrap(), &[7.0, -3.0]);
        // Deviations are sqrt(2) and 5 sqrt(2).
        near(&Guidance { rescale: 0.5, ..guidance }.combine(&predictions).unwrap(), &[4.2, -1.8]);
    }
}
