//! What is advised and rewritten, prompt by prompt.

use super::*;

#[test]
fn look() {
    for text in std::fs::read_to_string("/tmp/prompts.txt").unwrap().lines().filter(|line| !line.is_empty()) {
        println!("> {text}");
        for advice in advise(text) {
            println!("    ! {advice}");
        }
        println!("    = {}", rewrite(text));
    }
}
