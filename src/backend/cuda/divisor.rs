//! Division of whole numbers by one that is known at the launch.

/// `Divisor` of `divisor.cuh`: `number / divisor` is `(number * multiplier) >> shift`, for numbers below 2^31.
///
/// # Source
/// Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (1994), theorem 4.2, for 31 bits. With `2^k` the first power of two
/// that is not below the divisor, the multiplier is `2^(31 + k) / divisor` rounded up: too large by less than `2^k / divisor`, so that a product with a
/// number below 2^31 is too large by less than `2^(31 + k) / divisor`, too little to reach the next whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Divisor {
    divisor: u32,
    multiplier: u32,
    shift: u32,
}

impl Divisor {
    /// Of a number of 1 to 2^31.
    ///
    /// # Panics
    /// If it is another.
    pub fn new(divisor: u32) -> Self {
        assert!((1..=1 << 31).contains(&divisor), "a divisor of {divisor}");
        let shift = 31 + divisor.next_power_of_two().trailing_zeros();
        // Below 2^32, because the divisor is above 2^(k - 1).
        let multiplier = (1_u64 << shift).div_ceil(divisor.into()) as u32;
        Self { divisor, multiplier, shift }
    }

    /// What the kernels compute.
    pub fn quotient(self, number: u32) -> u32 {
        ((u64::from(number) * u64::from(self.multiplier)) >> self.shift) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_exact() {
        let last = (1_u32 << 31) - 1;
        let divisors = (1..5000).chain([1 << 15, (1 << 16) + 1, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, last, 1 << 31]);
        for divisor in divisors {
            let by = Divisor::new(divisor);
            let multiples = [1, 2, 3, 1000, last / divisor].map(|times| u64::from(times) * u64::from(divisor));
            let near = multiples.into_iter().flat_map(|multiple| [multiple.saturating_sub(1), multiple, multiple + 1]);
            for number in near.chain([0, last.into()]).filter(|number| *number <= last.into()) {
                assert_eq!(u64::from(by.quotient(number as u32)), number / u64::from(divisor), "{number} / {divisor}");
            }
        }
    }
}
