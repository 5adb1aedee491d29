//! Noise levels: sigma is 1 for pure noise and 0 for the clean clip.

/// `steps + 1` levels from 1 to 0 in equal distances; the last is the clean clip.
///
/// # Source
/// Liu et al., "Flow Straight and Fast" (2022): the uniform discretisation of rectified flow.
pub fn linear(steps: usize) -> Vec<f64> {
    (0..=steps).map(|step| 1.0 - step as f64 / steps as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_steps_are_five_levels() {
        assert_eq!(linear(4), [1.0, 0.75, 0.5, 0.25, 0.0]);
    }
}
