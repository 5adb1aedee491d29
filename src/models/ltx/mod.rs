//! LTX-Video: real open weights that animate a picture from its first frame and a prompt.

pub mod text;
