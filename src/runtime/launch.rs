//! The host's side of the kernels: which variant, how many workgroups, which part of a tensor.

/// Lanes of a workgroup whose lanes share nothing: one vector of a software adapter, two subgroups of a card.
pub(crate) fn lanes_of(software: bool) -> u32 {
    if software { 8 } else { 64 }
}

/// Turns that all loops of one invocation may take on a software adapter: Mesa's leaves them, without a word, after 65,535, of
/// which some are left for what a count forgets.
pub(crate) const MAX_LOOP_ITERATIONS: usize = 60_000;
