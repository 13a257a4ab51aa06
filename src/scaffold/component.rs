//! Components: what each provides, needs and cannot stand, and which of them make a service. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::failure::{Failure, Kind};

/// A `component.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name, and that of its directory.
    pub id: String,
    /// The version of its templates.
    pub version: String,
    /// Its capabilities; a service has one provider of each at most.
    pub provides: Vec<String>,
    /// Capabilities it cannot do without.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Components it cannot stand beside.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Components its templates may mention.
    #[serde(default)]
    pub enhances: Vec<String>,
    /// The languages it has templates for.
    pub languages: Vec<String>,
    /// Its Go package, below the service's directory: `internal/platform/otlp`.
    #[serde(default)]
    pub package: Option<String>,
    /// Whether a new service has it when nothing else is asked.
    #[serde(default)]
    pub default: bool,
}

/// Every component of a language.
#[derive(Clone, Debug, Default)]
pub struct Catalogue(BTreeMap<String, Component>);

impl Catalogue {
    /// These components.
    pub fn new(components: impl IntoIterator<Item = Component>) -> Self {
        Self(components.into_iter().map(|c| (c.id.clone(), c)).collect())
    }

    /// By name.
    pub fn get(&self, id: &str) -> Option<&Component> {
        self.0.get(id)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Component> {
        self.0.values()
    }

    /// Those a new service has when nothing else is asked.
    pub fn defaults(&self) -> Vec<String> {
        self.iter().filter(|c| c.default).map(|c| c.id.clone()).collect()
    }

    /// The components with these names, each after those it requires; `given` are capabilities that are always there.
    pub fn resolve(&self, chosen: &[String], given: &[String]) -> Result<Vec<&Component>, Failure> {
        let ids: BTreeSet<&String> = chosen.iter().collect();
        let chosen = ids
            .into_iter()
            .map(|id| self.known(id))
            .collect::<Result<Vec<_>, _>>()?;
        let providers = one_provider_each(&chosen)?;
        none_conflicts(&chosen)?;
        self.all_required(&chosen, given, &providers)?;
        in_order(chosen, given)
    }

    fn known(&self, id: &str) -> Result<&Component, Failure> {
        self.get(id).ok_or_else(|| {
            let all = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let nearest = self
                .0
                .keys()
                .max_by(|a, b| closeness(id, a).total_cmp(&closeness(id, b)));
            let failure = Failure::new(Kind::Usage, format!("there is no component `{}`", id.escape_debug()));
            match nearest.filter(|near| closeness(id, near) > 0.7) {
                Some(near) => failure.hint(format!("did you mean `{near}`? There are: {all}")),
                None if all.is_empty() => failure.hint("there are none"),
                None => failure.hint(format!("one of: {all}")),
            }
        })
    }

    fn all_required(
        &self,
        chosen: &[&Component],
        given: &[String],
        providers: &BTreeMap<&str, &str>,
    ) -> Result<(), Failure> {
        for component in chosen {
            for wanted in &component.requires {
                if !given.contains(wanted) && !providers.contains_key(wanted.as_str()) {
                    let could = self
                        .iter()
                        .filter(|c| c.provides.contains(wanted))
                        .map(|c| c.id.as_str());
                    let message = format!("component `{}` needs a provider of `{wanted}`", component.id);
                    let could = could.collect::<Vec<_>>().join(", ");
                    return Err(Failure::new(Kind::Usage, message).hint(format!("add one of: {could}")));
                }
            }
        }
        Ok(())
    }
}

fn closeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

fn one_provider_each<'a>(chosen: &[&'a Component]) -> Result<BTreeMap<&'a str, &'a str>, Failure> {
    let mut providers: BTreeMap<&str, &str> = BTreeMap::new();
    for component in chosen {
        for capability in &component.provides {
            if let Some(other) = providers.insert(capability, &component.id) {
                let message = format!(
                    "components `{other}` and `{}` both provide `{capability}`",
                    component.id
                );
                return Err(Failure::new(Kind::Usage, message).hint("choose one of them"));
            }
        }
    }
    Ok(providers)
}

fn none_conflicts(chosen: &[&Component]) -> Result<(), Failure> {
    for component in chosen {
        if let Some(other) = chosen.iter().find(|c| component.conflicts.contains(&c.id)) {
            let message = format!("components `{}` and `{}` do not work together", component.id, other.id);
            return Err(Failure::new(Kind::Usage, message).hint("choose one of them"));
        }
    }
    Ok(())
}

/// Each after those it requires, otherwise by name: the order they start in.
fn in_order<'a>(mut left: Vec<&'a Component>, given: &[String]) -> Result<Vec<&'a Component>, Failure> {
    let mut have: BTreeSet<&str> = given.iter().map(String::as_str).collect();
    let mut order: Vec<&Component> = Vec::new();
    while !left.is_empty() {
        let ready = |c: &&Component| c.requires.iter().all(|r| have.contains(r.as_str()));
        let Some(next) = left.iter().position(ready) else {
            let names = left.iter().map(|c| c.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(
                Kind::Config,
                format!("components require one another in a ring: {names}"),
            ));
        };
        let component = left.remove(next);
        have.extend(component.provides.iter().map(String::as_str));
        order.push(component);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(id: &str, provides: &str, requires: &[&str], conflicts: &[&str]) -> Component {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Component {
            id: id.into(),
            version: "1".into(),
            provides: vec![provides.into()],
            requires: owned(requires),
            conflicts: owned(conflicts),
            enhances: Vec::new(),
            languages: vec!["go".into()],
            package: None,
            default: id == "otlp",
        }
    }

    fn resolve(chosen: &[&str]) -> Result<Vec<String>, String> {
        let catalogue = Catalogue::new([
            component("otlp", "telemetry", &["lifecycle"], &[]),
            component("etcd", "registry", &["telemetry"], &[]),
            component("consul", "registry", &[], &["istio"]),
            component("istio", "mesh", &[], &[]),
            component("a-ring", "a", &["b"], &[]),
            component("b-ring", "b", &["a"], &[]),
        ]);
        let chosen: Vec<String> = chosen.iter().map(|s| (*s).to_owned()).collect();
        match catalogue.resolve(&chosen, &["lifecycle".to_owned()]) {
            Ok(found) => Ok(found.iter().map(|c| c.id.clone()).collect()),
            Err(failure) => Err(format!("{failure}; {}", failure.hints().join("; "))),
        }
    }

    #[test]
    fn components_come_after_those_they_require() {
        assert_eq!(resolve(&["otlp", "etcd", "otlp"]).unwrap(), ["otlp", "etcd"]);
        assert_eq!(resolve(&["etcd", "istio", "otlp"]).unwrap(), ["istio", "otlp", "etcd"]);
        assert_eq!(resolve(&[]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_is_said_with_the_way_out() {
        for (chosen, says) in [
            (&["otpl"][..], "there is no component `otpl`; did you mean `otlp`?"),
            (&["zzz"], "there is no component `zzz`; one of: a-ring, b-ring, consul"),
            (
                &["etcd"],
                "component `etcd` needs a provider of `telemetry`; add one of: otlp",
            ),
            (
                &["etcd", "consul", "otlp"],
                "components `consul` and `etcd` both provide `registry`",
            ),
            (
                &["istio", "consul"],
                "components `consul` and `istio` do not work together",
            ),
            (&["a-ring", "b-ring"], "in a ring: a-ring, b-ring"),
        ] {
            let failure = resolve(chosen).unwrap_err();
            assert!(failure.contains(says), "{chosen:?}: {failure}");
        }
    }
}
