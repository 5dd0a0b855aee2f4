//! Interpolation between two learning rates.

/// Linear interpolation by a fraction from 0 to 1.
pub(super) fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

/// Half-cosine interpolation by a fraction from 0 to 1.
pub(super) fn half_wave(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Step t as a fraction of n steps; 1 beyond them and for n = 0.
pub(super) fn share(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}
