//! Which of cuBLASLt's algorithms multiplies: from a table or by its own estimate, never by timing, so that a run repeats the last one's bits.
//!
//! cuBLAS promises equal bits at every run of one version of it on GPUs of one architecture and number of multiprocessors, as long as the algorithm and the
//! workspace are the same and one stream works. Its estimate is a function of the problem, the device and the version: nothing in it is measured. Whether
//! it really repeats is a test of `tests/cuda`.

use candle_core::DType;

use super::{Fused, Request, Sizes};
use crate::device::version::Architecture;

/// How many algorithms cuBLASLt is asked for at a time: of the first few one never splits K.
pub const CANDIDATES: usize = 16;

/// An address that divides by this is as good as one that divides by more.
const MOST_ALIGNED: u32 = 256;

/// All that the choice depends on, besides device and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// `M`, `N` and `K`.
    pub sizes: Sizes,
    /// The type of all values.
    pub dtype: DType,
    /// What is done to the sums.
    pub fused: Fused,
    /// Whether something is added.
    pub adds: bool,
    /// Values from column to column of A, B, C and D.
    pub leading: [i64; 4],
    /// What the addresses of A, B, C and D divide by: a power of two up to 256.
    pub alignment: [u32; 4],
    /// The same of the bias; 256 without one.
    pub bias_alignment: u32,
}

impl Problem {
    /// Of a call.
    pub fn of(request: &Request) -> Self {
        let Request { dtype, a, b, c, d, beta, fused, bias } = *request;
        let matrices = [a, b, c, d];
        let alignment = |address: u64| 1u32 << address.trailing_zeros().min(MOST_ALIGNED.trailing_zeros());
        Self {
            sizes: Sizes { rows: d.columns as usize, outputs: d.rows as usize, inputs: a.rows as usize },
            dtype,
            fused,
            adds: beta != 0.0,
            leading: matrices.map(|matrix| matrix.leading),
            alignment: matrices.map(|matrix| alignment(matrix.pointer)),
            bias_alignment: alignment(bias.unwrap_or(0)),
        }
    }

    /// Whether addresses and distances are as good as those of whole tensors, for which the table is made.
    fn is_plain(&self) -> bool {
        let Sizes { outputs, inputs, .. } = self.sizes;
        self.alignment.iter().chain([&self.bias_alignment]).all(|&alignment| alignment >= MOST_ALIGNED)
            && self.leading == [inputs, inputs, outputs, outputs].map(|leading| leading as i64)
    }
}

/// An algorithm, as cuBLASLt writes it down; only its own version reads it.
pub type Algorithm = [u64; 8];

/// One that cuBLASLt proposes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// It.
    pub algorithm: Algorithm,
    /// Parts of K that are summed apart from each other; 1, or 0, is none.
    pub splits: i32,
    /// How the parts' sums are put together; 0 is not at all.
    pub reduction: u32,
    /// Bytes of workspace that it needs.
    pub workspace: usize,
}

impl Candidate {
    /// Whether every sum runs over K in one sequence, in a workspace of this size.
    pub fn is_sequential(&self, workspace: usize) -> bool {
        self.splits <= 1 && self.reduction == 0 && self.workspace <= workspace
    }
}

/// The first, which is the one that cuBLASLt takes for the fastest, whose sums run over K in one sequence.
pub fn first_sequential(candidates: &[Candidate], workspace: usize) -> Option<&Candidate> {
    candidates.iter().find(|candidate| candidate.is_sequential(workspace))
}

/// What an algorithm was measured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// Its compute capability.
    pub architecture: Architecture,
    /// The number of multiprocessors.
    pub multiprocessors: u32,
    /// `cublasLtGetVersion()`.
    pub version: usize,
}

/// A measurement: what was fastest on this card of all that sum in one sequence. `stir bench ops gemm --device cuda --json FILE` measures cuBLASLt's
/// candidates for each of its shapes, and writes `card`, the shape and for each candidate `algorithm` and its seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub card: Card,
    /// `M`, `N` and `K`.
    pub sizes: Sizes,
    /// The type of all values.
    pub dtype: DType,
    /// What is done to the sums.
    pub fused: Fused,
    /// Whether something is added.
    pub adds: bool,
    /// The algorithm.
    pub algorithm: Algorithm,
}

/// Shapes for which cuBLASLt's own choice was measured to be beaten. Nothing was measured yet.
pub const MEASURED: &[Entry] = &[];

/// The table's algorithm for a problem, if it has one.
pub fn measured(table: &[Entry], card: Card, problem: &Problem) -> Option<Algorithm> {
    let Problem { sizes, dtype, fused, adds, .. } = *problem;
    let fits = |entry: &&Entry| {
        (entry.card, entry.sizes, entry.dtype, entry.fused, entry.adds) == (card, sizes, dtype, fused, adds)
    };
    // Others may need better addresses than these are.
    problem.is_plain().then(|| table.iter().find(fits))?.map(|entry| entry.algorithm)
}

#[cfg(test)]
mod tests {
    use super::super::{Product, Rows};
    use super::*;

    const CARD: Card = Card { architecture: Architecture::HOPPER, multiprocessors: 132, version: 130_000 };

    fn problem(x: Rows) -> Problem {
        let sizes = Sizes { rows: 16_720, outputs: 2048, inputs: 512 };
        let y = Rows { pointer: 3 << 20, stride: 2048 };
        let (weight, bias) = (1 << 20, Some(2 << 20));
        let product = Product { dtype: DType::BF16, sizes, x, weight, bias, addend: None, gelu: true, y };
        Problem::of(&Request::of(&product))
    }

    fn plain() -> Problem {
        problem(Rows { pointer: 4 << 20, stride: 512 })
    }

    fn entry(algorithm: u64) -> Entry {
        let Problem { sizes, dtype, fused, adds, .. } = plain();
        Entry { card: CARD, sizes, dtype, fused, adds, algorithm: [algorithm; 8] }
    }

    #[test]
    fn the_first_candidate_that_sums_in_one_sequence_is_taken() {
        let candidate = |splits, reduction, workspace| Candidate { algorithm: [0; 8], splits, reduction, workspace };
        let candidates = [candidate(3, 2, 0), candidate(1, 1, 0), candidate(1, 0, 9), candidate(1, 0, 8)];
        assert_eq!(first_sequential(&candidates, 8), Some(&candidates[3]));
        assert_eq!(first_sequential(&candidates, 9), Some(&candidates[2]));
        assert_eq!(first_sequential(&candidates[..2], 9), None);
    }

    #[test]
    fn the_table_is_for_one_card_and_version_and_one_problem() {
        let table = [Entry { dtype: DType::F16, ..entry(1) }, Entry { fused: Fused::Bias, ..entry(2) }, entry(3)];
        assert_eq!(measured(&table, CARD, &plain()), Some([3; 8]));
        for card in [
            Card { architecture: Architecture::AMPERE, ..CARD },
            Card { multiprocessors: 114, ..CARD },
            Card { version: 130_100, ..CARD },
        ] {
            assert_eq!(measured(&table, card, &plain()), None);
        }
        assert_eq!(measured(&table, CARD, &Problem { adds: true, ..plain() }), None);
    }

    #[test]
    fn parts_of_tensors_are_no_problem_of_the_table() {
        let shifted = problem(Rows { pointer: (4 << 20) + 16, stride: 512 });
        assert_eq!(shifted.alignment, [256, 16, 256, 256]);
        let apart = problem(Rows { pointer: 4 << 20, stride: 1536 });
        assert_eq!(apart.leading, [512, 1536, 2048, 2048]);
        for problem in [shifted, apart] {
            assert_eq!(measured(&[entry(1)], CARD, &problem), None);
        }
    }
}
