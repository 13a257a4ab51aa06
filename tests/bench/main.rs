//! The measured figures: `cargo bench` prints the table that `docs/benchmarks.md` keeps.

fn main() {}
