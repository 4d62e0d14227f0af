//! "Did you mean ...?"

/// The one of `known` that is nearest to what was written, if it is near:
/// one typing error for short words, two for longer ones.
pub fn nearest_name<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let near = |word: &&str| edit_distance(&written.to_lowercase(), &word.to_lowercase());
    let best = known.iter().copied().min_by_key(near)?;
    (near(&best) <= if best.len() < 6 { 1 } else { 2 }).then_some(best)
}

/// Levenshtein distance, with two neighbours swapped counting once.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut cost = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["port", "protocol", "nodeName", "Service"];
        assert_eq!(nearest_name("prot", &known), Some("port"));
        assert_eq!(nearest_name("nodename", &known), Some("nodeName"));
        assert_eq!(nearest_name("Servcie", &known), Some("Service"));
        assert_eq!(nearest_name("Secret", &known), None);
        assert_eq!(nearest_name("replicas", &known), None);
        assert_eq!(nearest_name("", &[]), None);
    }
}
