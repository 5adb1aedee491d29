//! Tensor names of the single files, where they differ from diffusers' (which are ours).

use super::vae::keys as vae;
use crate::weights::keymap::KeyMap;

/// What a single file puts before every name of the transformer.
pub const PREFIX: &str = "model.diffusion_model.";

/// The transformer in Lightricks' single files.
///
/// # Source
/// diffusers 0.42.1, `convert_ltx_transformer_checkpoint_to_diffusers`.
pub const TRANSFORMER: KeyMap = KeyMap { prefix: PREFIX, ..TRANSFORMER_IN_GGUF };

/// The transformer in GGUF files, whose names are those of the single files without their prefix.
pub const TRANSFORMER_IN_GGUF: KeyMap = KeyMap {
    prefix: "",
    leading: &[],
    parts: &[("proj_in", "patchify_proj"), ("time_embed", "adaln_single"), ("norm_q", "q_norm"), ("norm_k", "k_norm")],
};

/// Whether a tensor of a single file, by its name there, is not the transformer's but another part's.
pub fn beside_transformer(name: &str) -> bool {
    name.starts_with(vae::PREFIX)
}

/// Whether a tensor of a single file, by its name there, is not the autoencoder's but another part's, or one that nothing uses.
pub fn beside_vae(name: &str) -> bool {
    name.starts_with(PREFIX) || vae::SingleFileKeys::is_unused(name)
}

/// No tensor.
pub fn none(_: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::keymap::Naming as _;

    #[test]
    fn every_kind_of_name_has_its_place_in_a_single_file() {
        let names = [
            ("scale_shift_table", "scale_shift_table"),
            ("proj_in.weight", "patchify_proj.weight"),
            ("proj_out.bias", "proj_out.bias"),
            ("time_embed.emb.timestep_embedder.linear_1.bias", "adaln_single.emb.timestep_embedder.linear_1.bias"),
            ("time_embed.linear.weight", "adaln_single.linear.weight"),
            ("caption_projection.linear_2.weight", "caption_projection.linear_2.weight"),
            ("transformer_blocks.27.attn1.norm_q.weight", "transformer_blocks.27.attn1.q_norm.weight"),
            ("transformer_blocks.0.attn2.norm_k.weight", "transformer_blocks.0.attn2.k_norm.weight"),
            ("transformer_blocks.3.attn1.to_out.0.weight", "transformer_blocks.3.attn1.to_out.0.weight"),
            ("transformer_blocks.3.ff.net.0.proj.bias", "transformer_blocks.3.ff.net.0.proj.bias"),
        ];
        for (ours, theirs) in names {
            assert_eq!(TRANSFORMER.to_checkpoint(ours), format!("model.diffusion_model.{theirs}"));
            assert_eq!(TRANSFORMER_IN_GGUF.to_checkpoint(ours), theirs);
        }
    }
}
