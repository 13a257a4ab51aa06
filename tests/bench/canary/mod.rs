//! The judge and the machine in a simulated world, beside the rules of the canary controllers that people use.

mod anchors;
mod controls;
mod figures;
mod kayenta;
mod race;
mod release;
mod scenarios;
mod world;

use std::time::Instant;

use self::race::{ANCHORS, RUNS, Scenario};
use crate::{Row, Section};

pub(crate) fn sections() -> Vec<Section> {
    let begin = Instant::now();
    let raced = |title: &'static str, lead: &str, scenarios: Vec<Scenario>| {
        let heads = ["scenario", "goal of msctl", "verdict", "msctl"];
        Section {
            title,
            lead: lead.to_owned(),
            head: heads.into_iter().chain(ANCHORS.map(|(name, _)| name)).collect(),
            rows: scenarios.iter().map(Scenario::row).collect(),
        }
    };
    let mut sections = vec![
        raced(
            "The canary's judge: releases that are as good as stable",
            &format!("{LEAD}\n\n{RUNS} releases of each kind. {ALIKE}"),
            scenarios::alike(),
        ),
        raced(
            "The canary's judge: half of the canary's requests fail",
            HALF_FAIL,
            scenarios::half_fail(),
        ),
        raced(
            "The canary's judge: the canary fails five times as often, or more",
            WORSE,
            scenarios::worse(),
        ),
        raced("The canary's judge: the canary is slower", SLOWER, scenarios::slower()),
        raced("The canary's judge: little traffic", LITTLE, scenarios::little()),
        Section::of_rows("The canary's judge: proof, and speed", figures::rows()),
        Section::of_rows("The simulator: what is known by other ways", controls::rows()),
    ];
    sections.push(Section::of_rows("What these tables cost", vec![cost(begin)]));
    sections
}

/// Time of the processors, which what else runs on the machine does not change much, and of the clock.
fn cost(begin: Instant) -> Row {
    let took = begin.elapsed().as_secs();
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the kernel says what a process costs");
    // The name of the program may have spaces; it ends at the last bracket. Then user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().expect("ticks"))
        .sum();
    // Linux counts them in hundredths of a second.
    let seconds = ticks / 100;
    Row::new(
        "all tables of the canary's judge",
        "≤ 5 min on two free cores",
        format!(
            "{seconds} s of processor time, {} s on two free cores; {took} s by the clock",
            seconds.div_ceil(2)
        ),
    )
}

const LEAD: &str = "\
msctl is the product's own machine and judge, with its defaults unless the scenario says otherwise. The other columns are *the rules* of Flagger, Argo Rollouts and Kayenta, implemented again from their sources, not
these controllers. All columns see the same requests. Flagger 60 s, 5 (interval, threshold; success ≥ 99 %, window 1 min) is the example of its documents, and 10 s, 3 as fast as it can be set; Argo 60 s, 0 (interval,
failureLimit; ≥ 99 %, 1 min) has its default limit, 10 s, 2 is as fast, and 5 m, 3 (≥ 95 %, 5 min) is the example of its documents; Kayenta has one critical metric, a point a minute, judged every 5 minutes. Where latency is
what is tried, Flagger and Argo hold the p99 below 500 ms, and Kayenta compares it. The canary has 10 % of the traffic for 30 minutes, msctl looks every 5 s, and what is counted is seen at once: a real Prometheus adds up to a scrape and a
query.";

const ALIKE: &str = "\
Share of them that aborted; for msctl also (split) those that it gave up because requests seemed to be split wrongly. Storms: in a minute in five, 20 times as many requests fail, at both arms. Ramp: 1, 5, 25, 50 and 100 %, six
minutes each and longer where msctl asks for proof; the anchors end before the 100 %. Bursts: each arm's failure rate has a factor of its own every 5 s (exponential), which no judge that takes failures for independent is
made for; `canary.tolerance` is what helps.";

const HALF_FAIL: &str = "\
Stable fails 0.1 %. Share that aborted · median and p95 of the time from the canary's first failed request to the decision, over all releases (–: not so many were found) · median of the requests harmed beyond those that stable would have
failed too. The goals of time are those until the weight is back, which a write follows.";

const WORSE: &str = "\
Share that aborted · median and p95 of the time from the canary's first request to the decision, over all releases (–: not so many were found) · median of the requests harmed. What a regression may harm is 15 requests, or those
of one look if these are more.";

const SLOWER: &str = "\
No request fails. Answers take 20 ms in the median (log-normal, p99 128 ms) and are told apart by the buckets of Envoy and Istio. Share that aborted · median and p95 of the time from the canary's first request to the
decision.";

const LITTLE: &str = "\
msctl holds 10 % for 2 minutes at least, waits 30 minutes for proof, and is watched to its end; the anchors as above.";
