//! What checkpoints call the encoder's tensors.

/// Names of one convention, each without `.weight`; those of a layer follow `blocks` and the layer's number.
#[derive(Debug)]
pub struct Names {
    pub embedding: &'static str,
    /// A second copy of the embedding, which some files hold.
    pub embedding_copy: Option<&'static str>,
    pub final_norm: &'static str,
    pub blocks: &'static str,
    pub attention_norm: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub output: &'static str,
    /// In the first layer only.
    pub relative_bias: &'static str,
    pub feed_forward_norm: &'static str,
    pub gate: &'static str,
    pub expand: &'static str,
    pub contract: &'static str,
}

/// Of transformers, which single safetensors files use too.
pub const TRANSFORMERS: Names = Names {
    embedding: "shared",
    embedding_copy: Some("encoder.embed_tokens"),
    final_norm: "encoder.final_layer_norm",
    blocks: "encoder.block",
    attention_norm: "layer.0.layer_norm",
    query: "layer.0.SelfAttention.q",
    key: "layer.0.SelfAttention.k",
    value: "layer.0.SelfAttention.v",
    output: "layer.0.SelfAttention.o",
    relative_bias: "layer.0.SelfAttention.relative_attention_bias",
    feed_forward_norm: "layer.1.layer_norm",
    gate: "layer.1.DenseReluDense.wi_0",
    expand: "layer.1.DenseReluDense.wi_1",
    contract: "layer.1.DenseReluDense.wo",
};

/// The same with the embedding under its second name only.
pub const TRANSFORMERS_UNSHARED: Names =
    Names { embedding: "encoder.embed_tokens", embedding_copy: None, ..TRANSFORMERS };

/// Of GGUF files.
pub const GGUF: Names = Names {
    embedding: "token_embd",
    embedding_copy: None,
    final_norm: "enc.output_norm",
    blocks: "enc.blk",
    attention_norm: "attn_norm",
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    output: "attn_o",
    relative_bias: "attn_rel_b",
    feed_forward_norm: "ffn_norm",
    gate: "ffn_gate",
    expand: "ffn_up",
    contract: "ffn_down",
};
