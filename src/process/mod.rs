//! The door to other programs: tool table, invocation, run with timeout and group kill.
