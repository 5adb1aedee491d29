//! The mathematics of sampling, free of models and files: noise, schedule, guidance, sampler, and what lies between two passes.

pub mod guidance;
pub mod guidance_plan;
pub mod instance_norm;
pub mod noise;
pub mod renoise;
pub mod sampler;
pub mod schedule;
pub mod shift;
pub mod tone_map;
