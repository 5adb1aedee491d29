//! Endings and misspellings: which plain forms a word may be a form of, and which word a misspelt one is nearest to.

/// Words shorter than this, in letters, are never taken for a misspelling.
pub const SHORTEST_CORRECTED: usize = 6;

/// The plain forms that `word` may come from, likeliest first; `word` itself is not among them.
pub fn plain_forms(word: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Some(stem) = word.strip_suffix("'s").or_else(|| word.strip_suffix('\'')) {
        forms.push(stem.to_string());
        forms.extend(plain_forms(stem));
        return forms;
    }
    if let Some(stem) = word.strip_suffix("ies").or_else(|| word.strip_suffix("ied")) {
        push(&mut forms, stem, "y");
    }
    if let Some(stem) = word.strip_suffix("ing").or_else(|| word.strip_suffix("ed")) {
        push(&mut forms, stem, "");
        push(&mut forms, stem, "e");
        if let Some(single) = without_doubled_end(stem) {
            push(&mut forms, single, "");
        }
    }
    if let Some(stem) = word.strip_suffix('s').filter(|stem| !stem.ends_with('s')) {
        push(&mut forms, stem, "");
        if let Some(shorter) = stem.strip_suffix('e') {
            push(&mut forms, shorter, "");
        }
    }
    forms
}

/// The common forms of a plain verb or noun: the other way round, to find misspellings of them.
pub fn inflected_forms(plain: &str) -> Vec<String> {
    let base = if doubles_end(plain) {
        let last = &plain[plain.len() - 1..];
        format!("{plain}{last}")
    } else {
        plain.strip_suffix('e').unwrap_or(plain).to_string()
    };
    let sibilant = ["s", "x", "z", "ch", "sh"].iter().any(|ending| plain.ends_with(ending));
    let plural = if sibilant { format!("{plain}es") } else { format!("{plain}s") };
    vec![plain.to_string(), plural, format!("{base}ing"), format!("{base}ed")]
}

/// Short words that end in consonant, vowel, consonant double the last: "nod", "nodding".
fn doubles_end(plain: &str) -> bool {
    let letters: Vec<char> = plain.chars().collect();
    let vowel = |letter: char| "aeiou".contains(letter);
    match letters.as_slice() {
        [.., first, second, last] if letters.len() <= 4 => {
            last.is_ascii_lowercase() && !vowel(*first) && vowel(*second) && !vowel(*last) && !"wxy".contains(*last)
        }
        _ => false,
    }
}

fn push(forms: &mut Vec<String>, stem: &str, ending: &str) {
    if stem.chars().count() >= 2 {
        forms.push(format!("{stem}{ending}"));
    }
}

fn without_doubled_end(stem: &str) -> Option<&str> {
    let mut backwards = stem.char_indices().rev();
    let (index, last) = backwards.next()?;
    let (_, before) = backwards.next()?;
    (last == before).then(|| &stem[..index])
}

/// Whether one letter changed, added, left out, or two neighbours exchanged turn `a` into `b`. The first letter has to agree: that is where
/// people rarely err, and it keeps "flowing" apart from "glowing".
pub fn is_misspelling(a: &str, b: &str) -> bool {
    if a == b || a.chars().next() != b.chars().next() {
        return false;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let common = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[common..], &b[common..]);
    match (rest_a.len(), rest_b.len()) {
        (m, n) if m == n => {
            rest_a[1..] == rest_b[1..]
                || (m >= 2 && rest_a[0] == rest_b[1] && rest_a[1] == rest_b[0] && rest_a[2..] == rest_b[2..])
        }
        (m, n) if m > n => rest_a[1..] == *rest_b,
        _ => *rest_a == rest_b[1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_taken_off() {
        for (word, plain) in [
            ("blinks", "blink"),
            ("swaying", "sway"),
            ("waving", "wave"),
            ("nodding", "nod"),
            ("panned", "pan"),
            ("dresses", "dress"),
            ("breathes", "breathe"),
            ("butterflies", "butterfly"),
            ("girl's", "girl"),
            ("girls'", "girls"),
        ] {
            assert!(plain_forms(word).contains(&plain.to_string()), "{word}: {:?}", plain_forms(word));
        }
        assert!(plain_forms("dress").is_empty());
        assert!(plain_forms("s").is_empty());
    }

    #[test]
    fn plain_words_and_their_forms_agree() {
        for plain in ["blink", "sway", "wave", "nod", "pan", "breathe", "spin", "glow", "lean"] {
            for form in inflected_forms(plain).iter().filter(|form| form.ends_with("ing")) {
                let back = plain_forms(form);
                assert!(back.contains(&plain.to_string()), "{form}: {back:?}");
            }
        }
    }

    #[test]
    fn one_slip_is_a_misspelling_and_two_are_not() {
        for slip in ["flwoing", "flowng", "flowwing", "flawing"] {
            assert!(is_misspelling(slip, "flowing"), "{slip}");
        }
        for other in ["flowing", "glowing", "flowering", "flying", ""] {
            assert!(!is_misspelling(other, "flowing"), "{other}");
        }
    }
}
