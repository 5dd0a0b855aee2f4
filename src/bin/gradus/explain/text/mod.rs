//! Where the loss of a model of text comes from.

mod found;
mod page;
mod words;

pub use found::TextFound;
pub use page::of as page;
pub use words::of as words;
