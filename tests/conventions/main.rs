//! Conventions of the sources: module layers, rules of the catalogues, pages written from them,
//! every program translated to four languages.

mod catalogues;
mod docs;
mod layers;
mod makefile;
mod page;
mod public_api;
mod shaders;
mod source_graph;
mod words;
