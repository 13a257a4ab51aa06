//! Whole ways through the program.

mod tools;
