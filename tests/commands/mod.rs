//! A test per command: it reads like a transcript.

mod canary;
mod canary_backtest;
mod canary_job;
mod canary_journals;
mod canary_run;
mod gate;
mod gate_outputs;
mod gate_waivers;
mod generate;
mod health;
mod house;
mod logs;
mod man;
mod new;
mod schema;
mod tour;
