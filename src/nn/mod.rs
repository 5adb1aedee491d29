//! Layers that two families, or two networks of one family, share.
