//! The rows of the table.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::contender::Who;

/// Prints the head of the table.
pub(super) fn head() {
    // On a line of its own, after the name of the test.
    println!("\n| case | msctl | Flagger | Argo |\n|---|---|---|---|");
}

/// Prints a row.
pub(super) fn row(case: &str, mut cell: impl FnMut(Who) -> String) {
    let cells = Who::ALL.map(&mut cell);
    println!("| {case} | {} |", cells.join(" | "));
}

/// The median of some numbers, and the least and the greatest where they differ: `38.8 s (37.4–40.1)`.
pub(super) fn median(numbers: &[f64], digits: usize, unit: &str) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return "–".into();
    };
    let middle = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    let [least, middle, most] = [least, &middle, most].map(|number| format!("{number:.digits$}"));
    let spread = if least == most {
        String::new()
    } else {
        format!(" ({least}–{most})")
    };
    format!("{middle}{unit}{spread}")
}

/// How often there is each: `promoted 2, rolled back 1`.
pub(super) fn count<T: Display>(all: impl Iterator<Item = T>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one.to_string()).or_default() += 1;
    }
    let told: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    told.join(", ")
}

#[test]
fn a_median_has_its_spread_beside_it() {
    assert_eq!(median(&[], 0, ""), "–");
    assert_eq!(median(&[3.0], 1, " s"), "3.0 s");
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0], 1, " s"), "2.5 s (1.0–4.0)");
    assert_eq!(count(["b", "a", "b"].into_iter()), "a: 1, b: 2");
}
