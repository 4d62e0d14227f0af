//! Do the folders keep the order that `lib.rs` gives them?

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the bottom up, as in `lib.rs`. Modules on one line do not use each other.
const LAYERS: [&[&str]; 8] = [
    &["changes", "hash", "os"],
    &["neigh"],
    &["protocols"],
    &["objects"],
    &["plan"],
    &["datapath", "health"],
    &["announce"],
    &["agent", "controller"],
];
const TOP: &str = "cli";

fn rank_of(module: &str) -> Option<usize> {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.or_else(|| (module == TOP).then_some(LAYERS.len()))
}

fn source_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { source_files(&path) } else { vec![path] }).collect()
}

/// The modules of this crate that a file names: `crate::a::b`, and each `a` of `crate::{a::b, c}`.
fn used_modules(text: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for (at, start) in text.match_indices("crate::") {
        let rest = &text[at + start.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.push(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !letter.is_whitespace() => {
                    used.push(first_word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn first_word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}

/// Tests may use every layer.
fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| ["tests", "tests.rs", "testing.rs"].iter().any(|name| part.as_os_str() == *name))
}

#[test]
fn a_folder_uses_only_what_stands_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in source_files(&src).iter().filter(|path| !is_test(path)) {
        let inside = path.strip_prefix(&src).unwrap();
        let own = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let Some(own_rank) = rank_of(own) else { continue };
        let text = fs::read_to_string(path).unwrap();
        // Unit tests within a file are at its end.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for module in used_modules(text) {
            let rank =
                rank_of(module).unwrap_or_else(|| panic!("{}: no layer has `{module}`", inside.display()));
            seen += 1;
            if module != own && rank >= own_rank {
                wrong.push(format!("{} uses {module}", inside.display()));
            }
        }
    }
    assert!(seen > 100, "the sources were not found: {seen}");
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn names_are_found_in_groups_too() {
    let text = "use crate::{\n    a::{self, b},\n    c,\n};\nuse crate::d::e;\ncrate::f::g();";
    assert_eq!(used_modules(text), ["a", "c", "d", "f"]);
}
