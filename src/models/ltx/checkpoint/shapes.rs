//! The transformer's sizes where a file says nothing of them.

use crate::error::{Error, Result};
use crate::models::ltx::config::TransformerConfig;
use crate::weights::store::Store;

/// Widths of the released transformers and of their heads, which no shape shows.
const HEAD_DIMS: [(usize, usize); 2] = [(2048, 64), (4096, 128)];

/// Concludes the sizes from the tensors' shapes; what shapes do not show is as in every release.
pub fn transformer(store: &Store, name: &str, causal_time: bool) -> Result<TransformerConfig> {
    let hint = "use a file whose metadata has the entry `config`, or the folder of diffusers";
    let matrix = |tensor: &str| match store.shape(tensor).as_deref() {
        Some([rows, columns]) => Ok([*rows, *columns]),
        other => {
            let found = other.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"));
            Err(Error::input(format!("tensor `{tensor}` of {name}"), "a matrix", found, hint))
        }
    };
    let [width, channels] = matrix("proj_in.weight")?;
    let [_, caption_channels] = matrix("caption_projection.linear_1.weight")?;
    let known = HEAD_DIMS.into_iter().find(|(released, _)| *released == width);
    let Some((_, head_dim)) = known else {
        let wanted = "2048 or 4096, of which it is known how many heads share it";
        return Err(Error::input(format!("width of the transformer in {name}"), wanted, width.to_string(), hint));
    };
    let present = |layer: &usize| store.shape(&format!("transformer_blocks.{layer}.scale_shift_table")).is_some();
    let layers = (0..).take_while(present).count();
    if layers == 0 {
        let wanted = "the blocks of a transformer";
        return Err(Error::input(format!("model {name}"), wanted, "none", "fetch the file again"));
    }
    let heads = width / head_dim;
    Ok(TransformerConfig {
        channels,
        heads,
        head_dim,
        layers,
        caption_channels,
        causal_time,
        ..TransformerConfig::RELEASED
    })
}
