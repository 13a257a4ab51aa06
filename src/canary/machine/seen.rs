//! What goes into the machine, and what comes out. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::count::{Counts, Metered};
use crate::canary::judge::Evidence;
use crate::config::units::Weight;

/// What the driver saw, in milliseconds since the release began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "saw", rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every one is the large one, and one lives at a time"
)]
pub enum Input {
    /// The weight in force and the counters.
    Counters {
        /// When.
        at: u64,
        /// As the router reads it back.
        weight: Weight,
        /// Since the release began.
        stable: Counts,
        /// Since the release began.
        canary: Counts,
        /// The same of the metrics of the user's own, by their names.
        #[serde(default, skip_serializing_if = "Metered::is_empty")]
        metrics: Metered,
        /// Whether how long requests took since the last look says something of who answered them.
        #[serde(default = "usual")]
        latencies: bool,
        /// The time of the counters, by a clock of their own.
        #[serde(default)]
        counted: u64,
        /// How old they may be: a weight shows in all of them when they are older than it by this.
        #[serde(default)]
        lag: u64,
        /// Why they are of another meter than the one that this release is judged by, where they are: no step ends by them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead: Option<String>,
    },
    /// The weight in force, and no counters: evidence stands still.
    Blind {
        /// When.
        at: u64,
        /// As the router reads it back.
        weight: Weight,
        /// Why there are none.
        why: String,
    },
    /// The router did not take a weight or does not say which is in force.
    Lost {
        /// When.
        at: u64,
        /// As the router reads it back, where it does.
        weight: Option<Weight>,
        /// What it said.
        why: String,
    },
    /// The canary cannot take the traffic that it gets: not one of its pods is ready.
    Unready {
        /// When.
        at: u64,
        /// As the router reads it back.
        weight: Weight,
        /// What is wrong with it.
        why: String,
    },
    /// The weight was asked for and is not in force everywhere yet.
    Moving {
        /// When.
        at: u64,
        /// The weight that was asked for.
        to: Weight,
        /// Who does not have it.
        why: String,
    },
    /// Somebody asks something of this release.
    Asked {
        /// When.
        at: u64,
        /// What.
        ask: Ask,
        /// Who.
        by: String,
    },
    /// A driver takes over where another one ended.
    Resumed {
        /// When.
        at: u64,
        /// The weight that is asked for, as it stands.
        weight: Weight,
        /// Who drives it from now on.
        by: String,
    },
    /// Somebody else drives this release now.
    Taken {
        /// When.
        at: u64,
        /// As the router reads it back, where it does.
        weight: Option<Weight>,
        /// What shows it.
        why: String,
    },
    /// Somebody asked to stop.
    Stop {
        /// When.
        at: u64,
        /// How.
        by: Stopper,
    },
}

/// How somebody asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stopper {
    /// Ctrl-C
    Interrupt,
    /// SIGTERM
    Terminate,
}

/// What a person, or a freeze, asks of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Ask {
    /// No further step until somebody says `go`; it still goes back when the canary is worse.
    Pause,
    /// On again.
    Go,
    /// The step at this weight is taken as done: the next one begins.
    Promote {
        /// Of the step that is meant; at any other one nothing happens.
        from: Weight,
    },
    /// The same, and all steps between it and the last are left out.
    Finish {
        /// Of the step that is meant.
        from: Weight,
    },
    /// No further step and no promotion, for the time has come in which there are none.
    Freeze,
    /// That time is over.
    Thaw,
    /// Back to stable.
    Abort,
}

/// What the driver does when its process is asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStop {
    /// Puts traffic back.
    #[default]
    Rollback,
    /// Leaves it where it is, for another driver.
    Hold,
}

/// What the driver is to do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Write this weight.
    Write(Weight),
    /// Nothing more.
    End(Outcome),
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All traffic is the canary's, read back.
    Promoted,
    /// The canary is worse; all traffic is stable's, read back.
    RolledBack,
    /// No proof either way; all traffic is stable's, read back.
    CouldNotTell,
    /// Somebody asked to go back; all traffic is stable's, read back.
    Aborted,
    /// Its process was asked to end and to leave traffic where it is; another one may take it over.
    Held,
    /// Somebody else moved traffic; nothing was overwritten.
    Conflict,
    /// Traffic could not be put back, or it could not be seen to be.
    Stuck,
    /// Ctrl-C; all traffic is stable's, read back.
    Interrupted,
    /// SIGTERM; all traffic is stable's, read back.
    Terminated,
}

/// Why the machine did what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The release begins.
    Begin,
    /// The weight is not read back yet.
    Settling,
    /// The weight is in force; counting begins.
    Settled,
    /// The step has not been watched long enough.
    Holding,
    /// The step has not been shown to be safe.
    Unproven,
    /// The canary may be worse, half-way to certain: the step does not end.
    Doubt,
    /// There are no counters.
    Blind,
    /// How long requests took could not be judged for long enough.
    Blurred,
    /// The counters are of another meter than the one that it is judged by: the step does not end.
    Standby,
    /// The step is shown to be safe.
    Safe,
    /// A person takes the step as done, shown to be safe or not.
    Promoted,
    /// The canary is worse.
    Harm,
    /// Requests are not split as asked.
    Split,
    /// The step was not shown to be safe in time.
    Patience,
    /// The weight that was written is not in force in time.
    NotInForce,
    /// The split cannot be read or written.
    Lost,
    /// The canary is not ready for traffic.
    Unready,
    /// Somebody else wrote another weight.
    Conflict,
    /// Somebody asked to stop.
    Stopped,
    /// Somebody asked something of the release.
    Asked,
    /// Somebody asked to go back.
    Aborted,
    /// Somebody asked to wait, and the step is done.
    Paused,
    /// The step is done, and it is a time in which none begins.
    Frozen,
    /// The step is done, and the plan asks for a person's word before the next.
    Gate,
    /// Another driver goes on.
    Resumed,
    /// The weight 0 is not read back yet.
    Returning,
    /// The weight 0 is in force.
    Returned,
    /// The release is over.
    Over,
}

/// One decision, with all it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Which step it is about, from 0.
    pub step: usize,
    /// The weight that was asked for last.
    pub asked: Weight,
    /// Why.
    pub reason: Reason,
    /// The evidence as it stands.
    pub evidence: Evidence,
    /// How many more requests the canary must answer well; none when no number would do.
    pub needed: Option<u64>,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
}

impl Input {
    /// When, in milliseconds since the release began.
    pub const fn at(&self) -> u64 {
        match self {
            Self::Counters { at, .. }
            | Self::Blind { at, .. }
            | Self::Lost { at, .. }
            | Self::Unready { at, .. }
            | Self::Moving { at, .. }
            | Self::Asked { at, .. }
            | Self::Resumed { at, .. }
            | Self::Taken { at, .. }
            | Self::Stop { at, .. } => *at,
        }
    }

    /// The weight in force, where the router said it.
    pub const fn weight(&self) -> Option<Weight> {
        match self {
            Self::Counters { weight, .. } | Self::Blind { weight, .. } | Self::Unready { weight, .. } => Some(*weight),
            Self::Lost { weight, .. } | Self::Taken { weight, .. } => *weight,
            Self::Stop { .. } | Self::Moving { .. } | Self::Asked { .. } | Self::Resumed { .. } => None,
        }
    }
}

/// What a journal says that does not say it.
const fn usual() -> bool {
    true
}
