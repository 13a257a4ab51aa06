//! Whole ways through the program.

mod install;
mod tools;
