//! Advice on data of known distributions: each kind of target, its losses, and what must not be
//! said of clean data.

mod classes;
mod columns;
mod quantities;
mod samples;
