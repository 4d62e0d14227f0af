//! What a binary of tests printed, read back: the names under its last
//! `failures:`, and its closing line. Pure.

/// One run of a binary of tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// All tests that it was asked for ran.
    Complete { passed: usize, failed: Vec<String> },
    /// It ended before its closing line. The test that it had last begun, if any.
    CutShort { at: Option<String> },
}

/// Reads what libtest prints in its usual format, with captured output or without.
pub fn read_report(output: &str) -> Report {
    read_complete(output).unwrap_or_else(|| Report::CutShort { at: last_begun(output) })
}

fn read_complete(output: &str) -> Option<Report> {
    let start = line_starts(output).filter(|at| output[*at..].starts_with(CLOSING)).last()?;
    let closing = output[start..].lines().next()?;
    let failed = match count_before(closing, "failed")? {
        0 => Vec::new(),
        _ => failed_tests(&output[..start]),
    };
    let passed = count_before(closing, "passed")?;
    (failed.len() == count_before(closing, "failed")?).then_some(Report::Complete { passed, failed })
}

/// How the closing line begins: `test result: FAILED. 3 passed; 1 failed; ...`.
const CLOSING: &str = "test result: ";

fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

/// The number before a word of the closing line.
fn count_before(closing: &str, word: &str) -> Option<usize> {
    let words: Vec<&str> = closing.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|one| *one == word)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

/// The names in the last list before the closing line. What tests printed stands
/// before that list, even where it looks like one.
fn failed_tests(output: &str) -> Vec<String> {
    let Some((_, list)) = output.rsplit_once("\nfailures:\n") else { return Vec::new() };
    list.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

/// With one thread, libtest names each test before it runs: `test NAME ... `; with more, when it has ended.
fn last_begun(output: &str) -> Option<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.split_once(" ...")?.0.to_owned());
    output.lines().rev().find_map(name)
}

#[cfg(test)]
mod tests;
