//! Motion latents to frames: the picture is taken apart once and re-sampled for each frame.
