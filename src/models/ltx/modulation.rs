//! Shifts, scales and gates of all blocks, made once for a prediction.

use candle_core::{DType, IndexOp, Tensor};

use super::config::TransformerConfig;
use super::timestep::MODULATIONS;
use crate::error::Result;
use crate::weights::store::Scope;

/// The rows of the gates of attention and of the MLP.
const GATES: [usize; 2] = [2, 5];

/// What each block adds to the modulation that all share.
pub(super) struct ModulationTables {
    /// `[L, 1, 6, D]`, float32, for `L` blocks.
    tables: Tensor,
}

impl ModulationTables {
    /// Takes the tables of all blocks.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        let blocks = weights.at("transformer_blocks");
        let table = |index: usize| blocks.at(index).take("scale_shift_table", &[MODULATIONS, config.width()]);
        let tables = (0..config.layers).map(table).collect::<Result<Vec<_>>>()?;
        Ok(Self { tables: Tensor::stack(&tables, 0)?.to_dtype(DType::F32)?.unsqueeze(1)? })
    }

    /// For `shared: [F, 6, D]`, float32.
    ///
    /// All at once, because on a GPU a small operation takes as long to start as a large one, and blocks find what they need in one piece.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn with(&self, shared: &Tensor) -> Result<Modulations> {
        let rows = self.tables.broadcast_add(&shared.unsqueeze(0)?)?;
        let [attention, mlp] = GATES.map(|row| rows.i((.., .., row))?.contiguous());
        Ok(Modulations { gates: [attention?, mlp?], rows })
    }
}

/// Those of one prediction.
pub(super) struct Modulations {
    /// `[L, F, 6, D]`.
    rows: Tensor,
    /// `[L, F, D]` each.
    gates: [Tensor; 2],
}

impl Modulations {
    /// Those of a block.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn of_block(&self, index: usize) -> Result<Modulation> {
        let [attention, mlp] = &self.gates;
        Ok(Modulation { rows: self.rows.i(index)?, attention_gate: attention.i(index)?, mlp_gate: mlp.i(index)? })
    }
}

/// Those of one block, float32.
pub(super) struct Modulation {
    /// `[F, 6, D]`: shift, scale and gate of attention and of the MLP.
    pub rows: Tensor,
    /// `[F, D]`.
    pub attention_gate: Tensor,
    /// `[F, D]`.
    pub mlp_gate: Tensor,
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Value `100 block + 10 row + channel`, and 1000 for each frame.
    #[test]
    fn every_block_gets_its_own_rows_of_every_frame() {
        let tables = Tensor::from_iter(
            (0..36).map(|index| (index / 12 * 100 + index / 2 % 6 * 10 + index % 2) as f32),
            &Device::Cpu,
        );
        let tables = ModulationTables { tables: tables.unwrap().reshape((3, 1, 6, 2)).unwrap() };
        let shared = Tensor::from_iter((0..24).map(|index| (index / 12 * 1000) as f32), &Device::Cpu).unwrap();
        let modulations = tables.with(&shared.reshape((2, 6, 2)).unwrap()).unwrap();
        let Modulation { rows, attention_gate, mlp_gate } = modulations.of_block(2).unwrap();
        assert_eq!(rows.i((1, 3)).unwrap().to_vec1::<f32>().unwrap(), [1230.0, 1231.0]);
        assert_eq!(attention_gate.to_vec2::<f32>().unwrap(), [[220.0, 221.0], [1220.0, 1221.0]]);
        assert_eq!(mlp_gate.to_vec2::<f32>().unwrap(), [[250.0, 251.0], [1250.0, 1251.0]]);
        assert!(rows.is_contiguous() && attention_gate.is_contiguous());
    }
}
