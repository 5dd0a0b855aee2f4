//! The list of schedules, and the schedule that joins others by name.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalogue::OptionDoc;
use crate::nn::schedules::schedule::{Entry, Schedule};
use crate::nn::schedules::{cosine, decay, plateau, warmup};
use crate::{Error, Result};

/// Every schedule, by name.
pub static CATALOGUE: &[&Entry] = &[
    &decay::CONSTANT,
    &cosine::COSINE,
    &cosine::COSINE_RESTARTS,
    &decay::EXPONENTIAL,
    &JOIN,
    &decay::LINEAR,
    &decay::MULTI_STEP,
    &warmup::ONE_CYCLE,
    &decay::POLYNOMIAL,
    &plateau::ENTRY,
    &decay::STEP,
    &warmup::WARMUP,
    &warmup::WARMUP_COSINE,
];

/// Alternative names from other libraries.
const ALSO: &[(&str, &str)] =
    &[("sequential", "join"), ("plateau", "reduce_on_plateau"), ("warmup_constant", "warmup")];

/// The entry with the given name.
///
/// # Errors
/// [`Error::Unknown`] with the list of valid names.
pub fn entry(name: &str) -> Result<&'static Entry> {
    let own = ALSO.iter().find(|(other, _)| *other == name).map_or(name, |(_, own)| own);
    let found = CATALOGUE.iter().copied().find(|entry| entry.name == own);
    found.ok_or_else(|| Error::unknown("schedule", name, CATALOGUE.iter().map(|entry| entry.name)))
}

/// The schedule with the given name, with options from a JSON object (`null` for none).
///
/// # Errors
/// [`Error::Unknown`] for an unknown name or option, [`Error::Option`] for a value outside its
/// domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Schedule>> {
    let schedule = (entry(name)?.make)(options)?;
    schedule.check()?;
    Ok(schedule)
}

/// Consecutive schedules: each counts its steps from the milestone at which it starts. PyTorch
/// `SequentialLR`, optax `join_schedules`.
///
/// ```
/// use gradus::schedules::{Constant, Exponential, Join, Schedule};
/// let join = Join::new(Constant::new().learning_rate(0.2)).then(10, Exponential::new().learning_rate(0.1).factor(0.5));
/// assert_eq!((join.rate(9), join.rate(10), join.rate(11)), (0.2, 0.1, 0.05));
/// ```
#[derive(Clone, Debug)]
pub struct Join {
    first: Arc<dyn Schedule>,
    /// Each with the step at which it begins.
    others: Vec<(u64, Arc<dyn Schedule>)>,
}

const OPTIONS: &[OptionDoc] = &[
    OptionDoc {
        name: "schedules",
        domain: "a list of {\"schedule\": name, \"options\": {…}}",
        meaning: "The schedules in their order.",
    },
    OptionDoc {
        name: "milestones",
        domain: "whole numbers that grow, one fewer than the schedules",
        meaning: "The steps at which each but the first begins.",
    },
];

pub(crate) static JOIN: Entry = Entry {
    name: "join",
    summary: "schedules behind each other, each with steps of its own",
    formula: "η = schedule of t − its milestone",
    options: OPTIONS,
    torch: "SequentialLR",
    keras: "",
    optax: "join_schedules",
    make: |options| Ok(Box::new(read(options)?)),
};

impl Join {
    /// Starts with a schedule.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Join { first: Arc::new(first), others: Vec::new() }
    }

    /// Switches to another schedule from a step on.
    #[must_use]
    pub fn then(mut self, milestone: u64, next: impl Schedule + 'static) -> Self {
        self.others.push((milestone, Arc::new(next)));
        self
    }

    fn schedules(&self) -> impl Iterator<Item = &Arc<dyn Schedule>> {
        std::iter::once(&self.first).chain(self.others.iter().map(|(_, schedule)| schedule))
    }

    fn milestones(&self) -> impl Iterator<Item = u64> {
        self.others.iter().map(|&(milestone, _)| milestone)
    }
}

fn read(options: &Value) -> Result<Join> {
    let none = serde_json::Map::new();
    let given = match options {
        Value::Null => &none,
        Value::Object(given) => given,
        other => return Err(Error::option("join", "options", other, "a JSON object")),
    };
    let names = || OPTIONS.iter().map(|option| option.name);
    if let Some(unknown) = given.keys().find(|key| !names().any(|name| name == *key)) {
        return Err(Error::unknown("option of join", unknown, names()));
    }
    let value = |name: &str| given.get(name).cloned().unwrap_or_else(|| json!([]));
    let (schedules, milestones) = (value("schedules"), value("milestones"));
    let refused = |place: usize, found: &Value| {
        Error::option("join", OPTIONS[place].name, found, OPTIONS[place].domain)
    };
    let schedule = |part: &Value| -> Result<Arc<dyn Schedule>> {
        let name = part.get("schedule").and_then(Value::as_str).ok_or_else(|| refused(0, part))?;
        Ok(Arc::from(from_name(name, part.get("options").unwrap_or(&Value::Null))?))
    };
    let step = |found: &Value| found.as_u64().ok_or_else(|| refused(1, found));
    let parts = schedules.as_array().ok_or_else(|| refused(0, &schedules))?;
    let parts = parts.iter().map(schedule).collect::<Result<Vec<_>>>()?;
    let steps = milestones.as_array().ok_or_else(|| refused(1, &milestones))?;
    let steps = steps.iter().map(step).collect::<Result<Vec<u64>>>()?;
    let (count, mut parts) = (parts.len(), parts.into_iter());
    match parts.next() {
        Some(first) if count == steps.len() + 1 => {
            Ok(Join { first, others: steps.into_iter().zip(parts).collect() })
        }
        _ => {
            let found = format!("{steps:?} for {count} schedules");
            Err(Error::option("join", "milestones", found, OPTIONS[1].domain))
        }
    }
}

impl Schedule for Join {
    fn entry(&self) -> &'static Entry {
        &JOIN
    }

    fn options(&self) -> Value {
        let part = |schedule: &Arc<dyn Schedule>| json!({ "schedule": schedule.name(), "options": schedule.options() });
        json!({
            "schedules": self.schedules().map(part).collect::<Vec<_>>(),
            "milestones": self.milestones().collect::<Vec<u64>>(),
        })
    }

    fn check(&self) -> Result<()> {
        self.schedules().try_for_each(|schedule| schedule.check())?;
        if let Some(watching) = self.schedules().find(|schedule| schedule.monitors()) {
            return Err(Error::option(
                "join",
                "schedules",
                watching.name(),
                "schedules that go by their steps alone",
            ));
        }
        if !self.milestones().is_sorted() {
            let milestones: Vec<u64> = self.milestones().collect();
            let found = format!("{milestones:?} for {} schedules", self.others.len() + 1);
            return Err(Error::option("join", "milestones", found, OPTIONS[1].domain));
        }
        Ok(())
    }

    fn rate(&self, step: u64) -> f64 {
        match self.others.iter().rfind(|(milestone, _)| *milestone <= step) {
            Some((milestone, schedule)) => schedule.rate(step - milestone),
            None => self.first.rate(step),
        }
    }
}
