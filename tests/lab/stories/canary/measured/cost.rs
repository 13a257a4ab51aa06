//! What drivers take of the machine while they watch a step.

use std::time::{Duration, Instant};

use crate::lab::{User, lab};
use crate::support::until;

use super::super::seen::Seen;
use super::super::shop::{Driver, EACH_FIVE, Shop, Turn, prometheus};
use super::super::street::{Street, beside};
use super::{is_bench, row, runs};

/// Seconds of processor time that a process took so far.
fn busy(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<f64>().expect("ticks"))
        .sum();
    ticks / 100.0
}

/// What a process holds of the memory in MB: all of it, its part of what is shared, and what is its own alone.
fn memory(process: u32) -> [f64; 3] {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("it runs");
    let of = |names: &[&str]| {
        let lines = rollup.lines().filter_map(|line| line.split_once(':'));
        let named = lines.filter(|(name, _)| names.contains(name));
        let kilobytes = named.map(|(_, size)| size.trim().trim_end_matches(" kB").parse::<f64>().expect("a size"));
        kilobytes.sum::<f64>() / 1024.0
    };
    [of(&["Rss"]), of(&["Pss"]), of(&["Private_Clean", "Private_Dirty"])]
}

/// How often drivers in these namespaces asked the API server so far.
fn asked(shops: &[Shop]) -> usize {
    let ours = |event: &serde_json::Value| {
        let namespace = &event["objectRef"]["namespace"];
        event["user"]["username"] == "releaser" && shops.iter().any(|shop| *namespace == shop.namespace.as_str())
    };
    lab().control_plane().audit().into_iter().filter(ours).count()
}

/// A driver that watches its first step.
fn watching(shop: &Shop) -> Driver {
    let seen = Seen::follow(&shop.namespace);
    let flags = [
        "--prometheus",
        prometheus().address(),
        "--metrics",
        "envoy",
        "--interval",
        "5s",
        "--steps",
        "10,50",
        "--hold",
        "5m",
    ];
    let driver = Driver::start(&mut shop.command(User::Releaser, "run", &flags));
    until("its first step", || seen.now() == 10);
    until("it watches", || shop.journal().lines().count() > 3);
    driver
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a few drivers and requests")]
fn drivers_take_little() {
    let number = runs(20, 1);
    let street = Street::open(Turn::together(), "little", number, &EACH_FIVE);
    let shops = &street.shops;
    let loads: Vec<_> = shops.iter().map(|shop| shop.load(10)).collect();
    let drivers = beside(shops, watching);
    let all_busy = || drivers.iter().map(|driver| busy(driver.process())).sum::<f64>();
    let length = Duration::from_secs(if is_bench() { 50 } else { 5 });
    let (requests, before, began) = (asked(shops), all_busy(), Instant::now());
    until("its time", || began.elapsed() >= length);
    let elapsed = began.elapsed().as_secs_f64();
    let share = (all_busy() - before) / elapsed * 100.0;
    let requests = (asked(shops) - requests) as f64 / elapsed / number as f64;
    let [all, part, own] = drivers.iter().fold([0.0; 3], |sums, driver| {
        let of = memory(driver.process());
        [0, 1, 2].map(|at| sums[at] + of[at])
    });
    let measured = format!(
        "{number} of them: {share:.1} % of a core; {all:.0} MB, {part:.0} MB where what is shared counts once, {own:.0} MB their own; \
         {requests:.1} requests a second to the API server each"
    );
    row(
        "drivers that watch a step, 5 s scrapes",
        "20 of them: 2 % of a core, 40 MB",
        &measured,
    );
    beside(shops.iter().zip(drivers), |(shop, driver)| {
        assert_eq!(shop.canary(User::Releaser, "abort", &[]).code, 0);
        assert_eq!(driver.end(), Some(1));
    });
    for load in loads {
        load.stop(lab().wire());
    }
}
