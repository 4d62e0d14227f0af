use std::{fs, path::Path};

use super::*;

fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// Else an API server would refuse what is good, or warn of it.
#[test]
fn the_policies_of_the_manifests_have_the_same_names_and_words() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/base/policies.yaml");
    let text = fs::read_to_string(&path).unwrap();
    // Lines of folded text are one line.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for names in [OF_SERVICE.to_vec(), OF_NODE.to_vec(), words(BOOLEANS), words(DELIVERIES)] {
        let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        let list = format!("[{}]", quoted.join(", "));
        assert!(text.contains(&list), "{}: no {list}", path.display());
    }
}
