//! Amounts of processor and memory, as Kubernetes writes them: `100m`, `256Mi`. Pure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Processor time: `100m` is a tenth of a core, `2` is two cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu(u32);

impl Cpu {
    /// So many thousandths of a core.
    pub const fn millis(millis: u32) -> Self {
        Self(millis)
    }
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = match text.strip_suffix('m') {
            Some(digits) => whole(digits),
            None => whole(text).and_then(|cores| cores.checked_mul(1_000)),
        };
        match millis.and_then(|m| u32::try_from(m).ok()) {
            Some(millis) if (1..=1_000_000).contains(&millis) => Ok(Self(millis)),
            _ => Err(format!(
                "`{}` is no amount of processor such as 100m or 2",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000) {
            write!(f, "{}", self.0 / 1_000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

/// Memory: `64Mi`, `1Gi`; whole Ki.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(u64);

const UNITS: [(&str, u64); 3] = [("Gi", 1 << 20), ("Mi", 1 << 10), ("Ki", 1)];

impl Memory {
    /// So many mebibytes.
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 10)
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = |(suffix, kibibytes): &(&str, u64)| Some((text.strip_suffix(suffix)?, *kibibytes));
        let (digits, factor) = UNITS.iter().find_map(unit).unwrap_or(("", 0));
        match whole(digits).and_then(|number| number.checked_mul(factor)) {
            Some(kibibytes) if (1_024..=1 << 30).contains(&kibibytes) => Ok(Self(kibibytes)),
            _ => Err(format!(
                "`{}` is no amount of memory such as 64Mi or 1Gi (1Mi to 1024Gi)",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor);
        let (suffix, factor) = UNITS.iter().find(fits).unwrap_or(&UNITS[2]);
        write!(f, "{}{suffix}", self.0 / factor)
    }
}

/// Digits alone: no sign, no blank.
fn whole(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Written as text; `2` may stand without quotes, and is a number to YAML.
macro_rules! amount {
    ($type:ident, $pattern:literal, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Amount;
                impl Visitor<'_> for Amount {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an amount such as ", $example))
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                deserializer.deserialize_any(Amount)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": ["string", "integer"], "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

amount!(Cpu, "^[0-9]+m?$", "100m");
amount!(Memory, "^[0-9]+(Ki|Mi|Gi)$", "256Mi");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_and_shown_in_its_shortest_form() {
        for (text, shown) in [("100m", "100m"), ("1000m", "1"), ("2", "2"), ("1500m", "1500m")] {
            assert_eq!(text.parse::<Cpu>().unwrap().to_string(), shown);
        }
        for (text, shown) in [
            ("64Mi", "64Mi"),
            ("1024Mi", "1Gi"),
            ("2Gi", "2Gi"),
            ("1500Ki", "1500Ki"),
        ] {
            assert_eq!(text.parse::<Memory>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_kubernetes_would_take_for_something_else_is_refused() {
        for bad in [
            "",
            "m",
            "0",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "100M",
            " 1",
            "1001000m",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<Cpu>().is_err(), "{bad}");
        }
        // `m` is a thousandth of a byte to Kubernetes: 256m would be no memory at all.
        for bad in [
            "", "Mi", "64", "64M", "256m", "64mi", "0Mi", "1Ki", "-1Mi", "1.5Gi", "2000Gi",
        ] {
            assert!(bad.parse::<Memory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_without_quotes_is_an_amount_of_processor() {
        assert_eq!(serde_yaml::from_str::<Cpu>("2").unwrap(), Cpu::millis(2_000));
        assert_eq!(serde_yaml::from_str::<Cpu>("'2'").unwrap(), Cpu::millis(2_000));
        assert!(serde_yaml::from_str::<Memory>("64").is_err());
    }
}
