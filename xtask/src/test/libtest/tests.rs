use super::*;

const CAPTURED: &str = "
running 3 tests
test drops::are_counted ... ok
test drops::have_a_name ... FAILED
test trust ... FAILED

failures:

---- drops::have_a_name stdout ----
what a test says may look like a list:

failures:
    not_a_test

---- trust stdout ----

thread 'trust' panicked at lb-testbed/tests/trust.rs:3:5:
no


failures:
    drops::have_a_name
    trust

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.12s

";

fn complete(passed: usize, failed: &[&str]) -> Report {
    Report::Complete { passed, failed: failed.iter().map(|name| (*name).to_owned()).collect() }
}

#[test]
fn failed_tests_are_those_of_the_last_list() {
    assert_eq!(read_report(CAPTURED), complete(1, &["drops::have_a_name", "trust"]));
}

#[test]
fn output_between_a_test_and_its_result_does_not_matter() {
    let said = "running 1 test\ntest trust ... test result: ok. 7 passed; 0 failed;\nFAILED\n\nfailures:\n\n\
                failures:\n    trust\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n";
    assert_eq!(read_report(said), complete(0, &["trust"]));
}

#[test]
fn nothing_failed_where_all_passed_or_nothing_was_asked_for() {
    let closing =
        |passed| format!("running {passed} tests\n\ntest result: ok. {passed} passed; 0 failed; 0 ignored");
    assert_eq!(read_report(&closing(3)), complete(3, &[]));
    assert_eq!(read_report(&closing(0)), complete(0, &[]));
}

#[test]
fn a_binary_that_died_names_the_test_it_was_at() {
    let said = "running 2 tests\ntest a::b ... ok\ntest a::c ... fatal runtime error: stack overflow\n";
    assert_eq!(read_report(said), Report::CutShort { at: Some("a::c".into()) });
    assert_eq!(read_report(""), Report::CutShort { at: None });
}

#[test]
fn a_list_that_lacks_a_name_is_not_believed() {
    let said =
        "test a ... FAILED\n\nfailures:\n    a\n\ntest result: FAILED. 0 passed; 2 failed; 0 ignored\n";
    assert_eq!(read_report(said), Report::CutShort { at: Some("a".into()) });
}
