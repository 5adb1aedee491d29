//! Where results and sums are kept from run to run.

use std::path::PathBuf;

/// `stir/NAME` in the folder that `XDG_DATA_HOME` names, else in `~/.local/share`; `None` without either.
pub(super) fn data_folder(name: &str) -> Option<PathBuf> {
    folder_of(name, |variable| std::env::var_os(variable).map(PathBuf::from))
}

fn folder_of(name: &str, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // By the rules of XDG a relative folder is none.
    let absolute = |name| variable(name).filter(|folder| folder.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("stir").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_that_of_data() {
        let variables = |data: Option<&str>, home: Option<&str>| {
            let known = [("XDG_DATA_HOME", data.map(str::to_owned)), ("HOME", home.map(str::to_owned))];
            folder_of("bench", |name| known.iter().find(|(known, _)| *known == name)?.1.as_ref().map(PathBuf::from))
        };
        assert_eq!(variables(Some("/data"), Some("/home/a")), Some("/data/stir/bench".into()));
        for data in [None, Some(""), Some("relative")] {
            assert_eq!(variables(data, Some("/home/a")), Some("/home/a/.local/share/stir/bench".into()));
        }
        assert_eq!(variables(None, None), None);
    }
}
