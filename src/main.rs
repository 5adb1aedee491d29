//! The program `stir`.

fn main() {}
