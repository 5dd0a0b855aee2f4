//! The house: floors and laws of the sources, the pages written from the lists, every program in four languages.

mod docs;
mod floors;
mod laws;
mod makefile;
mod shaders;
