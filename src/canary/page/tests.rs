use super::*;
use crate::canary::count::{CasesOfBoth, Counts, Metered};
use crate::canary::journal::{Header, SCHEMA};
use crate::canary::machine::{Effect, Machine};
use crate::canary::replay::replay;
use crate::config::service::Canary;

/// A plan that is looked at every second.
pub(super) fn plan() -> Plan {
    Plan::new(&Canary::default(), 1_000)
}

/// So many looks at a canary that fails every `of`-th request, with the decisions that came of them.
pub(super) fn entries(plan: &Plan, looks: u64, of: u64) -> Vec<Entry> {
    let mut machine = Machine::new(plan.clone());
    let mut weight = Weight::NONE;
    let mut entries = Vec::new();
    let (mut stable, mut canary) = (Counts::default(), Counts::default());
    for look in 0..looks {
        let share = u64::from(weight.get()) / 10;
        add(&mut stable, 100 - share, look / 1000);
        add(&mut canary, share, share / of);
        let input = Input::Counters {
            at: look * plan.interval,
            weight,
            stable,
            canary,
            metrics: Metered::new(),
            latencies: true,
            counted: look * plan.interval,
            lag: 0,
            instead: None,
        };
        let decision = machine.step(&input);
        for effect in &decision.effects {
            if let Effect::Write(to) = effect {
                weight = *to;
            }
        }
        let over = super::super::replay::outcome(&decision).is_some();
        entries.push(Entry { input, decision });
        if over {
            break;
        }
    }
    entries
}

fn add(counts: &mut Counts, requests: u64, failed: u64) {
    counts.sent += requests;
    counts.requests += requests;
    counts.failed += failed.min(requests);
}

fn header(plan: &Plan) -> Header {
    Header {
        schema: SCHEMA.into(),
        id: "7f3a".into(),
        msctl: "0".into(),
        service: "payment".into(),
        setting: "test".into(),
        started: "2026-11-25T00:00:00Z".into(),
        plan: plan.clone(),
    }
}

/// As it stands on disk.
fn lines(header: &Header, entries: &[Entry]) -> Vec<u8> {
    let entries = entries.iter().map(|e| serde_json::to_string(e).unwrap() + "\n");
    let head = serde_json::to_string(header).unwrap() + "\n";
    std::iter::once(head).chain(entries).collect::<String>().into_bytes()
}

fn page(bytes: &[u8]) -> String {
    let decided = |d: &Decision| format!("{:?}", d.reason);
    let words = Words {
        verdict: "ROLLED BACK",
        why: " because <b>",
        traffic: "3 requests harmed.",
        steps: &[vec!["asked".into()], vec!["1 %".into()]],
        metrics: &[vec!["metric".into()], vec!["<i>".into()]],
        decided: &decided,
        journal: ".msctl/canary/7f3a.jsonl",
        explain: "msctl canary explain 7f3a",
    };
    render(&replay("x", bytes).unwrap(), &words)
}

/// The names of the elements of a page, checked to be opened and closed in order.
fn elements(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    let style = page.find("<style>").unwrap()..page.find("</style>").unwrap();
    let text = format!("{}{}", &page[..style.start + 7], &page[style.end..]);
    let body = text.strip_prefix("<!doctype html>").unwrap();
    for tag in body.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            let name = tag.split(' ').next().unwrap();
            names.push(name.to_owned());
            if !(["meta", "link"].contains(&name) || tag.ends_with('/')) {
                open.push(body_name(name));
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    names.sort();
    names.dedup();
    names
}

/// A name that lives as long as the program, of the elements that a page has.
fn body_name(name: &str) -> &'static str {
    const NAMES: [&str; 33] = [
        "a",
        "body",
        "code",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "head",
        "html",
        "main",
        "p",
        "path",
        "span",
        "strong",
        "style",
        "summary",
        "svg",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "title",
        "tr",
        "script",
        "img",
        "iframe",
    ];
    NAMES
        .into_iter()
        .find(|n| *n == name)
        .unwrap_or_else(|| panic!("<{name}>"))
}

#[test]
fn a_page_is_well_formed_fetches_nothing_and_is_the_same_again() {
    let bytes = lines(&header(&plan()), &entries(&plan(), 400, 9));
    let page = page(&bytes);
    assert_eq!(page, super::tests::page(&bytes));
    assert!(is_page(page.as_bytes()) && !is_page(b"<!doctype html>\n<html>"));
    let names = elements(&page);
    for foreign in ["script", "img", "iframe", "object"] {
        assert!(!names.contains(&foreign.to_owned()), "{foreign}");
    }
    for fetched in ["http:", "https:", "url(", "@import", "src="] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(
        page.contains("<h1><span class=\"bad\">ROLLED BACK</span> because &lt;b&gt;</h1>"),
        "{page}"
    );
    assert!(page.contains("decisions, every one bit for bit"));
}

#[test]
fn hostile_text_is_text() {
    let evil = "</title></style><script>alert(1)</script>\u{1b}[31m\u{202e}\" onload='x' &lt;";
    let mut header = header(&plan());
    (header.service, header.setting, header.id) = (evil.into(), evil.repeat(200), evil.into());
    (header.msctl, header.started) = (evil.into(), evil.into());
    let mut machine = Machine::new(plan());
    let inputs = [
        Input::Blind {
            at: 0,
            weight: Weight::NONE,
            why: evil.into(),
        },
        Input::Lost {
            at: u64::MAX,
            weight: None,
            why: evil.into(),
        },
        Input::Lost {
            at: 3,
            weight: None,
            why: evil.into(),
        },
    ];
    let entries = inputs.map(|input| Entry {
        decision: machine.step(&input),
        input,
    });
    let mut bytes = lines(&header, &entries);
    bytes.extend_from_slice(
        format!(
            "{{\"input\":{},\"decision\":\"</code><script>\"}}\n",
            serde_json::to_string(&entries[1].input).unwrap()
        )
        .as_bytes(),
    );
    let page = page(&bytes);
    assert!(!elements(&page).contains(&"script".to_owned()));
    for c in page.chars() {
        assert!(
            c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)),
            "{c:?}"
        );
    }
    assert!(page.contains("line 5 does not recompute"), "{page}");
    assert!(page.contains("&lt;/code&gt;&lt;script&gt;"));
}

#[test]
fn counters_beyond_all_measure_are_drawn() {
    let most = Counts {
        sent: u64::MAX,
        requests: u64::MAX,
        failed: u64::MAX,
        slower: [u64::MAX; EDGES.len()],
    };
    let mut machine = Machine::new(plan());
    let looks = [Counts::default(), most, Counts::default(), most, most];
    let entries: Vec<Entry> = (0_u64..)
        .zip(looks)
        .map(|(at, counts)| {
            let weight = Weight::per_mille(if at == 0 { 0 } else { 10 }).unwrap();
            let input = Input::Counters {
                at: at * (u64::MAX / 5),
                weight,
                stable: counts,
                canary: counts,
                metrics: Metered::new(),
                latencies: true,
                counted: at * (u64::MAX / 5),
                lag: 0,
                instead: None,
            };
            Entry {
                decision: machine.step(&input),
                input,
            }
        })
        .collect();
    let page = page(&lines(&header(&plan()), &entries));
    assert!(
        !page.contains("NaN") && !page.contains("inf%") && !page.contains("Linf"),
        "{page}"
    );
    elements(&page);
}

#[test]
fn a_release_of_a_hundred_thousand_looks_is_a_small_page() {
    let mut plan = plan();
    (plan.hold, plan.patience) = (u64::MAX, u64::MAX);
    let entries = entries(&plan, 100_000, 3_000);
    assert_eq!(entries.len(), 100_000);
    let words = "no counters ".repeat(1_000);
    let mut many = entries.clone();
    for entry in many.iter_mut().skip(10).step_by(2) {
        entry.input = Input::Blind {
            at: entry.input.at(),
            weight: entry.decision.asked,
            why: words.clone(),
        };
        entry.decision.reason = Reason::Blind;
    }
    let replay = Replay {
        machine: Machine::new(plan.clone()),
        header: header(&plan),
        entries: many,
        mismatch: None,
        cut: true,
        outcome: None,
    };
    let decided = |_: &Decision| "x".repeat(100);
    let steps = vec![vec!["cell".to_owned(); 7]; 1_001];
    let text = render(
        &replay,
        &Words {
            verdict: "",
            why: "",
            traffic: "",
            steps: &steps,
            metrics: &[],
            decided: &decided,
            journal: "",
            explain: "",
        },
    );
    assert!(text.len() < 2_000_000, "{}", text.len());
    assert!(text.contains("more: "), "it says that lines are left out");
    elements(&text);
}

#[test]
fn a_release_that_has_just_begun_has_a_page() {
    let page = page(&lines(&header(&plan()), &[]));
    assert!(page.contains("Nothing was seen yet."));
    elements(&page);
}

#[test]
fn strengths_are_numbers_that_a_person_compares() {
    for (value, text) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (99.6, "100"),
        (1_999.7, "2 000"),
        (12_034.0, "12 034"),
        (1e7, "> 1 000 000"),
    ] {
        assert_eq!(strength(libm::log(value)), text);
    }
}

#[test]
fn a_metric_of_the_users_own_has_a_plot_a_table_and_its_numbers() {
    let mut plan = plan();
    let metrics = serde_json::json!([{"name": "orders", "total": "a", "bad": "b"}]);
    plan.metrics = serde_json::from_value(metrics).unwrap();
    let mut machine = Machine::new(plan.clone());
    let looks = entries(&super::tests::plan(), 60, 9).into_iter().zip(0_u64..);
    let entries: Vec<Entry> = looks
        .map(|(Entry { mut input, .. }, at)| {
            if let Input::Counters { metrics, .. } = &mut input {
                let stable = Some(Cases {
                    total: at * 100,
                    bad: at,
                });
                let canary = (at > 5).then_some(Cases { total: at, bad: 1 });
                metrics.insert("orders".into(), CasesOfBoth { stable, canary });
            }
            Entry {
                decision: machine.step(&input),
                input,
            }
        })
        .collect();
    let page = page(&lines(&header(&plan), &entries));
    elements(&page);
    for words in [
        "<h3>Metric orders</h3>",
        "<h2>Metrics</h2>",
        "&lt;i&gt;",
        "orders: canary</th>",
        "<td>no data</td>",
        "<td>1 of 100</td>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}
