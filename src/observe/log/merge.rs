//! Lines of several sources in the order of their times. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;

use jiff::Timestamp;

use super::Line;

/// Merges sources by time. Lines of one source keep their order: a line without a time, or with one that goes back, stays
/// behind the line before it, so that a stack trace stays with its error. At the same time the earlier source comes first.
pub fn merge<E>(sources: Vec<impl Iterator<Item = Result<Line, E>>>) -> impl Iterator<Item = Result<Line, E>> {
    let count = sources.len();
    Merge {
        sources: sources.into_iter().map(Iterator::peekable).collect(),
        heads: BinaryHeap::new(),
        behind: (0..count).map(|source| (source, Timestamp::MIN)).collect(),
    }
}

struct Merge<I: Iterator> {
    sources: Vec<Peekable<I>>,
    /// The time of each source's next line.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Sources that are asked for their next line when somebody wants one, and not before: it may take its time.
    behind: Vec<(usize, Timestamp)>,
}

impl<E, I: Iterator<Item = Result<Line, E>>> Merge<I> {
    /// Puts the source's next line among the heads; an error comes first of all.
    fn wait(&mut self, source: usize, last: Timestamp) {
        let head = match self.sources[source].peek() {
            None => return,
            Some(Err(_)) => Timestamp::MIN,
            Some(Ok(line)) => line.time().unwrap_or(last).max(last),
        };
        self.heads.push(Reverse((head, source)));
    }
}

impl<E, I: Iterator<Item = Result<Line, E>>> Iterator for Merge<I> {
    type Item = Result<Line, E>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((source, last)) = self.behind.pop() {
            self.wait(source, last);
        }
        let Reverse((time, source)) = self.heads.pop()?;
        self.behind.push((source, time));
        self.sources[source].next()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(source: usize, number: u64, second: Option<i64>) -> Line {
        let text = second.map_or("plain".to_owned(), |second| format!("{{\"time\":{second}}}"));
        super::super::line::line(source, number, &text)
    }

    fn merged(sources: &[Vec<Option<i64>>]) -> Vec<Line> {
        let lines = sources.iter().enumerate().map(|(source, times)| {
            let numbered = (1..)
                .zip(times)
                .map(move |(number, time)| Ok(line(source, number, *time)));
            numbered.collect::<Vec<Result<Line, ()>>>().into_iter()
        });
        merge(lines.collect()).map(Result::unwrap).collect()
    }

    #[test]
    fn lines_without_a_time_stay_with_the_line_before() {
        let order: Vec<(usize, u64)> = merged(&[vec![Some(1), None, None, Some(5)], vec![Some(2), Some(4)]])
            .iter()
            .map(|l| (l.source, l.number))
            .collect();
        assert_eq!(order, [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (0, 4)]);
    }

    proptest! {
        #[test]
        fn no_line_is_lost_or_moved_within_its_source(
            sources in prop::collection::vec(prop::collection::vec(prop::option::of(0i64..9), 0..20), 0..5)
        ) {
            let lines = merged(&sources);
            for (source, times) in sources.iter().enumerate() {
                let numbers: Vec<u64> = lines.iter().filter(|l| l.source == source).map(|l| l.number).collect();
                prop_assert_eq!(numbers, (1..=times.len() as u64).collect::<Vec<_>>());
            }
        }

        #[test]
        fn sorted_sources_give_a_sorted_merge(
            mut sources in prop::collection::vec(prop::collection::vec(0i64..99, 0..20), 0..5)
        ) {
            for times in &mut sources {
                times.sort_unstable();
            }
            let sources: Vec<Vec<Option<i64>>> =
                sources.into_iter().map(|times| times.into_iter().map(Some).collect()).collect();
            prop_assert!(merged(&sources).iter().map(Line::time).is_sorted());
        }
    }
}
