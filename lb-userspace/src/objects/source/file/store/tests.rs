use proptest::prelude::*;

use super::*;
use crate::objects::source::file::testing::TestFiles;

const BROKEN: &str = "{ no YAML";

fn node(name: &str, label: &str) -> String {
    format!("---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{l: {label}}}}}}}\n")
}

fn pool(name: &str) -> String {
    format!(
        "---\n{{apiVersion: trigon.dev/v1alpha1, kind: AddressPool, metadata: {{name: {name}}}, \
         spec: {{addresses: [10.0.0.0/8]}}}}\n"
    )
}

/// What was told: changes, then faults, then what was refused.
fn told(update: Update) -> Vec<String> {
    let change = |change: &Change| match change {
        Change::Put(Object::Unreadable(object), _) => Some(format!("unreadable {object}")),
        Change::Put(object, Some(origin)) => {
            Some(format!("{} of {}", object.object_ref(), origin.file.display()))
        }
        Change::Put(object, None) => Some(format!("{} of nowhere", object.object_ref())),
        Change::Gone(object) => Some(format!("gone {object}")),
        Change::Synced(_) => None,
    };
    let problems = update.faults.iter().chain(&update.refused);
    update.changes.iter().filter_map(change).chain(problems.map(ToString::to_string)).collect()
}

fn load(files: &mut TestFiles, texts: &[(&str, &str)]) -> Vec<String> {
    told(files.load(texts))
}

#[test]
fn only_files_that_differ_are_told_of() {
    let mut files = TestFiles::default();
    let (a, b) = (node("a", "x"), node("b", "x"));
    assert_eq!(load(&mut files, &[("1", &a), ("2", &b)]), ["Node a of 1", "Node b of 2"]);
    assert_eq!(load(&mut files, &[("1", &a), ("2", &b)]), [""; 0]);
    assert_eq!(load(&mut files, &[("1", &a), ("2", &node("c", "x"))]), ["gone Node b", "Node c of 2"]);
    assert_eq!(load(&mut files, &[("1", &a)]), ["gone Node c"]);
}

/// When what there was has been put, and never again.
#[test]
fn all_kinds_are_synced_by_the_first_directory_that_is_believed() {
    let mut files = TestFiles::new(Store::new(true));
    let a = node("a", "x");
    let mut load = |texts: &[(&str, &str)]| {
        let changes = files.load(texts).changes;
        let synced = changes.iter().position(|change| matches!(change, Change::Synced(_)));
        (synced, changes.len() - synced.unwrap_or(changes.len()))
    };
    assert_eq!(load(&[]), (None, 0));
    assert_eq!(load(&[("1", &a)]), (Some(1), Kind::ALL.len()));
    assert_eq!(load(&[("1", &a), ("2", &node("b", "x"))]), (None, 0));
}

#[test]
fn a_broken_file_neither_blocks_nor_takes_back_others() {
    let mut files = TestFiles::default();
    let (a, b) = (node("a", "x"), node("b", "x"));
    load(&mut files, &[("1", &a), ("2", &b)]);
    let changed = node("b", "y");
    let now = load(&mut files, &[("1", BROKEN), ("2", &changed)]);
    assert!(
        now.len() == 2 && now[0] == "Node b of 2" && now[1].starts_with("1:2: file 1: syntax"),
        "{now:?}"
    );
    // A new file that is broken is not there, and another can go.
    let now = load(&mut files, &[("1", BROKEN), ("3", BROKEN), ("2", &changed)]);
    assert!(now.len() == 2 && now[1].starts_with("3:2:"), "{now:?}");
    let now = load(&mut files, &[("1", BROKEN), ("3", BROKEN)]);
    assert!(now.len() == 3 && now[0] == "gone Node b", "{now:?}");
    assert_eq!(load(&mut files, &[("1", &a)]), ["Node a of 1"]);
}

#[test]
fn a_file_that_is_renamed_and_broken_in_one_moment_stays() {
    let mut files = TestFiles::default();
    let (a, b) = (node("a", "x"), node("b", "x"));
    load(&mut files, &[("1", &a), ("2", &b)]);
    for texts in [&[("3", BROKEN), ("2", &*b)][..], &[("3", BROKEN)]] {
        let now = load(&mut files, texts);
        assert!(!now.contains(&"gone Node a".to_owned()), "{now:?}");
        assert!(
            now.iter().any(|line| line.starts_with("1: file 1: contents: is gone, and stays")),
            "{now:?}"
        );
    }
    // The other file went later, and was meant to.
    assert!(!files.store().objects.contains_key(&"Node b".parse().unwrap()));
    assert_eq!(load(&mut files, &[("3", &node("c", "x"))]), ["gone Node a", "Node c of 3"]);
}

#[test]
fn a_directory_whose_only_file_is_new_and_broken_takes_nothing_away() {
    let mut files = TestFiles::default();
    load(&mut files, &[("1", &node("a", "x"))]);
    let now = load(&mut files, &[("2", BROKEN)]);
    assert!(now.len() == 2 && now.iter().all(|line| line.contains("file ")), "{now:?}");
    let now = load(&mut files, &[]);
    assert!(now.len() == 1 && now[0].contains("there is no file any more"), "{now:?}");
    assert_eq!(load(&mut files, &[("2", &node("a", "y"))]), ["Node a of 2"]);
}

#[test]
fn a_directory_without_files_is_not_believed_if_there_were_some() {
    let mut files = TestFiles::default();
    assert_eq!(load(&mut files, &[]), [""; 0], "there were none");
    load(&mut files, &[("1", &node("a", "x")), ("2", &node("b", "x"))]);
    let now = load(&mut files, &[]);
    assert!(now.len() == 1 && now[0].contains("there is no file any more"), "{now:?}");
    assert_eq!(load(&mut files, &[("2", "")]), ["gone Node a", "gone Node b"], "that is meant");
    let mut restarted = TestFiles::new(Store::new(true));
    assert!(load(&mut restarted, &[])[0].contains("there is no file any more"));
    // Nor if what there was could not be read.
    assert_eq!(load(&mut restarted, &[("1", BROKEN)]).len(), 1);
    assert!(load(&mut restarted, &[])[0].contains("there is no file any more"));
}

#[test]
fn an_object_in_two_files_stays_as_the_first_one_has_it() {
    let mut files = TestFiles::default();
    let (one, two) = (node("a", "x"), node("a", "y"));
    load(&mut files, &[("2", &one)]);
    let now = load(&mut files, &[("1", &two), ("2", &one)]);
    assert_eq!(now[0], "Node a of 2");
    assert!(now.len() == 2 && now[1].starts_with("1:2: Node a: metadata.name: is there twice, first at 2:2"));
    assert_eq!(load(&mut files, &[("1", &two)]), ["Node a of 1"]);
}

/// Which of two about announcing is meant is unknown: whoever had one keeps its last good version.
#[test]
fn an_object_about_announcing_in_two_files_is_unreadable() {
    let mut files = TestFiles::default();
    assert_eq!(load(&mut files, &[("1", &pool("a"))]), ["AddressPool default/a of 1"]);
    let now = load(&mut files, &[("1", &pool("a")), ("2", &pool("a"))]);
    assert!(
        now.len() == 2 && now[0] == "unreadable AddressPool default/a" && now[1].contains("twice"),
        "{now:?}"
    );
    assert_eq!(load(&mut files, &[("2", &pool("a"))]), ["AddressPool default/a of 2"]);
}

/// A file: what it has is good, mostly.
fn file() -> impl Strategy<Value = String> {
    let objects = proptest::collection::vec(("[ab]", "[xy]", any::<bool>()), 0..3);
    let text = objects.prop_map(|objects| {
        objects
            .iter()
            .map(|(name, label, is_pool)| if *is_pool { pool(name) } else { node(name, label) })
            .collect()
    });
    prop_oneof![6 => text, 1 => Just(BROKEN.to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    /// Who follows the changes has what a new reader of the same files would have; what is not good
    /// changes nothing.
    #[test]
    fn the_changes_lead_to_what_is_there(
        loads in proptest::collection::vec(proptest::collection::btree_map("[p-s]", file(), 0..4), 1..12),
    ) {
        let mut files = TestFiles::default();
        let mut followed = HashMap::new();
        for texts in loads {
            let texts: Vec<_> = texts.iter().map(|(name, text)| (&**name, &**text)).collect();
            let update = files.load(&texts);
            let put = |followed: &mut HashMap<_, _>, changes: Vec<Change>| {
                for change in changes {
                    match change {
                        Change::Put(object, _) => drop(followed.insert(object.object_ref(), object)),
                        Change::Gone(object) => drop(followed.remove(&object)),
                        Change::Synced(_) => {}
                    }
                }
            };
            put(&mut followed, update.changes);
            let fresh = TestFiles::default().load(&texts);
            prop_assert!(fresh.faults.is_empty() || !update.faults.is_empty());
            if update.faults.is_empty() {
                let mut expected = HashMap::new();
                put(&mut expected, fresh.changes);
                prop_assert_eq!(&followed, &expected);
                prop_assert_eq!(update.refused.len(), fresh.refused.len());
            }
            for (path, contents) in &files.store().files {
                prop_assert!(contents.faults.is_empty(), "{}", path.display());
            }
        }
    }
}
