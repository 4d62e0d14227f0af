use std::cell::RefCell;

use super::*;

/// A run of tests by name and whether they pass.
fn run(tests: &[(&str, bool)]) -> Run {
    let failed: Vec<_> = tests.iter().filter(|(_, passes)| !passes).collect();
    let mut output = String::from("\n");
    for (name, passes) in tests {
        output += &format!("test {name} ... {}\n", if *passes { "ok" } else { "FAILED" });
    }
    if !failed.is_empty() {
        output += "\nfailures:\n";
        failed.iter().for_each(|(name, _)| output += &format!("    {name}\n"));
    }
    let passed = tests.len() - failed.len();
    output += &format!("\ntest result: some. {passed} passed; {} failed; 0 ignored\n", failed.len());
    Run { success: failed.is_empty(), output }
}

fn judge(first: &Run, again: impl Fn(&str) -> Run) -> (Judgement, Vec<String>) {
    let asked = RefCell::new(Vec::new());
    let mut judgement = Judgement::default();
    let added = judgement.add("trust", first, |test| {
        asked.borrow_mut().push(test.to_owned());
        Ok(again(test))
    });
    added.expect("runs");
    (judgement, asked.into_inner())
}

#[test]
fn a_test_that_passes_alone_is_flaky_and_one_that_does_not_has_failed() {
    let first = run(&[("a::flickers", false), ("stands", true), ("breaks", false)]);
    let again = |test: &str| run(&[(test, test == "a::flickers")]);
    let (judgement, asked) = judge(&first, again);
    assert_eq!(asked, ["a::flickers", "breaks"]);
    assert_eq!(judgement.failed, ["trust::breaks"]);
    let flaky = Flaky {
        name: "trust::a::flickers".into(),
        first: first.output,
        second: run(&[("a::flickers", true)]).output,
    };
    assert_eq!(judgement.flaky, [flaky]);
}

#[test]
fn a_good_run_is_not_repeated() {
    let (judgement, asked) = judge(&run(&[("a", true), ("b", true)]), |_| run(&[]));
    assert_eq!((judgement, asked), (Judgement::default(), vec![]));
}

#[test]
fn a_second_run_that_ran_nothing_is_no_pass() {
    let (judgement, _) = judge(&run(&[("a", false)]), |_| run(&[]));
    assert_eq!(judgement.failed, ["trust::a"]);
}

#[test]
fn a_binary_that_died_has_failed_and_is_not_repeated() {
    let died = Run { success: false, output: "test a ... ok\ntest b ... ".into() };
    let (judgement, asked) = judge(&died, |_| run(&[("b", true)]));
    assert_eq!((judgement.failed, asked), (vec!["trust (ended in or after b)".to_owned()], vec![]));
}

#[test]
fn an_exit_status_that_contradicts_the_closing_line_is_a_failure() {
    let late = Run { success: false, ..run(&[("a", true)]) };
    assert_eq!(judge(&late, |_| run(&[])).0.failed, ["trust (failed after its last test)"]);
}
