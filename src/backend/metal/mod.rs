//! Metal: what candle's kernels there take. All else runs through candle's plain operations.

pub mod attention;
