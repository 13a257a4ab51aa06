//! The way of a log line: read, understood, merged with those of other files, chosen, counted. No line is lost on it.

mod level;
mod line;
mod merge;
mod select;
pub mod source;
mod summary;

pub use level::Level;
pub use line::{Line, Reader, Record};
pub use merge::merge;
pub use select::{Choice, Selection, Tally};
pub use summary::{Counts, Summary};
