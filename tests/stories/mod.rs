//! Whole ways through the program.

mod generated;
mod install;
mod service;
mod tools;
mod tour;
