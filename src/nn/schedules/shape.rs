//! Ways from one learning rate to another.

/// Between two values, by a share from 0 to 1.
pub(super) fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

/// From one value to another along half a wave, by a share from 0 to 1.
pub(super) fn half_wave(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// t of n steps as a share, 1 beyond them and where there are none.
pub(super) fn share(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}
