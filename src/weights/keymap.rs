//! Tensor names: ours against the checkpoint's.

/// How a checkpoint names our tensors.
pub trait Naming {
    /// The checkpoint's name of our tensor `name`.
    fn to_checkpoint(&self, name: &str) -> String;
}

/// Names as tables; what no table mentions keeps its name.
#[derive(Debug, Clone, Copy)]
pub struct KeyMap {
    /// Put before every name.
    pub prefix: &'static str,
    /// Renames of leading name parts, ours to the checkpoint's; the first entry that matches whole parts counts.
    pub leading: &'static [(&'static str, &'static str)],
    /// Renames of single parts between dots, wherever they stand, after the leading ones.
    pub parts: &'static [(&'static str, &'static str)],
}

impl KeyMap {
    /// Both sides use the same names.
    pub const IDENTITY: Self = Self { prefix: "", leading: &[], parts: &[] };

    /// Only leading parts have other names.
    pub const fn leading(leading: &'static [(&'static str, &'static str)]) -> Self {
        Self { leading, ..Self::IDENTITY }
    }

    fn renamed_part(self, part: &str) -> &str {
        self.parts.iter().find(|(ours, _)| *ours == part).map_or(part, |(_, theirs)| theirs)
    }

    fn renamed_start(self, name: &str) -> String {
        for (ours, theirs) in self.leading {
            if let Some(rest) = name.strip_prefix(ours)
                && (rest.is_empty() || rest.starts_with('.'))
            {
                return format!("{theirs}{rest}");
            }
        }
        name.to_owned()
    }
}

impl Naming for KeyMap {
    fn to_checkpoint(&self, name: &str) -> String {
        let name = self.renamed_start(name);
        let parts = name.split('.').map(|part| self.renamed_part(part));
        format!("{}{}", self.prefix, parts.collect::<Vec<_>>().join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_parts_are_renamed_and_only_whole_ones() {
        let keys = KeyMap::leading(&[("middle.attention", "middle.0"), ("middle", "centre")]);
        assert_eq!(keys.to_checkpoint("middle.attention.query.weight"), "middle.0.query.weight");
        assert_eq!(keys.to_checkpoint("middle.block.bias"), "centre.block.bias");
        assert_eq!(keys.to_checkpoint("middles.bias"), "middles.bias");
        assert_eq!(KeyMap::IDENTITY.to_checkpoint("middle.bias"), "middle.bias");
    }

    #[test]
    fn single_parts_are_renamed_wherever_they_stand() {
        let keys = KeyMap { prefix: "model.", leading: &[("first", "start")], parts: &[("norm", "n"), ("start", "s")] };
        assert_eq!(keys.to_checkpoint("first.0.norm.weight"), "model.s.0.n.weight");
        assert_eq!(keys.to_checkpoint("norms.normal"), "model.norms.normal");
    }
}
