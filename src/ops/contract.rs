//! What operations ask of their operands.

use crate::error::Error;

/// What an operation, which goes by this name in messages, asks of its operands. Only a defect in the caller breaks it.
pub(super) struct Contract(pub &'static str);

impl Contract {
    /// An operand that is not what was wanted.
    pub(super) fn broken(&self, operand: &str, wanted: &str, found: String) -> Error {
        let hint = "please report this: it is a defect of stir";
        Error::run(format!("`{operand}` of {}", self.0), wanted, found, hint)
    }
}
