//! Plots: lines over the time of a release, drawn as SVG that stretches to any width, its labels beside it as text. Pure.

use super::html::Html;

/// A plot is so large in its own units; the page stretches it.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;
/// However far the plot is stretched, a line is as thick as the style sheet says.
const PATH: &str = "<path vector-effect=\"non-scaling-stroke\" class=\"";

/// A scale: from its lowest to its highest value, with what is written beside some of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

/// What one line shows: its name, and how it is drawn.
pub(super) struct Line {
    /// In the legend.
    pub(super) name: String,
    /// Of the style sheet: colour and dashes.
    pub(super) class: &'static str,
    /// In their order; none where there was nothing to see.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// Whether a value stays until the next one.
    pub(super) steps: bool,
}

/// One plot.
pub(super) struct Plot<'a> {
    /// Its title.
    pub(super) title: String,
    /// What it shows, in a sentence or two.
    pub(super) about: String,
    /// The unit of its values.
    pub(super) unit: &'static str,
    /// Of time.
    pub(super) x: &'a Scale,
    /// Of its values.
    pub(super) y: Scale,
    /// What it shows.
    pub(super) lines: Vec<Line>,
    /// Values that decide: each with its name.
    pub(super) limits: Vec<(f64, String)>,
    /// When another weight was asked for.
    pub(super) marks: &'a [f64],
}

impl Scale {
    /// Of time, in milliseconds.
    pub(super) fn time(end: u64) -> Self {
        const STEPS: [(u64, u64, &str); 25] = [
            (100, 1_000, "s"),
            (200, 1_000, "s"),
            (500, 1_000, "s"),
            (1_000, 1_000, "s"),
            (2_000, 1_000, "s"),
            (5_000, 1_000, "s"),
            (10_000, 1_000, "s"),
            (15_000, 1_000, "s"),
            (30_000, 1_000, "s"),
            (60_000, 60_000, "min"),
            (120_000, 60_000, "min"),
            (300_000, 60_000, "min"),
            (600_000, 60_000, "min"),
            (900_000, 60_000, "min"),
            (1_800_000, 60_000, "min"),
            (3_600_000, 3_600_000, "h"),
            (7_200_000, 3_600_000, "h"),
            (10_800_000, 3_600_000, "h"),
            (21_600_000, 3_600_000, "h"),
            (43_200_000, 3_600_000, "h"),
            (86_400_000, 86_400_000, "d"),
            (172_800_000, 86_400_000, "d"),
            (604_800_000, 86_400_000, "d"),
            (2_592_000_000, 86_400_000, "d"),
            (31_536_000_000, 86_400_000, "d"),
        ];
        let few = |(step, ..): &&(u64, u64, &str)| end / step <= 5;
        let ticks = match STEPS.iter().find(few) {
            Some((step, unit, name)) => (0..=end / step)
                .map(|n| n * step)
                .map(|at| {
                    let of_unit = number(at) / number(*unit);
                    (number(at), format!("{of_unit} {name}"))
                })
                .collect(),
            // Longer than any release: its beginning is all there is to say.
            None => vec![(0.0, "0 s".to_owned())],
        };
        Self {
            low: 0.0,
            high: number(end).max(1.0),
            ticks,
        }
    }

    /// Of shares, 0..=1, in percent, up to the least round one that is no less than `most`.
    pub(super) fn percent(most: f64) -> Self {
        const TOPS: [(f64, f64); 10] = [
            (0.001, 5.0),
            (0.002, 4.0),
            (0.005, 5.0),
            (0.01, 5.0),
            (0.02, 4.0),
            (0.05, 5.0),
            (0.1, 5.0),
            (0.2, 4.0),
            (0.5, 5.0),
            (1.0, 5.0),
        ];
        let (top, parts) = TOPS.into_iter().find(|(top, _)| most <= *top).unwrap_or((1.0, 5.0));
        let tick = |n: f64| {
            let value = top * n / parts;
            let percent = format!("{:.2}", value * 100.0);
            let percent = percent.trim_end_matches('0').trim_end_matches('.');
            (value, format!("{percent} %"))
        };
        Self {
            low: 0.0,
            high: top,
            ticks: [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
                .into_iter()
                .filter(|n| *n <= parts)
                .map(tick)
                .collect(),
        }
    }

    /// Of strengths, given as natural logarithms; powers of ten are written beside it. What is weaker than a thousandth is drawn
    /// at its foot.
    pub(super) fn strength(most: f64) -> Self {
        let decades = (most / std::f64::consts::LN_10).ceil().clamp(1.0, 400.0);
        let each = (decades / 6.0).ceil();
        let mut ticks = Vec::new();
        let mut exponent = -3.0 * each;
        while exponent <= decades {
            if exponent >= -3.0 {
                ticks.push((exponent * std::f64::consts::LN_10, power(exponent)));
            }
            exponent += each;
        }
        Self {
            low: -3.0 * std::f64::consts::LN_10,
            high: decades * std::f64::consts::LN_10,
            ticks,
        }
    }

    /// Where on the scale, 0..=1; what is beyond its ends is on them.
    fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// `10 000`, and `1e12` where nobody counts the zeros.
#[expect(clippy::cast_possible_truncation, reason = "a power of ten within 400")]
fn power(exponent: f64) -> String {
    match exponent as i32 {
        -3 => "0.001".into(),
        -2 => "0.01".into(),
        -1 => "0.1".into(),
        0 => "1".into(),
        1 => "10".into(),
        2 => "100".into(),
        3 => "1 000".into(),
        4 => "10 000".into(),
        5 => "100 000".into(),
        6 => "1 000 000".into(),
        more => format!("1e{more}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the eye")]
fn number(ms: u64) -> f64 {
    ms as f64
}

impl Plot<'_> {
    /// Adds it to the page.
    pub(super) fn draw(&self, html: &mut Html) {
        html.markup("<figure>\n<figcaption><h3>")
            .text(&self.title)
            .markup("</h3>\n<p>");
        html.text(&self.about).markup("</p>\n<p class=\"legend\">");
        for line in &self.lines {
            html.markup("<span class=\"key ").text(line.class).markup("\">");
            html.text(&line.name).markup("</span> ");
        }
        for (_, name) in &self.limits {
            html.markup("<span class=\"key limit\">").text(name).markup("</span> ");
        }
        html.markup("</p></figcaption>\n<div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">");
        for (value, label) in &self.y.ticks {
            html.markup("<span style=\"top:")
                .number(100.0 - 100.0 * self.y.place(*value))
                .markup("%\">");
            html.text(label).markup("</span>");
        }
        html.markup("</div>\n<svg viewBox=\"0 0 1000 300\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"");
        html.text(format!("{}, {}, over time", self.title, self.unit))
            .markup("\">\n");
        self.grid(html);
        for line in &self.lines {
            html.markup(PATH).text(line.class).markup("\" d=\"");
            self.path(line, html);
            html.markup("\"/>\n");
        }
        html.markup("</svg>\n<div class=\"x\" aria-hidden=\"true\">");
        for (value, label) in &self.x.ticks {
            html.markup("<span style=\"left:")
                .number(100.0 * self.x.place(*value))
                .markup("%\">");
            html.text(label).markup("</span>");
        }
        html.markup("</div></div>\n</figure>\n");
    }

    fn grid(&self, html: &mut Html) {
        let mut lines = |class: &'static str, across: bool, values: &mut dyn Iterator<Item = f64>| {
            html.markup(PATH).text(class).markup("\" d=\"");
            for value in values {
                if across {
                    html.markup("M0 ").number(self.down(value)).markup("H1000");
                } else {
                    html.markup("M").number(self.right(value)).markup(" 0V300");
                }
            }
            html.markup("\"/>\n");
        };
        lines("grid", true, &mut self.y.ticks.iter().map(|(value, _)| *value));
        lines("mark", false, &mut self.marks.iter().copied());
        lines("limit", true, &mut self.limits.iter().map(|(value, _)| *value));
    }

    fn right(&self, value: f64) -> f64 {
        WIDTH * self.x.place(value)
    }

    fn down(&self, value: f64) -> f64 {
        HEIGHT * (1.0 - self.y.place(value))
    }

    /// A value alone between two gaps is a dot: a line without length has round ends.
    fn path(&self, line: &Line, html: &mut Html) {
        let mut before: Option<f64> = None;
        let mut dot = false;
        for (at, value) in &line.points {
            let Some(value) = value.filter(|v| !v.is_nan()) else {
                if dot {
                    html.markup("h0");
                }
                (before, dot) = (None, false);
                continue;
            };
            let (x, y) = (self.right(*at), self.down(value));
            match before {
                None => {
                    html.markup("M").number(x).markup(" ").number(y);
                }
                Some(last) if line.steps => {
                    html.markup("L").number(x).markup(" ").number(last);
                    html.markup("V").number(y);
                }
                Some(_) => {
                    html.markup("L").number(x).markup(" ").number(y);
                }
            }
            dot = before.is_none();
            before = Some(y);
        }
        if dot {
            html.markup("h0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn time_is_written_in_units_that_a_person_feels() {
        for (end, wanted) in [
            (0, vec!["0 s"]),
            (3_400, vec!["0 s", "1 s", "2 s", "3 s"]),
            (450, vec!["0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s"]),
            (1_800_000, vec!["0 min", "10 min", "20 min", "30 min"]),
            (
                9_000_000,
                vec!["0 min", "30 min", "60 min", "90 min", "120 min", "150 min"],
            ),
            (400_000_000, vec!["0 d", "1 d", "2 d", "3 d", "4 d"]),
            (u64::MAX, vec!["0 s"]),
        ] {
            assert_eq!(labels(&Scale::time(end)), wanted, "{end}");
        }
    }

    #[test]
    fn shares_end_at_a_round_percent_above_the_highest() {
        for (most, wanted) in [
            (0.0, vec!["0 %", "0.02 %", "0.04 %", "0.06 %", "0.08 %", "0.1 %"]),
            (0.31, vec!["0 %", "10 %", "20 %", "30 %", "40 %", "50 %"]),
            (0.015, vec!["0 %", "0.5 %", "1 %", "1.5 %", "2 %"]),
            (7.0, vec!["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
            (f64::NAN, vec!["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
        ] {
            assert_eq!(labels(&Scale::percent(most)), wanted, "{most}");
        }
    }

    #[test]
    fn strengths_are_powers_of_ten() {
        assert_eq!(
            labels(&Scale::strength(4.7)),
            ["0.001", "0.01", "0.1", "1", "10", "100", "1 000"]
        );
        assert_eq!(labels(&Scale::strength(690.0)).last(), Some(&"1e300"));
        for wild in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(labels(&Scale::strength(wild)).len() < 12, "{wild}");
        }
    }

    fn drawn(points: Vec<(f64, Option<f64>)>, steps: bool) -> String {
        let plot = Plot {
            title: String::new(),
            about: String::new(),
            unit: "",
            x: &Scale::time(1_000),
            y: Scale::percent(1.0),
            lines: Vec::new(),
            limits: Vec::new(),
            marks: &[],
        };
        let mut html = Html::default();
        let line = Line {
            name: String::new(),
            class: "canary",
            points,
            steps,
        };
        plot.path(&line, &mut html);
        html.into_text()
    }

    #[test]
    fn a_gap_is_no_line_and_a_value_alone_is_a_dot() {
        let points = vec![
            (0.0, Some(0.0)),
            (100.0, Some(1.0)),
            (200.0, None),
            (300.0, Some(0.5)),
            (400.0, Some(f64::NAN)),
            (500.0, Some(f64::INFINITY)),
        ];
        assert_eq!(drawn(points, false), "M0 300L100 0M300 150h0M500 0h0");
    }

    #[test]
    fn a_weight_stays_until_the_next_one() {
        assert_eq!(
            drawn(vec![(0.0, Some(0.0)), (500.0, Some(0.5)), (1_000.0, Some(1.0))], true),
            "M0 300L500 300V150L1000 150V0"
        );
    }
}
