//! The transformer: noisy latents in, velocity out.

use candle_core::{DType, Tensor};

use super::block::{BlockInputs, KeysAndValues, PerturbationMode};
use super::blocks::Blocks;
use super::config::TransformerConfig;
use super::modulation::ModulationTables;
use super::rope::Rope;
use super::timestep::{FrameLevels, TimeEmbedding};
use crate::device::carrier::Carrier;
use crate::error::{Error, Result};
use crate::nn::projection::Projection;
use crate::ops::gemm::Epilogue;
use crate::ops::norm::{Affine, Norm, norm};
use crate::shape;
use crate::weights::store::{Placement, Scope, Store};

/// Of the last norm, which no configuration mentions.
const OUTPUT_NORM_EPSILON: f64 = 1e-6;

/// The blocks that spatio-temporal guidance perturbs, and how.
///
/// # Source
/// Hyung et al., "Spatiotemporal Skip Guidance for Enhanced Video Diffusion Sampling" (CVPR 2025).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perturbation {
    /// Indices of blocks, from 0; none perturbs nothing.
    pub blocks: Vec<usize>,
    /// What these blocks do.
    pub mode: PerturbationMode,
}

/// What one prediction is made from.
pub struct TransformerInputs<'a> {
    /// `[B, C, F, H, W]`: noisy latents.
    pub latents: &'a Tensor,
    /// The noise level of every latent frame.
    pub levels: &'a FrameLevels,
    /// The text, as [`Transformer::context`] prepares it.
    pub context: &'a Context,
    /// The positions of the `F * H * W` tokens.
    pub rope: &'a Rope,
    /// What to perturb, if anything.
    pub perturbation: Option<&'a Perturbation>,
}

/// The text as every block attends to it, the same at every step: twice the text's tokens times the width for each block.
pub struct Context {
    blocks: Vec<KeysAndValues>,
}

/// The network. `'a` is how long the weights can be read that it does not hold itself.
pub struct Transformer<'a> {
    config: TransformerConfig,
    input: Projection,
    time: TimeEmbedding,
    caption_expand: Projection,
    caption_contract: Projection,
    modulation: ModulationTables,
    blocks: Blocks<'a>,
    /// `[2, D]`, float32: shift and scale of the output.
    output_table: Tensor,
    output: Projection,
    placement: Placement,
}

impl<'a> Transformer<'a> {
    /// Takes its weights.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn load(weights: &Scope, config: &TransformerConfig) -> Result<Self> {
        Self::with_blocks(weights, config, Blocks::resident(weights, config)?)
    }

    /// Takes its weights, but for those of the blocks, which it takes from the store whenever it computes with them; by `carrier` where there is one.
    ///
    /// # Errors
    /// Missing or misshapen weights.
    pub fn streamed(store: Store<'a>, config: &TransformerConfig, carrier: Option<Box<dyn Carrier>>) -> Result<Self> {
        let ends = Self::with_blocks(&store.root(), config, Blocks::Resident(Vec::new()))?;
        let store = match carrier {
            Some(carrier) => store.carried_by(carrier),
            None => store,
        };
        Ok(Self { blocks: Blocks::streamed(store, config), ..ends })
    }

    fn with_blocks(weights: &Scope, config: &TransformerConfig, blocks: Blocks<'a>) -> Result<Self> {
        let width = config.width();
        let caption = weights.at("caption_projection");
        Ok(Self {
            config: config.clone(),
            input: Projection::load_with_bias(&weights.at("proj_in"), config.channels, width)?,
            time: TimeEmbedding::load(&weights.at("time_embed"), width, config.timestep_scale)?,
            caption_expand: Projection::load_with_bias(&caption.at("linear_1"), config.caption_channels, width)?,
            caption_contract: Projection::load_with_bias(&caption.at("linear_2"), width, width)?,
            modulation: ModulationTables::load(weights, config)?,
            blocks,
            output_table: weights.take("scale_shift_table", &[2, width])?.to_dtype(DType::F32)?,
            output: Projection::load_with_bias(&weights.at("proj_out"), width, config.channels)?,
            placement: weights.placement().clone(),
        })
    }

    /// The sizes of the network.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// What the blocks attend to of the text encoder's output `[B, L, caption_channels]`, of real tokens only. It is the same at every step.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn context(&self, text: &Tensor) -> Result<Context> {
        let expanded = self.caption_expand.forward_with(&self.placed(text)?, Epilogue::Gelu)?;
        let text = self.caption_contract.forward(&expanded)?;
        let mut blocks = self.blocks.pass();
        Ok(Context { blocks: (0..self.config.layers).map(|_| blocks.next()?.text(&text)).collect::<Result<_>>()? })
    }

    /// The velocity `noise - clean`, `[B, C, F, H, W]`, float32.
    ///
    /// # Errors
    /// Inputs that do not fit each other or the network, a perturbed block that the network lacks, a velocity that is not finite (the
    /// error names the block where that began), or a failed tensor operation.
    pub fn forward(&self, inputs: &TransformerInputs) -> Result<Tensor> {
        self.check(inputs)?;
        let velocity = self.predict(inputs, |_, _| Ok(()))?;
        if !is_finite(&velocity)? {
            // To look after every block makes a device wait for each, so it is only done now, when the clip is lost anyway.
            return self.predict(inputs, expect_finite).and_then(|velocity| {
                expect_finite("the output", &velocity)?;
                Ok(velocity)
            });
        }
        Ok(velocity)
    }

    /// `look(place, hidden state)` is called before the blocks and after each of them.
    fn predict(&self, inputs: &TransformerInputs, look: impl Fn(&str, &Tensor) -> Result<()>) -> Result<Tensor> {
        let levels = self.time.forward(inputs.levels)?;
        let tokens = self.placed(&inputs.latents.flatten_from(2)?.transpose(1, 2)?)?;
        let mut x = self.input.forward(&tokens.contiguous()?)?;
        look("the input layer", &x)?;
        let modulations = self.modulation.with(&levels.modulation)?;
        let mut blocks = self.blocks.pass();
        for (index, text) in inputs.context.blocks.iter().enumerate() {
            let known = BlockInputs { text, modulation: &modulations.of_block(index)?, rope: inputs.rope };
            x = blocks.next()?.forward(&x, &known, inputs.perturbed(index))?;
            look(&format!("block {index}"), &x)?;
        }
        let rows = levels.embedding.broadcast_add(&self.output_table)?;
        let affine = Affine::Modulation { rows: &rows, first: 0 };
        let x = norm(&x, &Norm { affine, ..Norm::layer(OUTPUT_NORM_EPSILON) })?;
        let velocity = self.output.forward(&x)?.to_dtype(DType::F32)?;
        Ok(velocity.transpose(1, 2)?.reshape(inputs.latents.shape())?)
    }

    /// In the type of the weights, where they are.
    fn placed(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.to_device(&self.placement.device)?.to_dtype(self.placement.dtype)?)
    }

    fn check(&self, inputs: &TransformerInputs) -> Result<()> {
        let (batch, _, frames, height, width) = inputs.latents.dims5()?;
        let hint = "the latents belong to another model or size";
        shape::expect("latents", inputs.latents, &[batch, self.config.channels, frames, height, width], hint)?;
        shape::expect(
            "rotary positions",
            inputs.rope.cosines(),
            &[frames * height * width, self.config.width() / 2],
            hint,
        )?;
        let given = inputs.levels.frames.len();
        if given != frames {
            return Err(Error::run(
                "noise levels",
                format!("one for each of {frames} latent frames"),
                given.to_string(),
                hint,
            ));
        }
        let prepared = inputs.context.blocks.len();
        if prepared != self.config.layers {
            let wanted = format!("one for each of {} blocks", self.config.layers);
            return Err(Error::run("prepared text", wanted, prepared.to_string(), "prepare it by the same network"));
        }
        let missing = inputs.perturbation.and_then(|p| p.blocks.iter().find(|block| **block >= self.config.layers));
        match missing {
            None => Ok(()),
            Some(block) => Err(Error::input(
                "blocks perturbed by spatio-temporal guidance",
                format!("numbers from 0 to {}", self.config.layers - 1),
                block.to_string(),
                "lists for the 13B models do not fit the 2B models",
            )),
        }
    }
}

impl TransformerInputs<'_> {
    /// What block `index` does instead of its work, if anything.
    fn perturbed(&self, index: usize) -> Option<PerturbationMode> {
        self.perturbation
            .filter(|perturbation| perturbation.blocks.contains(&index))
            .map(|perturbation| perturbation.mode)
    }
}

/// NaN and infinity both survive a sum of magnitudes; a sum of values that are finite and of a sensible size stays finite.
fn is_finite(x: &Tensor) -> Result<bool> {
    Ok(x.to_dtype(DType::F32)?.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite())
}

fn expect_finite(place: &str, x: &Tensor) -> Result<()> {
    if is_finite(x)? {
        return Ok(());
    }
    let hint = "try --dtype f32 or another seed, and report it with the exact command";
    Err(Error::run(format!("the transformer after {place}"), "finite values", "NaN or infinity", hint))
}
