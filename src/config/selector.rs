//! Which counters of a Prometheus are meant: a name, and what labels must be. Pure.
//!
//! It is the selector of `PromQL` and no more of it: whoever reads these counters differences them, so a function or a window has no
//! place here, and is refused with that reason.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No person writes a longer one.
const LONGEST: usize = 1_000;

/// What has no place before the braces.
const NAME: &str = "__name__";

/// A selector of counter series: `orders_total{result="failed"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    label: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Matches,
    MatchesNot,
}

/// As they are written; none is the beginning of a later one.
const OPERATORS: [(&str, Operator); 4] = [
    ("=~", Operator::Matches),
    ("!~", Operator::MatchesNot),
    ("!=", Operator::IsNot),
    ("=", Operator::Is),
];

impl Matcher {
    /// The label has this value.
    pub fn is(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            operator: Operator::Is,
            value: value.into(),
        }
    }

    /// The whole of the label's value matches this regular expression.
    pub fn matches(label: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self {
            operator: Operator::Matches,
            ..Self::is(label, pattern)
        }
    }

    /// The label that it is about.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = OPERATORS.iter().find(|(_, operator)| *operator == self.operator);
        write!(f, "{}{}\"", self.label, operator.map_or("=", |(text, _)| text))?;
        for c in self.value.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

impl Selector {
    /// The query for the series that these matchers hold for too.
    pub fn and(&self, more: &[Matcher]) -> String {
        let all: Vec<String> = self.matchers.iter().chain(more).map(ToString::to_string).collect();
        if all.is_empty() {
            self.name.clone()
        } else {
            format!("{}{{{}}}", self.name, all.join(","))
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.and(&[]))
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).map_err(|why| {
            let dots = if text.chars().nth(80).is_some() { "…" } else { "" };
            format!(
                "`{}{dots}` is no selector of counters: {why}; such as `orders_total{{result=\"failed\"}}`",
                shown(text, 80)
            )
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "minLength": 1, "maxLength": LONGEST,
            "examples": ["orders_total", "orders_total{result=\"failed\"}"],
        })
    }
}

/// Whether a label can be called so.
pub(super) fn is_label(text: &str) -> bool {
    text != NAME && begins_word(text, false) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn begins_word(text: &str, colon: bool) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':'))
}

/// The beginning of a text as it can be shown; quotes and backslashes stay what they are.
fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// What is left to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The spaces that `PromQL` knows.
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, word: &str) -> bool {
        let after = self.0.strip_prefix(word);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    /// The name that it begins with; empty where it begins with none. A colon may stand in those of series alone.
    fn name(&mut self, colon: bool) -> &'a str {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
        let end = if begins_word(self.0, colon) {
            self.0.find(|c| !part(c)).unwrap_or(self.0.len())
        } else {
            0
        };
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name
    }

    /// A few characters of it, for errors.
    fn shown(&self) -> String {
        match shown(self.0, 12) {
            few if few.is_empty() => "its end".into(),
            few => format!("`{few}`"),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let label = self.name(false).to_owned();
        if label.is_empty() {
            return Err(format!("a label is missing before {}", self.shown()));
        }
        if label == NAME {
            return Err(format!("the name stands before the braces, not as `{NAME}`"));
        }
        self.skip_space();
        let operator = OPERATORS.into_iter().find(|(text, _)| self.eat(text));
        let Some((_, operator)) = operator else {
            return Err(format!(
                "`{label}` is followed by {}, not by =, !=, =~ or !~",
                self.shown()
            ));
        };
        self.skip_space();
        let value = self.quoted(&label)?;
        let is_pattern = matches!(operator, Operator::Matches | Operator::MatchesNot);
        if is_pattern && regex::Regex::new(&format!("^(?:{value})$")).is_err() {
            return Err(format!("`{}` is no regular expression", shown(&value, 40)));
        }
        Ok(Matcher { label, operator, value })
    }

    /// A value in quotes, as `PromQL` has it: in backquotes nothing is escaped.
    fn quoted(&mut self, label: &str) -> Result<String, String> {
        let mut chars = self.0.chars();
        let quote = chars.next().filter(|c| ['"', '\'', '`'].contains(c));
        let Some(quote) = quote else {
            return Err(format!("the value of `{label}` has no quotes at {}", self.shown()));
        };
        let mut value = String::new();
        while let Some(c) = chars.next() {
            match c {
                c if c == quote => {
                    self.0 = chars.as_str();
                    return Ok(value);
                }
                '\n' if quote != '`' => break,
                '\\' if quote != '`' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c @ ('\\' | '"' | '\'')) => c,
                    other => {
                        let other = other.map_or(String::new(), |c| c.escape_debug().to_string());
                        return Err(format!("`\\{other}` is no escape; a backslash is written `\\\\`"));
                    }
                }),
                c => value.push(c),
            }
        }
        Err(format!("the quote before the value of `{label}` is not closed"))
    }
}

fn read(text: &str) -> Result<Selector, String> {
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes, {LONGEST} are the most", text.len()));
    }
    let mut rest = Rest(text);
    rest.skip_space();
    let name = rest.name(true).to_owned();
    if name.is_empty() {
        return Err(format!(
            "it begins with {}, not with the name of a counter",
            rest.shown()
        ));
    }
    rest.skip_space();
    let mut matchers = Vec::new();
    if rest.eat("{") {
        rest.skip_space();
        while !rest.eat("}") {
            matchers.push(rest.matcher()?);
            rest.skip_space();
            if !rest.eat(",") && !rest.0.starts_with('}') {
                return Err(format!("there is {} where a comma or `}}` is due", rest.shown()));
            }
            rest.skip_space();
        }
        rest.skip_space();
    }
    if rest.0.is_empty() {
        Ok(Selector { name, matchers })
    } else {
        Err(beyond(&name, &rest))
    }
}

/// What follows a selector that is whole, and why it may not.
fn beyond(name: &str, rest: &Rest<'_>) -> String {
    let word = rest.0.split(|c: char| !c.is_ascii_alphanumeric()).next();
    let grouped = ["by", "without"].map(Some).contains(&word);
    if rest.0.starts_with('(') || grouped {
        format!(
            "`{name}` is a function or an aggregation here, and raw counters are wanted: msctl itself counts what they grew by"
        )
    } else if rest.0.starts_with('[') {
        "it has a window, and raw counters are wanted: msctl itself counts what they grew by".into()
    } else {
        format!("it goes on with {}, and one selector alone is wanted", rest.shown())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        text.parse::<Selector>().map(|selector| selector.to_string())
    }

    #[test]
    fn a_selector_is_a_name_and_matchers() {
        for (text, canonical) in [
            ("orders_total", "orders_total"),
            (" shop:orders:sum { } ", "shop:orders:sum"),
            ("orders_total{result=\"failed\"}", "orders_total{result=\"failed\"}"),
            (
                "a{b=\"c\", d!='e',\tf=~`5\\d`,\ng !~ \"x|y\",}",
                "a{b=\"c\",d!=\"e\",f=~\"5\\\\d\",g!~\"x|y\"}",
            ),
            ("a{b=\"\"}", "a{b=\"\"}"),
            (r#"a{b="\\ \" \' \n"}"#, r#"a{b="\\ \" ' \n"}"#),
            ("a{b='\"'}", "a{b=\"\\\"\"}"),
            ("a{b=\"é漢\"}", "a{b=\"é漢\"}"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn matchers_are_added_to_those_that_are_there() {
        let bad: Selector = "orders_total{result=\"failed\"}".parse().unwrap();
        let more = [Matcher::is("namespace", "shop"), Matcher::matches("pod", "payment-.+")];
        assert_eq!(
            bad.and(&more),
            "orders_total{result=\"failed\",namespace=\"shop\",pod=~\"payment-.+\"}"
        );
        let total: Selector = "orders_total".parse().unwrap();
        assert_eq!(total.and(&more[..1]), "orders_total{namespace=\"shop\"}");
    }

    #[test]
    fn what_is_more_than_a_selector_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "it begins with its end, not with the name of a counter"),
            (
                "rate(orders_total[5m])",
                "`rate` is a function or an aggregation here, and raw counters are wanted",
            ),
            (
                "sum by (pod) (orders_total)",
                "`sum` is a function or an aggregation here",
            ),
            (
                "sum without(pod)(orders_total)",
                "`sum` is a function or an aggregation here",
            ),
            ("orders_total[5m]", "it has a window, and raw counters are wanted"),
            ("orders_total{a=\"b\"}[5m]", "it has a window"),
            (
                "orders_total offset 5m",
                "it goes on with `offset 5m`, and one selector alone",
            ),
            ("orders_total @ 5", "it goes on with `@ 5`"),
            ("a / b", "it goes on with `/ b`"),
            ("a + 1", "it goes on with"),
            ("a # b", "it goes on with"),
            ("5", "it begins with `5`"),
            ("-a", "it begins with `-a`"),
            ("{a=\"b\"}", "it begins with `{a=\"b\"}`"),
            ("\"a.b\"", "it begins with"),
            ("{__name__=\"a\"}", "it begins with"),
            ("a{__name__=\"b\"}", "the name stands before the braces"),
            ("a{", "a label is missing before its end"),
            ("a{,}", "a label is missing before `,}`"),
            ("a{b}", "`b` is followed by `}`, not by =, !=, =~ or !~"),
            ("a{b:c=\"d\"}", "`b` is followed by `:c="),
            ("a{b=c}", "the value of `b` has no quotes at `c}`"),
            ("a{b==\"c\"}", "has no quotes"),
            ("a{b=\"c}", "the quote before the value of `b` is not closed"),
            ("a{b=\"c\nd\"}", "is not closed"),
            ("a{b=\"\\d\"}", "`\\d` is no escape; a backslash is written `\\\\`"),
            ("a{b=\"c\" d=\"e\"}", "there is `d=\"e\"}` where a comma or `}` is due"),
            ("a{b=\"c\"", "there is its end where"),
            ("a{b=~\"(\"}", "`(` is no regular expression"),
            ("a.b", "it goes on with `.b`"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.contains("is no selector of counters"), "{error}");
        }
        let long = parsed(&"a".repeat(1_001)).unwrap_err();
        assert!(long.contains("it has 1001 bytes") && long.len() < 300, "{long}");
    }

    fn matcher() -> impl Strategy<Value = Matcher> {
        let operator = prop::sample::select(OPERATORS.map(|(_, operator)| operator).to_vec());
        ("[a-zA-Z_][a-zA-Z0-9_]{0,8}", operator, "\\PC{0,12}").prop_map(|(label, operator, value)| Matcher {
            label,
            operator,
            value: match operator {
                Operator::Is | Operator::IsNot => value,
                Operator::Matches | Operator::MatchesNot => regex::escape(&value),
            },
        })
    }

    proptest! {
        #[test]
        fn no_text_is_too_wild_to_be_refused(text in any::<String>()) {
            _ = text.parse::<Selector>();
        }

        #[test]
        fn nor_one_that_is_nearly_a_selector(text in "[a-z:_ ]{0,4}[{\\[(]?([a-z_]{0,3}[=!~]{0,2}[\"'`\\\\]?[a-z\\\\(]{0,3}[\"'`]?,?){0,3}[})\\]]?.{0,3}") {
            _ = text.parse::<Selector>();
        }

        #[test]
        fn what_is_written_is_read_back_as_the_same(name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", matchers in prop::collection::vec(matcher(), 0..4)) {
            let selector = Selector { name, matchers };
            prop_assert_eq!(selector.to_string().parse(), Ok(selector));
        }
    }
}
