//! Recommenders: embeddings of users and items that are trained on who chose what, by WARP, k-OS WARP, BPR or logistic loss.

pub mod sampling;
