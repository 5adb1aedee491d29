//! The released models as files that take no space: all names and shapes, written down from the specification, and no numbers.

use std::path::Path;

use serde_json::json;

/// Writes a safetensors file whose tensors are holes: any size, no space on the disk, and zeros to whoever reads.
pub fn write_hollow(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend_from_slice(header.as_bytes());
    let file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut &file, &content).unwrap();
    file.set_len((content.len() + end) as u64).unwrap();
}

/// The tensors of a released transformer, by their names in a single file, written down from the specification of the model.
pub fn transformer(width: usize, layers: usize) -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("scale_shift_table".to_owned(), vec![2, width]),
        ("patchify_proj.weight".to_owned(), vec![width, 128]),
        ("patchify_proj.bias".to_owned(), vec![width]),
        ("proj_out.weight".to_owned(), vec![128, width]),
        ("proj_out.bias".to_owned(), vec![128]),
    ];
    let mut linear = |name: &str, to: usize, from: usize| {
        tensors.push((format!("{name}.weight"), vec![to, from]));
        tensors.push((format!("{name}.bias"), vec![to]));
    };
    linear("adaln_single.emb.timestep_embedder.linear_1", width, 256);
    linear("adaln_single.emb.timestep_embedder.linear_2", width, width);
    linear("adaln_single.linear", 6 * width, width);
    linear("caption_projection.linear_1", width, 4096);
    linear("caption_projection.linear_2", width, width);
    for layer in 0..layers {
        let block = format!("transformer_blocks.{layer}");
        for attention in ["attn1", "attn2"] {
            for layer in ["to_q", "to_k", "to_v", "to_out.0"] {
                linear(&format!("{block}.{attention}.{layer}"), width, width);
            }
        }
        linear(&format!("{block}.ff.net.0.proj"), 4 * width, width);
        linear(&format!("{block}.ff.net.2"), width, 4 * width);
    }
    for layer in 0..layers {
        let block = format!("transformer_blocks.{layer}");
        tensors.push((format!("{block}.scale_shift_table"), vec![6, width]));
        for norm in ["attn1.q_norm", "attn1.k_norm", "attn2.q_norm", "attn2.k_norm"] {
            tensors.push((format!("{block}.{norm}.weight"), vec![width]));
        }
    }
    tensors.into_iter().map(|(name, shape)| (format!("model.diffusion_model.{name}"), shape)).collect()
}

/// The tensors of the autoencoder of releases 0.9.5 to 0.9.8, likewise.
pub fn vae() -> Vec<(String, Vec<usize>)> {
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("decoder.timestep_scale_multiplier".to_owned(), vec![]),
        ("decoder.last_scale_shift_table".to_owned(), vec![2, 128]),
    ];
    tensors.extend(
        ["mean-of-means", "std-of-means", "mean-of-stds", "channel"]
            .map(|name| (format!("per_channel_statistics.{name}"), vec![128])),
    );
    let convolution = |name: &str, to: usize, from: usize| {
        [(format!("{name}.weight"), vec![to, from, 3, 3, 3]), (format!("{name}.bias"), vec![to])]
    };
    let linear = |name: String, to: usize, from: usize| {
        [(format!("{name}.weight"), vec![to, from]), (format!("{name}.bias"), vec![to])]
    };
    let embedder = |place: &str, width: usize| {
        let place = format!("{place}.timestep_embedder");
        [linear(format!("{place}.linear_1"), width, 256), linear(format!("{place}.linear_2"), width, width)].concat()
    };
    for (name, to, from) in [
        ("encoder.conv_in.conv", 128, 48),
        ("encoder.down_blocks.1.conv.conv", 64, 128),
        ("encoder.down_blocks.3.conv.conv", 256, 256),
        ("encoder.down_blocks.5.conv.conv", 128, 512),
        ("encoder.down_blocks.7.conv.conv", 256, 1024),
        ("encoder.conv_out.conv", 129, 2048),
        ("decoder.conv_in.conv", 1024, 128),
        ("decoder.up_blocks.1.conv.conv", 4096, 1024),
        ("decoder.up_blocks.3.conv.conv", 2048, 512),
        ("decoder.up_blocks.5.conv.conv", 1024, 256),
        ("decoder.conv_out.conv", 48, 128),
    ] {
        tensors.extend(convolution(name, to, from));
    }
    let places = [(0, 4, 128), (2, 6, 256), (4, 6, 512), (6, 2, 1024), (8, 2, 2048)]
        .map(|(index, layers, channels)| (format!("encoder.down_blocks.{index}"), layers, channels))
        .into_iter()
        .chain(
            [(0, 5, 1024), (2, 5, 512), (4, 5, 256), (6, 5, 128)]
                .map(|(index, layers, channels)| (format!("decoder.up_blocks.{index}"), layers, channels)),
        );
    for (place, layers, channels) in places {
        let timed = place.starts_with("decoder");
        if timed {
            tensors.extend(embedder(&format!("{place}.time_embedder"), 4 * channels));
        }
        for layer in 0..layers {
            let place = format!("{place}.res_blocks.{layer}");
            tensors.extend(convolution(&format!("{place}.conv1.conv"), channels, channels));
            tensors.extend(convolution(&format!("{place}.conv2.conv"), channels, channels));
            if timed {
                tensors.push((format!("{place}.scale_shift_table"), vec![4, channels]));
            }
        }
    }
    tensors.extend(embedder("decoder.last_time_embedder", 256));
    tensors.into_iter().map(|(name, shape)| (format!("vae.{name}"), shape)).collect()
}

/// T5 v1.1 XXL's encoder.
pub fn text_encoder() -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("shared.weight".to_owned(), vec![32128, 4096]),
        ("encoder.final_layer_norm.weight".to_owned(), vec![4096]),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight".to_owned(), vec![32, 64]),
    ];
    for block in 0..24 {
        let place = format!("encoder.block.{block}.layer");
        tensors.push((format!("{place}.0.layer_norm.weight"), vec![4096]));
        tensors.push((format!("{place}.1.layer_norm.weight"), vec![4096]));
        tensors.extend(
            ["q", "k", "v", "o"].map(|name| (format!("{place}.0.SelfAttention.{name}.weight"), vec![4096, 4096])),
        );
        tensors.extend(
            ["wi_0", "wi_1"].map(|name| (format!("{place}.1.DenseReluDense.{name}.weight"), vec![10240, 4096])),
        );
        tensors.push((format!("{place}.1.DenseReluDense.wo.weight"), vec![4096, 10240]));
    }
    tensors
}

/// Writes a GGUF file whose tensors are holes: matrices in blocks of 8 bits where their rows allow it, all else in float32.
pub fn write_hollow_gguf(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let mut content = b"GGUF".to_vec();
    content.extend(3u32.to_le_bytes());
    content.extend((tensors.len() as u64).to_le_bytes());
    content.extend(0u64.to_le_bytes());
    let mut end = 0u64;
    for (name, shape) in tensors {
        let values: usize = shape.iter().product();
        let quantized = shape.len() == 2 && shape[1].is_multiple_of(32);
        let (kind, bytes) = if quantized { (8u32, values / 32 * 34) } else { (0, 4 * values) };
        content.extend((name.len() as u64).to_le_bytes());
        content.extend(name.as_bytes());
        content.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|size| content.extend((*size as u64).to_le_bytes()));
        content.extend(kind.to_le_bytes());
        content.extend(end.to_le_bytes());
        end = (end + bytes as u64).next_multiple_of(32);
    }
    let file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut &file, &content).unwrap();
    file.set_len((content.len() as u64).next_multiple_of(32) + end).unwrap();
}
