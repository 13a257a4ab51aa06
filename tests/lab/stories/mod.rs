//! What msctl makes and what the lab's servers do, on all of it together.

mod cache;
mod mesh;
mod servers;
