//! Health rules over one snapshot, and the way of a log line.
