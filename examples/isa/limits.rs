//! Limits for every program, and the list of current exceptions.
//!
//! The list may only shrink: reports a program that breaks a limit and is not listed, a listed
//! group that got worse, and a listed group that got better than its entry, which must then be
//! tightened or removed.

use std::collections::BTreeMap;

use super::statistics::Row;

/// A bounded property of a compiled program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Memory replaces registers: each access costs a load from memory.
    Scratch,
    /// Registers were moved to memory or to lanes of other registers.
    Spills,
    /// Fewer than 8 waves per SIMD: too few to hide memory latency.
    Waves,
    /// More than 5,000 instructions, about the capacity of 32 KiB of instruction cache.
    Instructions,
    /// More than a second to compile, during which a user waits.
    Seconds,
}

impl Limit {
    pub const ALL: [Limit; 5] =
        [Limit::Scratch, Limit::Spills, Limit::Waves, Limit::Instructions, Limit::Seconds];

    pub fn name(self) -> &'static str {
        match self {
            Limit::Scratch => "scratch",
            Limit::Spills => "spills",
            Limit::Waves => "waves",
            Limit::Instructions => "instructions",
            Limit::Seconds => "seconds",
        }
    }

    /// Badness of a program by this limit: higher is worse.
    fn badness(self, row: &Row) -> f64 {
        let found = &row.statistics;
        match self {
            Limit::Scratch => found.scratch as f64,
            Limit::Spills => found.spills as f64,
            Limit::Waves => -(found.waves as f64),
            Limit::Instructions => found.instructions as f64,
            Limit::Seconds => found.seconds,
        }
    }

    /// The worst badness within the limit.
    fn allowed(self) -> f64 {
        match self {
            Limit::Scratch | Limit::Spills => 0.0,
            Limit::Waves => -8.0,
            Limit::Instructions => 5000.0,
            Limit::Seconds => 1.0,
        }
    }

    /// Formats the value for a report.
    fn report(self, badness: f64) -> String {
        format!("{}", badness.abs())
    }

    pub fn is_broken_by(self, row: &Row) -> bool {
        // Written so that NaN breaks the limit.
        let within = self.badness(row) <= self.allowed();
        !within
    }
}

/// The programs of one label that break one limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    pub family: String,
    pub limit: Limit,
    pub label: String,
    /// Number of programs.
    pub programs: usize,
    /// The worst number of these programs.
    pub worst: f64,
}

/// Broken limits of some rows, by limit and label.
pub fn broken(family: &str, rows: &[Row]) -> Vec<Exception> {
    let mut found: BTreeMap<(Limit, &str), (usize, f64)> = BTreeMap::new();
    for row in rows {
        for limit in Limit::ALL.into_iter().filter(|limit| limit.is_broken_by(row)) {
            let entry = found.entry((limit, &row.label)).or_insert((0, f64::NEG_INFINITY));
            entry.0 += 1;
            entry.1 = entry.1.max(limit.badness(row));
        }
    }
    let exception =
        |((limit, label), (programs, badness)): ((Limit, &str), (usize, f64))| Exception {
            family: family.into(),
            limit,
            label: label.into(),
            programs,
            worst: badness.abs(),
        };
    found.into_iter().map(exception).collect()
}

/// Parses the list: `family limit programs worst label`, one per line.
pub fn parse(text: &str) -> Result<Vec<Exception>, String> {
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let read = || {
                let mut words = line.splitn(5, ' ');
                let family = words.next()?.to_string();
                let limit = words
                    .next()
                    .and_then(|name| Limit::ALL.into_iter().find(|limit| limit.name() == name))?;
                let (programs, worst) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Some(Exception { family, limit, label: words.next()?.to_string(), programs, worst })
            };
            read().ok_or_else(|| {
                format!("line {}: `{line}` is not FAMILY LIMIT PROGRAMS WORST LABEL", number + 1)
            })
        })
        .collect()
}

/// Formats the list.
pub fn to_text(list: &[Exception]) -> String {
    let line = |one: &Exception| {
        let worst = one.limit.report(one.worst);
        format!("{} {} {} {worst} {}\n", one.family, one.limit.name(), one.programs, one.label)
    };
    list.iter().map(line).collect()
}

/// Differences between some rows and the list. `whole` is true if the rows are all programs: only
/// then can a group be reported as better than its entry.
pub fn complaints(family: &str, rows: &[Row], list: &[Exception], whole: bool) -> Vec<String> {
    let found = broken(family, rows);
    let listed = |one: &Exception| {
        let same = |other: &&Exception| {
            other.family == one.family && other.limit == one.limit && other.label == one.label
        };
        list.iter().find(same)
    };
    let mut lines = Vec::new();
    for one in &found {
        let (name, worst) = (one.limit.name(), one.limit.report(one.worst));
        let Some(entry) = listed(one) else {
            let allowed = one.limit.report(one.limit.allowed());
            lines.push(format!(
                "{}: {name} {worst} of {} programs; allowed is {allowed}",
                one.label, one.programs
            ));
            continue;
        };
        // Time varies from run to run: an entry only records that the group is slow.
        let worse =
            one.limit != Limit::Seconds && sign(one.limit) * (one.worst - entry.worst) > 0.0;
        if worse || (one.limit != Limit::Seconds && one.programs > entry.programs) {
            let (programs, before) = (entry.programs, one.limit.report(entry.worst));
            lines.push(format!(
                "{}: {name} became worse: {worst} in {} programs, was {before} in {programs}",
                one.label, one.programs
            ));
        }
    }
    if whole {
        for entry in
            list.iter().filter(|entry| entry.family == family && entry.limit != Limit::Seconds)
        {
            let now = found.iter().find(|one| one.limit == entry.limit && one.label == entry.label);
            let (programs, worst) = now.map_or((0, 0.0), |one| (one.programs, one.worst));
            if programs < entry.programs
                || (programs > 0 && sign(entry.limit) * (worst - entry.worst) < 0.0)
            {
                let worst = entry.limit.report(worst);
                let name = entry.limit.name();
                lines.push(format!(
                    "{}: {name} became better: {worst} in {programs} programs; tighten its entry in the list",
                    entry.label
                ));
            }
        }
    }
    lines
}

/// For waves fewer are worse, for everything else more.
fn sign(limit: Limit) -> f64 {
    if limit == Limit::Waves { -1.0 } else { 1.0 }
}
