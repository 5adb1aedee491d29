//! Rectified-flow Euler sampling under constraints.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::latents::{Constraint, Latents};

/// What a run starts from and what it has to respect.
pub struct Start<'a> {
    /// All parts at the first level; or as they were after so many steps as are taken.
    pub latents: Latents,
    /// Falling noise levels, the last one 0.
    pub sigmas: &'a [f64],
    /// What is held, and where.
    pub constraints: &'a [Constraint],
    /// Steps that are taken already: 0 at the beginning of a run. Neither sampler remembers anything but the latents, so a run that goes on from
    /// them ends at the same values as one that never stopped.
    pub taken: usize,
}

/// Follows the velocity `noise - clean` from `sigmas[0]` to the last level: `x += (sigma_next - sigma) * velocity`.
///
/// Constraints are set before the first step and again after each one, so the denoiser always sees the clean values and the result holds them
/// exactly. `velocity(x, sigma, step)` predicts for one step; steps count from 0.
///
/// # Errors
/// Whatever `velocity` returns, and a run error that names step and part where a value is not finite.
///
/// # Source
/// Liu et al., "Flow Straight and Fast" (2022), section 2.1, with time running from noise at 1 to the clean clip at 0.
pub fn euler(
    noise: Latents,
    sigmas: &[f64],
    constraints: &[Constraint],
    velocity: impl FnMut(&Latents, f64, usize) -> Result<Latents>,
) -> Result<Latents> {
    euler_from(Start { latents: noise, sigmas, constraints, taken: 0 }, velocity)
}

/// As [`euler`], from anywhere.
///
/// # Errors
/// As [`euler`].
pub fn euler_from(start: Start, velocity: impl FnMut(&Latents, f64, usize) -> Result<Latents>) -> Result<Latents> {
    let sigmas = start.sigmas;
    let follow = |x: &mut Latents, slope: &Latents, step: usize| {
        for (name, part) in &mut x.parts {
            *part = (&*part + (&slope.parts[name] * (sigmas[step + 1] - sigmas[step]))?)?;
        }
        Ok(())
    };
    run(start, velocity, follow)
}

/// Goes to the expected clean clip at every step, and back to the next level with noise of its own: `(1 - sigma_next) * clean +
/// sigma_next * fresh(step)`. The last step ends at the clean clip and asks for no noise.
///
/// # Errors
/// As [`euler`], and whatever `fresh` returns.
///
/// # Source
/// `RectifiedFlowScheduler.step` of Lightricks/LTX-Video, `stochastic_sampling`: for LTX-Video 0.9.6-distilled.
pub fn stochastic(
    start: Start,
    velocity: impl FnMut(&Latents, f64, usize) -> Result<Latents>,
    mut fresh: impl FnMut(usize) -> Result<Latents>,
) -> Result<Latents> {
    let sigmas = start.sigmas;
    run(start, velocity, |x, slope, step| {
        *x = clean(x, slope, sigmas[step])?;
        let next = sigmas[step + 1];
        if next > 0.0 {
            let fresh = fresh(step)?;
            for (name, part) in &mut x.parts {
                *part = ((&*part * (1.0 - next))? + (&fresh.parts[name] * next)?)?;
            }
        }
        Ok(())
    })
}

/// Predicts, updates, checks and holds, once for every pair of levels. `update(x, velocity, step)` takes one step.
fn run(
    start: Start,
    mut velocity: impl FnMut(&Latents, f64, usize) -> Result<Latents>,
    mut update: impl FnMut(&mut Latents, &Latents, usize) -> Result<()>,
) -> Result<Latents> {
    let Start { latents: mut x, sigmas, constraints, taken } = start;
    // What the step before has let go is not held again.
    hold(&mut x, constraints, taken.checked_sub(1).map_or(1.0, |before| sigmas[before]))?;
    for (step, pair) in sigmas.windows(2).enumerate().skip(taken) {
        let slope = velocity(&x, pair[0], step)?;
        update(&mut x, &slope, step)?;
        for (name, part) in &x.parts {
            check_finite(part, name, step)?;
        }
        hold(&mut x, constraints, pair[0])?;
    }
    Ok(x)
}

/// The clean clip that a step expects to reach: `x - sigma * velocity`, under the constraints that hold to the end.
///
/// # Errors
/// A failed tensor operation.
pub fn expected(x: &Latents, velocity: &Latents, sigma: f64, constraints: &[Constraint]) -> Result<Latents> {
    let mut clean = clean(x, velocity, sigma)?;
    hold(&mut clean, constraints, 0.0)?;
    Ok(clean)
}

/// What the denoiser is shown instead of `x`, so that a picture that is held does not freeze the clip: `value + amount * noise` where a
/// constraint holds to the end. The run itself keeps the values as they are. LTX-Video's `amount` is 0.15 times the noise level squared.
///
/// # Errors
/// Parts of different names or shapes.
///
/// # Source
/// `add_noise_to_image_conditioning_latents` of diffusers 0.42.1 and Lightricks/LTX-Video, which leave the last noise on the values.
pub fn with_noise_on_held(x: &Latents, constraints: &[Constraint], noise: &Latents, amount: f64) -> Result<Latents> {
    let mut shown = x.clone();
    for constraint in constraints {
        let value = (&constraint.value + (&noise.parts[constraint.part] * amount)?)?;
        hold(&mut shown, &[Constraint { value, ..constraint.clone() }], 0.0)?;
    }
    Ok(shown)
}

fn clean(x: &Latents, velocity: &Latents, sigma: f64) -> Result<Latents> {
    let mut clean = x.clone();
    for (name, part) in &mut clean.parts {
        *part = (&*part - (&velocity.parts[name] * sigma)?)?;
    }
    Ok(clean)
}

/// Sets the values that are still held in a step from level `sigma`: a selection, not a blend, so that they are exact.
fn hold(x: &mut Latents, constraints: &[Constraint], sigma: f64) -> Result<()> {
    /// Levels and masks come from different roundings of the same number.
    const ROUNDING: f64 = 1e-6;
    let weakest = (1.0 - sigma + ROUNDING).min(1.0);
    for constraint in constraints {
        if let Some(part) = x.parts.get_mut(constraint.part) {
            *part = constraint.mask.ge(weakest)?.where_cond(&constraint.value, part)?;
        }
    }
    Ok(())
}

fn check_finite(part: &Tensor, name: &str, step: usize) -> Result<()> {
    // NaN and infinity both survive a sum of magnitudes.
    let sum = part.abs()?.sum_all()?.to_scalar::<f32>()?;
    if sum.is_finite() {
        return Ok(());
    }
    Err(Error::run(
        format!("part `{name}` after denoising step {}", step + 1),
        "finite values",
        "NaN or infinity",
        "try --dtype f32 or another seed, and report it with the exact command",
    ))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn latents(values: &[f32]) -> Latents {
        Latents { parts: [("latents", Tensor::new(values, &Device::Cpu).unwrap())].into() }
    }

    fn values(latents: &Latents) -> Vec<f32> {
        latents.parts["latents"].to_vec1().unwrap()
    }

    /// With the true velocity `(x - clean) / sigma` the path is straight: any number of steps ends at the clean values.
    #[test]
    fn the_true_velocity_leads_to_the_clean_values() {
        let clean = Tensor::new(&[0.25f32, -2.0], &Device::Cpu).unwrap();
        for steps in [1, 4] {
            let result = euler(latents(&[1.0, 1.0]), &crate::diffusion::schedule::linear(steps), &[], |x, sigma, _| {
                let slope = ((&x.parts["latents"] - &clean)? / sigma)?;
                Ok(Latents { parts: [("latents", slope)].into() })
            });
            assert_eq!(values(&result.unwrap()), [0.25, -2.0]);
        }
    }

    #[test]
    fn with_the_true_velocity_every_step_expects_the_clean_values() {
        let (x, velocity) = (latents(&[1.0, 2.0]), latents(&[1.5, 8.0]));
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[0f32, 1.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[9f32, 5.0], &Device::Cpu).unwrap(),
        };
        assert_eq!(values(&expected(&x, &velocity, 0.5, &[constraint]).unwrap()), [0.25, 5.0]);
    }

    /// By hand: x = 1, velocity = x, levels 1, 0.5, 0: 1 - 0.5 * 1 = 0.5, then 0.5 - 0.5 * 0.5 = 0.25.
    #[test]
    fn two_steps_by_hand() {
        let result = euler(latents(&[1.0]), &[1.0, 0.5, 0.0], &[], |x, _, _| Ok(x.clone())).unwrap();
        assert_eq!(values(&result), [0.25]);
    }

    #[test]
    fn constraints_are_seen_and_kept_exactly() {
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[1f32, 0.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[0.7f32, 9.0], &Device::Cpu).unwrap(),
        };
        let result = euler(latents(&[1.0, 1.0]), &[1.0, 0.5, 0.0], &[constraint], |x, _, _| {
            assert_eq!(values(x)[0], 0.7);
            Ok(x.clone())
        });
        assert_eq!(values(&result.unwrap()), [0.7, 0.25]);
    }

    /// By hand, with the velocity 1 everywhere: strength 0.5 is denoised from level 0.5 on, 0.25 from 0.75 on, 1 never.
    #[test]
    fn a_weak_constraint_joins_the_rest_below_its_level() {
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[1f32, 0.5, 0.25, 0.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[7f32; 4], &Device::Cpu).unwrap(),
        };
        let mut seen = Vec::new();
        let result = euler(latents(&[1.0; 4]), &[1.0, 0.75, 0.5, 0.25, 0.0], &[constraint], |x, _, _| {
            seen.push(values(x));
            Ok(latents(&[1.0; 4]))
        });
        assert_eq!(seen[1..], [[7.0, 7.0, 7.0, 0.75], [7.0, 7.0, 6.75, 0.5], [7.0, 6.75, 6.5, 0.25]]);
        assert_eq!(values(&result.unwrap()), [7.0, 6.5, 6.25, 0.0]);
    }

    /// By hand, with the velocity 1: 5 - 1 = 4, half of it and half of the noise 8 is 6; then 6 - 0.5 = 5.5 without noise.
    #[test]
    fn two_stochastic_steps_by_hand() {
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[0f32, 1.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[0f32, 9.0], &Device::Cpu).unwrap(),
        };
        let start =
            Start { latents: latents(&[5.0, 5.0]), sigmas: &[1.0, 0.5, 0.0], constraints: &[constraint], taken: 0 };
        let mut asked = Vec::new();
        let result = stochastic(
            start,
            |_, _, _| Ok(latents(&[1.0, 1.0])),
            |step| {
                asked.push(step);
                Ok(latents(&[8.0, 8.0]))
            },
        );
        assert_eq!(values(&result.unwrap()), [5.5, 9.0]);
        assert_eq!(asked, [0]);
    }

    /// Goes on after each step of a run whose constraints let go one after the other, and ends where the whole run ends.
    #[test]
    fn a_run_goes_on_from_every_step() {
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[1f32, 0.5, 0.25, 0.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[7f32; 4], &Device::Cpu).unwrap(),
        };
        let constraints = std::slice::from_ref(&constraint);
        let sigmas = [1.0, 0.75, 0.5, 0.25, 0.0];
        let velocity = |x: &Latents| Ok(Latents { parts: [("latents", (&x.parts["latents"] * 0.3)?)].into() });
        let mut seen = Vec::new();
        let whole = euler(latents(&[1.0, 2.0, 3.0, 4.0]), &sigmas, constraints, |x, _, _| {
            seen.push(x.clone());
            velocity(x)
        });
        let whole = whole.unwrap();
        seen.push(whole.clone());
        for (taken, latents) in seen.iter().enumerate().skip(1) {
            let start = Start { latents: latents.clone(), sigmas: &sigmas, constraints, taken };
            assert_eq!(
                values(&euler_from(start, |x, _, _| velocity(x)).unwrap()),
                values(&whole),
                "after step {taken}"
            );
        }
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn noise_is_shown_only_on_what_is_held_to_the_end() {
        let constraint = Constraint {
            part: "latents",
            mask: Tensor::new(&[1f32, 0.9, 0.0], &Device::Cpu).unwrap(),
            value: Tensor::new(&[5f32, 5.0, 5.0], &Device::Cpu).unwrap(),
        };
        let x = latents(&[1.0, 2.0, 3.0]);
        let shown = with_noise_on_held(&x, &[constraint], &latents(&[8.0, 8.0, 8.0]), 0.25).unwrap();
        assert_eq!(values(&shown), [7.0, 2.0, 3.0]);
    }

    #[test]
    fn a_value_that_is_not_finite_names_the_step() {
        let error = euler(latents(&[1.0]), &[1.0, 0.5, 0.0], &[], |x, _, step| {
            Ok(if step == 1 { latents(&[f32::NAN]) } else { x.clone() })
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("step 2") && message.contains("latents"), "{message}");
    }
}
