use super::*;

fn record(figures: &[(&str, u64)]) -> Record {
    let instructions = figures.iter().map(|(case, count)| ((*case).to_owned(), *count)).collect();
    Record { kernel: "6.12.1".into(), compiler: "rustc 1".into(), instructions }
}

#[test]
fn three_percent_are_tolerated_and_no_more() {
    let recorded = record(&[("a", 1000), ("b", 1000), ("c", 1000), ("d", 1000)]);
    let measured = record(&[("a", 1030), ("b", 1031), ("c", 970), ("d", 969)]);
    let changes = compare(&recorded, &measured);
    let (worse, better) = (
        Change::Worse { case: "b".into(), from: 1000, to: 1031 },
        Change::Better { case: "d".into(), from: 1000, to: 969 },
    );
    assert_eq!(changes, [worse, better]);
    assert_eq!(changes.iter().map(Change::is_failure).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn the_record_has_the_cases_that_there_are() {
    let changes = compare(&record(&[("old", 1)]), &record(&[("new", 2)]));
    assert_eq!(changes, [Change::New { case: "new".into(), to: 2 }, Change::Gone { case: "old".into() }]);
    assert!(changes.iter().all(Change::is_failure));
}

#[test]
fn the_message_says_which_case_and_by_how_much() {
    let worse = Change::Worse { case: "pass".into(), from: 200, to: 210 };
    assert_eq!(worse.to_string(), "worse: pass costs 210 instructions, on record are 200: +5.0 %");
}

#[test]
fn another_kernel_is_noted() {
    let other = Record { kernel: "6.12.2".into(), ..record(&[]) };
    let differences = environment_notes(&record(&[]), &other);
    assert_eq!(differences.len(), 1);
    assert!(differences[0].contains("kernel is 6.12.2, on record is 6.12.1"), "{differences:?}");
}
