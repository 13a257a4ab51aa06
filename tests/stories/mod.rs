//! Whole ways through the program.

mod install;
mod service;
mod tools;
