//! The rules that keep the source a map: layers, isolation of families, and where exceptions may live.
//!
//! Source is parsed, never searched as text, so that comments and strings cannot satisfy or break a rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Leaves may be used anywhere and use only each other.
const LEAVES: [&str; 7] = ["camera", "device", "error", "latents", "picture", "shape", "units"];

/// Layers and what each may use besides itself and the leaves.
const LAYERS: [(&str, &[&str]); 10] = [
    ("cli", &["pipeline", "words", "models", "media", "nn", "ops", "backend", "diffusion", "weights"]),
    ("pipeline", &["words", "models", "media", "nn", "ops", "backend", "diffusion", "weights"]),
    ("models", &["nn", "ops", "backend", "diffusion", "weights"]),
    ("media", &[]),
    ("words", &[]),
    ("nn", &["ops", "backend", "weights"]),
    ("ops", &["backend"]),
    ("backend", &[]),
    ("diffusion", &[]),
    ("weights", &[]),
];

/// A file longer than this is two concepts.
const LONGEST_FILE: usize = 600;

struct SourceFile {
    /// Path below `src`, such as `models/sway/mod.rs`.
    path: String,
    lines: usize,
    syntax: syn::File,
}

impl SourceFile {
    /// The first folder or the file's own name: its layer or leaf.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    /// The family that the file belongs to, if any.
    fn family(&self) -> Option<&str> {
        let (family, _) = self.path.strip_prefix("models/")?.split_once('/')?;
        Some(family)
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.visit_file(&self.syntax);
        facts
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source_files() -> Vec<SourceFile> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = root().join("src");
    let mut paths = Vec::new();
    collect(&source, &mut paths);
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            SourceFile {
                path: path.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/"),
                lines: text.lines().count(),
                syntax: syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            }
        })
        .collect()
}

/// What a file refers to.
#[derive(Default)]
struct Facts {
    /// Paths from the crate's root, such as `["models", "sway"]`.
    crate_paths: BTreeSet<Vec<String>>,
    /// First segments of all other paths.
    first_segments: BTreeSet<String>,
    /// Features named in `cfg` attributes.
    features: BTreeSet<String>,
    /// Whether an attribute lifts the ban on unsafe code.
    allows_unsafe: bool,
}

impl Facts {
    fn record(&mut self, path: &[String]) {
        match path.first().map(String::as_str) {
            Some("crate" | "stir") => {
                self.crate_paths.insert(path[1..].to_vec());
            }
            Some(first) => {
                self.first_segments.insert(first.to_owned());
            }
            None => {}
        }
    }

    fn record_use(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.record_use(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.record_use(tree, prefix)),
            syn::UseTree::Name(name) => self.record(&[prefix.as_slice(), &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(rename) => self.record(&[prefix.as_slice(), &[rename.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.record(prefix),
        }
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.record_use(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.record(&segments);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            let tokens = list.tokens.to_string();
            if attribute.path().is_ident("allow") && tokens.contains("unsafe_code") {
                self.allows_unsafe = true;
            }
            if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                let mut rest = tokens.as_str();
                while let Some(at) = rest.find("feature = \"") {
                    rest = &rest[at + "feature = \"".len()..];
                    self.features.insert(rest[..rest.find('"').unwrap()].to_owned());
                }
            }
        }
        visit::visit_attribute(self, attribute);
    }
}

/// The layers and leaves that a file may name after `crate::`.
fn allowed(module: &str) -> BTreeSet<&str> {
    let mut allowed: BTreeSet<&str> = LEAVES.into();
    if let Some((_, uses)) = LAYERS.iter().find(|(layer, _)| *layer == module) {
        allowed.insert(module);
        allowed.extend(*uses);
    } else if module == "lib" || module == "main" {
        allowed.extend(LAYERS.map(|(layer, _)| layer));
    }
    allowed
}

#[test]
fn no_layer_uses_one_to_its_left() {
    for file in source_files() {
        let allowed = allowed(file.module());
        for path in file.facts().crate_paths {
            let used = path.first().map(String::as_str).unwrap_or_default();
            assert!(
                allowed.contains(used),
                "src/{} uses crate::{}; it may use {allowed:?}",
                file.path,
                path.join("::")
            );
        }
    }
}

#[test]
fn every_module_is_a_known_layer_or_leaf() {
    for file in source_files() {
        let module = file.module();
        let known = LEAVES.contains(&module) || LAYERS.iter().any(|(layer, _)| *layer == module);
        assert!(known || ["lib", "main"].contains(&module), "src/{} belongs to no layer", file.path);
    }
}

#[test]
fn families_never_import_each_other() {
    let files = source_files();
    let families: BTreeSet<&str> = files.iter().filter_map(SourceFile::family).collect();
    assert!(families.contains("sway"));
    for file in &files {
        let Some(own) = file.family() else { continue };
        for path in file.facts().crate_paths {
            if let [models, other, ..] = path.as_slice()
                && models == "models"
            {
                assert!(other == own || !families.contains(other.as_str()), "src/{} imports family {other}", file.path);
            }
        }
    }
}

#[test]
fn every_family_has_its_data_and_its_tests() {
    for folder in std::fs::read_dir(root().join("src/models")).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        let family = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(
            root().join("models").join(&family).join("manifest.toml").is_file(),
            "models/{family}/manifest.toml is missing"
        );
        let tested = std::fs::read_dir(root().join("tests/models"))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with(&family));
        assert!(tested, "tests/models holds no file that begins with {family}");
    }
}

#[test]
fn device_features_are_named_only_where_devices_are_handled() {
    for file in source_files() {
        if ["ops", "backend", "device"].contains(&file.module()) {
            continue;
        }
        let features = file.facts().features;
        assert!(!features.contains("cuda") && !features.contains("metal"), "src/{} names a device feature", file.path);
    }
}

#[test]
fn ffmpeg_stays_in_three_files() {
    for file in source_files() {
        let uses = file.facts().first_segments.contains("ffmpeg_next");
        assert!(
            !uses || ["media/video.rs", "media/recode.rs", "media/playback.rs"].contains(&file.path.as_str()),
            "src/{} uses FFmpeg",
            file.path
        );
    }
}

#[test]
fn unsafe_code_stays_where_it_is_needed() {
    for file in source_files() {
        let places = ["device/driver.rs", "weights/guard.rs", "weights/mapped_file.rs"];
        let may = file.module() == "backend" || places.contains(&file.path.as_str());
        assert!(may || !file.facts().allows_unsafe, "src/{} allows unsafe code", file.path);
    }
}

#[test]
fn files_hold_one_concept() {
    for file in source_files() {
        assert!(file.lines <= LONGEST_FILE, "src/{} has {} lines; split it", file.path, file.lines);
    }
}
