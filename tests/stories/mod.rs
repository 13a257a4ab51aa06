//! Whole ways through the program.

mod generated;
mod install;
mod mesh;
mod servers;
mod service;
mod tools;
mod tour;
