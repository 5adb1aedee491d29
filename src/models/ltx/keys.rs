//! Tensor names of the single files, where they differ from diffusers' (which are ours).

use crate::weights::keymap::KeyMap;

/// The transformer in Lightricks' single files.
///
/// # Source
/// diffusers 0.42.1, `convert_ltx_transformer_checkpoint_to_diffusers`.
pub const TRANSFORMER: KeyMap = KeyMap { prefix: "model.diffusion_model.", ..TRANSFORMER_IN_GGUF };

/// The transformer in GGUF files, whose names are those of the single files without their prefix.
pub const TRANSFORMER_IN_GGUF: KeyMap = KeyMap {
    prefix: "",
    leading: &[],
    parts: &[("proj_in", "patchify_proj"), ("time_embed", "adaln_single"), ("norm_q", "q_norm"), ("norm_k", "k_norm")],
};

#[cfg(test)]
mod tests {
    use super::*;

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
