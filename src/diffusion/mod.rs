//! The mathematics of sampling, free of models and files: noise, schedule, guidance, sampler.

pub mod guidance;
pub mod guidance_plan;
pub mod noise;
pub mod sampler;
pub mod schedule;
pub mod shift;
