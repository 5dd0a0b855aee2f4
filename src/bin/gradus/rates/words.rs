//! Sentences about a range test that its text and its page share.

use gradus::rates::LearningRates;
use gradus::text;

/// What a rate is to the suggestion.
pub(super) fn role(found: &LearningRates, rate: f64, is_dropped: bool) -> &'static str {
    let (low, high) = found.band;
    match rate {
        _ if is_dropped => "diverged",
        rate if (low..=high).contains(&rate) => "within 10 %",
        _ => "",
    }
}

/// Why the suggestion is not the vertex, if it is not.
pub(super) fn reason(found: &LearningRates) -> Option<String> {
    (found.suggestion < found.vertex).then(|| {
        format!(
            "the best of {} steps is {}; {} steps at a constant rate want a lower one, as its noise stays: a third of the band's upper end",
            found.steps,
            text::number(found.vertex),
            text::count(found.planned as u64)
        )
    })
}
