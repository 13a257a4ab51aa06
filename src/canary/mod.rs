//! Plan, machine, judge, driver, journal, and the rehearsal without a cluster.
