//! The samples of a JPEG, decoded strictly: a decoder that goes on after an error leaves the rest of the picture grey.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::samples::{Color, Samples};

/// Decodes a JPEG whose size has been checked: grey, RGB, or inks where it has four components.
///
/// # Errors
/// Whatever is damaged or not supported.
pub(super) fn read(bytes: &[u8]) -> Result<Samples, DecodeErrors> {
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.set_strict_mode(false));
    decoder.decode_headers()?;
    let stored = decoder.input_colorspace().expect("the headers were just read");
    let components = decoder.info().expect("the headers were just read").components;
    let wanted = match (components, stored) {
        (1, _) => ColorSpace::Luma,
        (3, _) => ColorSpace::RGB,
        // Asked for as they are stored: the decoder's own conversion knows no profile.
        (4, ColorSpace::CMYK | ColorSpace::YCCK) => stored,
        _ => return Err(DecodeErrors::Format(format!("{components} components of kind {stored:?}"))),
    };
    // Only now: between the headers, stray bytes are common and do no harm.
    decoder.set_options(options.set_strict_mode(true).jpeg_set_out_colorspace(wanted));
    let mut values = decoder.decode()?;
    let color = match wanted {
        ColorSpace::Luma => Color::Grey,
        ColorSpace::RGB => Color::Rgb,
        _ => {
            values.chunks_exact_mut(4).for_each(|sample| {
                let [first, second, third, black] = [sample[0], sample[1], sample[2], sample[3]];
                let stored = match wanted {
                    ColorSpace::YCCK => rgb_of_ycc([first, second, third]).map(|value| 255 - value),
                    _ => [first, second, third],
                };
                // All programs follow Adobe in storing inks inverted.
                sample.copy_from_slice(&[255 - stored[0], 255 - stored[1], 255 - stored[2], 255 - black]);
            });
            Color::Inks
        }
    };
    Ok(Samples { color, values, alpha: None })
}

/// # Source
/// JFIF 1.02, "Conversion to and from RGB".
fn rgb_of_ycc([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue]
        .map(|value| value.round() as u8)
}
