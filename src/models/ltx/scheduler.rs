//! The noise schedule that a checkpoint's own configuration asks for.

use super::config_fields::Fields;
use crate::diffusion::schedule::{Schedule, Spacing};
use crate::diffusion::shift::{Mu, MuPoint, Shift};
use crate::error::{Error, Result};

/// Fields that describe the file or the training, or only matter for what is refused.
const KNOWN: [&str; 4] = ["_class_name", "_diffusers_version", "base_resolution", "num_train_timesteps"];

/// The noise levels of a checkpoint, and how they are stepped through.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    /// The levels.
    pub schedule: Schedule,
    /// Whether every step goes to the expected clean clip and back with fresh noise
    /// ([`stochastic`](crate::diffusion::sampler::stochastic)).
    pub stochastic: bool,
}

/// Reads `scheduler/scheduler_config.json` of a diffusers folder; `thing` is what messages call it. `pipeline`: the `_class_name` of the
/// folder's `model_index.json`, which decides where the levels lie before the scheduler shifts them.
///
/// # Errors
/// A field that is missing, misshapen, or has a value that is not implemented, and a pipeline of another family.
///
/// # Source
/// `FlowMatchEulerDiscreteScheduler.set_timesteps` and the LTX pipelines of diffusers 0.42.1.
pub fn from_diffusers(thing: &str, json: &str, pipeline: &str) -> Result<Scheduler> {
    let spacing = match pipeline {
        "LTXPipeline" | "LTXImageToVideoPipeline" => Spacing::Uniform,
        "LTXConditionPipeline" => Spacing::LinearQuadratic,
        other => {
            let wanted = "LTXPipeline, LTXImageToVideoPipeline or LTXConditionPipeline";
            return Err(Error::input(
                "pipeline of model_index.json",
                wanted,
                other,
                "give the folder of an LTX-Video model",
            ));
        }
    };
    let mut fields = Fields::parse(thing, json)?;
    let stochastic = fields.take_optional("stochastic_sampling")?.unwrap_or(false);
    for name in ["invert_sigmas", "use_beta_sigmas", "use_exponential_sigmas", "use_karras_sigmas"] {
        fields.only(name, false)?;
    }
    fields.only("time_shift_type", "exponential")?;
    let factor = fields.take_optional("shift")?.unwrap_or(1.0);
    let low = MuPoint {
        tokens: fields.take_optional("base_image_seq_len")?.unwrap_or(256.0),
        mu: fields.take_optional("base_shift")?.unwrap_or(0.5),
    };
    let high = MuPoint {
        tokens: fields.take_optional("max_image_seq_len")?.unwrap_or(4096.0),
        mu: fields.take_optional("max_shift")?.unwrap_or(1.15),
    };
    let dynamic = fields.take_optional("use_dynamic_shifting")?.unwrap_or(false);
    if !(factor > 0.0 && f64::is_finite(factor)) {
        return Err(fields.refusal("shift", "a number above 0", &factor.to_string(), "fetch the configuration again"));
    }
    if dynamic && spacing == Spacing::LinearQuadratic {
        let hint = "LTXConditionPipeline cannot run with it either; fetch the configuration again";
        return Err(fields.refusal("use_dynamic_shifting", "false", "true", hint));
    }
    let mu = if dynamic { Mu::ByTokens { low, high } } else { Mu::Constant(libm::log(factor)) };
    let terminal = terminal(&mut fields, "shift_terminal")?;
    fields.finish(&KNOWN);
    Ok(Scheduler { schedule: Schedule { spacing, shift: Shift { mu, terminal } }, stochastic })
}

/// Reads the object `scheduler` in the metadata `config` of a single file; `thing` is what messages call it.
///
/// # Errors
/// As [`from_diffusers`].
///
/// # Source
/// `RectifiedFlowScheduler` of Lightricks/LTX-Video.
pub fn from_single_file(thing: &str, json: &str) -> Result<Scheduler> {
    /// Shifts by the number of tokens are the same for every release that has them.
    const BY_TOKENS: Mu =
        Mu::ByTokens { low: MuPoint { tokens: 1024.0, mu: 0.95 }, high: MuPoint { tokens: 4096.0, mu: 2.05 } };
    let hint = "this variant of the model is not supported; use one that `models/ltx/manifest.toml` lists";
    let mut fields = Fields::parse(thing, json)?;
    let sampler: Option<String> = fields.take_optional("sampler")?;
    let shifting: Option<String> = fields.take_optional("shifting")?;
    let shift: Option<f64> = fields.take_optional("shift")?;
    let stretch = terminal(&mut fields, "target_shift_terminal")?;
    let (spacing, constant) = match (sampler.as_deref(), shift) {
        (None | Some("Uniform"), _) => (Spacing::Uniform, 0.0),
        (Some("LinearQuadratic"), _) => (Spacing::LinearQuadratic, 0.0),
        (Some("Constant"), Some(mu)) => (Spacing::Uniform, mu),
        (Some("Constant"), None) => {
            return Err(fields.refusal("shift", "a number for the sampler Constant", "none", hint));
        }
        (Some(other), _) => return Err(fields.refusal("sampler", "Uniform, LinearQuadratic or Constant", other, hint)),
    };
    let shift = match shifting.as_deref() {
        None => Shift { mu: Mu::Constant(constant), terminal: None },
        Some("SD3") if constant == 0.0 => Shift { mu: BY_TOKENS, terminal: stretch },
        Some("SD3") => return Err(fields.refusal("shifting", "none with the sampler Constant", "SD3", hint)),
        Some(other) => return Err(fields.refusal("shifting", "SD3 or none", other, hint)),
    };
    fields.finish(&KNOWN);
    // Files do not say it: Lightricks' recipe for 0.9.6-distilled does.
    Ok(Scheduler { schedule: Schedule { spacing, shift }, stochastic: false })
}

/// The field `name`: a level above 0 and below 1. Nothing and 0 stretch nothing.
fn terminal(fields: &mut Fields, name: &str) -> Result<Option<f64>> {
    let terminal: Option<f64> = fields.take_optional(name)?;
    match terminal.filter(|terminal| *terminal != 0.0) {
        Some(terminal) if !(terminal > 0.0 && terminal < 1.0) => Err(fields.refusal(
            name,
            "a number above 0 and below 1",
            &terminal.to_string(),
            "fetch the configuration again",
        )),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.32.0.dev0", "base_image_seq_len": 1024,
        "base_shift": 0.95, "invert_sigmas": false, "max_image_seq_len": 4096, "max_shift": 2.05, "num_train_timesteps": 1000, "shift": 1.0,
        "shift_terminal": 0.1, "use_beta_sigmas": false, "use_dynamic_shifting": true, "use_exponential_sigmas": false,
        "use_karras_sigmas": false}"#;

    #[test]
    fn a_folder_and_a_file_of_the_first_release_ask_for_the_same() {
        let file = r#"{"_class_name": "RectifiedFlowScheduler", "num_train_timesteps": 1000, "shifting": "SD3", "base_resolution": null,
            "target_shift_terminal": 0.1}"#;
        let folder = from_diffusers("scheduler", OLD, "LTXImageToVideoPipeline").unwrap();
        assert_eq!(folder, from_single_file("metadata", file).unwrap());
        let Schedule { spacing, shift } = folder.schedule;
        assert_eq!((spacing, shift.mu.at(4096), shift.terminal), (Spacing::Uniform, 2.05, Some(0.1)));
    }

    #[test]
    fn later_releases_are_linear_quadratic() {
        let schedule = Schedule { spacing: Spacing::LinearQuadratic, shift: Shift::NONE };
        let plain = Scheduler { schedule, stochastic: false };
        let folder = r#"{"shift": 1.0, "shift_terminal": null, "use_dynamic_shifting": false}"#;
        assert_eq!(from_diffusers("scheduler", folder, "LTXConditionPipeline").unwrap(), plain);
        let file = r#"{"sampler": "LinearQuadratic", "shifting": null}"#;
        assert_eq!(from_single_file("metadata", file).unwrap(), plain);
        let stochastic = r#"{"stochastic_sampling": true}"#;
        let stochastic = from_diffusers("scheduler", stochastic, "LTXConditionPipeline").unwrap();
        assert_eq!(stochastic, Scheduler { stochastic: true, ..plain });
    }

    #[test]
    fn constant_shifts_are_a_factor_in_folders_and_its_logarithm_in_files() {
        let folder = from_diffusers("scheduler", r#"{"shift": 3.0}"#, "LTXPipeline").unwrap();
        assert_eq!(folder.schedule.shift.mu, Mu::Constant(libm::log(3.0)));
        let file = from_single_file("metadata", r#"{"sampler": "Constant", "shift": 1.5}"#).unwrap();
        assert_eq!(
            file.schedule,
            Schedule { spacing: Spacing::Uniform, shift: Shift { mu: Mu::Constant(1.5), terminal: None } }
        );
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_field_and_value() {
        let folder = |from: &str, to: &str| {
            assert!(OLD.contains(from), "{from}");
            from_diffusers("scheduler", &OLD.replace(from, to), "LTXPipeline").unwrap_err().to_string()
        };
        let file = |json: &str| from_single_file("metadata", json).unwrap_err().to_string();
        let refusals = [
            (folder("karras_sigmas\": false", "karras_sigmas\": true"), "`use_karras_sigmas`", "true"),
            (folder("shift_terminal\": 0.1", "shift_terminal\": 1.5"), "`shift_terminal`", "1.5"),
            (folder("\"shift\": 1.0", "\"shift\": -1.0"), "`shift`", "-1"),
            (folder("\"shift\": 1.0", "\"time_shift_type\": \"linear\""), "`time_shift_type`", "linear"),
            (
                from_diffusers("scheduler", OLD, "LTXConditionPipeline").unwrap_err().to_string(),
                "`use_dynamic_shifting`",
                "true",
            ),
            (
                from_diffusers("scheduler", OLD, "WanPipeline").unwrap_err().to_string(),
                "model_index.json",
                "WanPipeline",
            ),
            (file(r#"{"sampler": "Cosine"}"#), "`sampler`", "Cosine"),
            (file(r#"{"sampler": "Constant"}"#), "`shift`", "none"),
            (file(r#"{"shifting": "SimpleDiffusion"}"#), "`shifting`", "SimpleDiffusion"),
            (file(r#"{"sampler": "Constant", "shift": 1.5, "shifting": "SD3"}"#), "`shifting`", "SD3"),
        ];
        for (message, field, value) in refusals {
            assert!(message.contains(field) && message.contains(value), "{message}");
        }
    }
}
