//! The words of a prompt, before any model reads them: how they could be better.
