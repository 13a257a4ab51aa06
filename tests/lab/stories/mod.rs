//! What msctl makes and what the lab's servers do, on all of it together.

mod cache;
mod canary;
mod exports;
mod mesh;
mod routes;
mod servers;

use serde_json::Value;

use super::ALL;

/// As many of the requests went to the canary as its weight says, as `seen` counts them: within three standard
/// deviations. One fair split in 370 lies beyond them; two in a row, one in 137 000.
fn keeps_to(weight: u64, requests: u32, mut seen: impl FnMut() -> u32) {
    let parts = |weight: u64| f64::from(u32::try_from(weight).expect("a weight"));
    let share = parts(weight) / parts(ALL);
    let mean = f64::from(requests) * share;
    let sigma = (mean * (1.0 - share)).sqrt();
    let within = (0..2).any(|_| {
        let seen = seen();
        println!("{weight} ‰: {seen} of {requests} at the canary, expected {mean:.0} ± {sigma:.0}");
        (f64::from(seen) - mean).abs() <= 3.0 * sigma
    });
    assert!(within, "{weight} ‰");
}

/// The status of a condition.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a str> {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    all.find(|condition| condition["type"] == kind)?["status"].as_str()
}
