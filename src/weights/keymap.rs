//! Tensor names: ours against the checkpoint's, as a table.

/// Renames of leading name parts, ours to the checkpoint's; the first entry that matches whole parts counts, other names stay.
#[derive(Debug, Clone, Copy)]
pub struct KeyMap(pub &'static [(&'static str, &'static str)]);

impl KeyMap {
    /// Both sides use the same names.
    pub const IDENTITY: Self = Self(&[]);

    /// The checkpoint's name of our tensor `name`.
    pub fn to_checkpoint(self, name: &str) -> String {
        for (ours, theirs) in self.0 {
            if let Some(rest) = name.strip_prefix(ours)
                && (rest.is_empty() || rest.starts_with('.'))
            {
                return format!("{theirs}{rest}");
            }
        }
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_parts_are_renamed_and_only_whole_ones() {
        let keys = KeyMap(&[("middle.attention", "middle.0"), ("middle", "centre")]);
        assert_eq!(keys.to_checkpoint("middle.attention.query.weight"), "middle.0.query.weight");
        assert_eq!(keys.to_checkpoint("middle.block.bias"), "centre.block.bias");
        assert_eq!(keys.to_checkpoint("middles.bias"), "middles.bias");
        assert_eq!(KeyMap::IDENTITY.to_checkpoint("middle.bias"), "middle.bias");
    }
}
