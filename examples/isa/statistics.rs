//! Statistics of a compiled program, and of the groups of programs that share a label.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The compiler's statistics of one program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Vector registers per SIMD lane.
    pub vgprs: u64,
    /// Scalar registers per wave.
    pub sgprs: u64,
    /// Spilled registers of both kinds.
    pub spills: u64,
    /// Bytes of memory per SIMD lane in place of registers: spills, and private arrays with a
    /// computed index.
    pub scratch: u64,
    /// Bytes of workgroup memory.
    pub lds: u64,
    /// Waves that fit on a SIMD at once, by registers and workgroup memory.
    pub waves: u64,
    /// Machine instructions.
    pub instructions: u64,
    /// Estimated cycles of one wave from start to end; loops count as a few iterations.
    pub latency: u64,
    /// Estimated cycles between the ends of two of many waves: the reciprocal of the throughput.
    pub inverse_throughput: u64,
    /// Seconds of CPU time for the compilation.
    pub seconds: f64,
}

impl Statistics {
    /// From the driver's list of names and numbers.
    pub fn from_driver(
        found: impl Iterator<Item = (String, u64)>,
        seconds: f64,
    ) -> Result<Self, String> {
        let found: BTreeMap<String, u64> = found.collect();
        let of = |name: &str| {
            let known = || found.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            found
                .get(name)
                .copied()
                .ok_or_else(|| format!("the driver reports no `{name}`; it reports {}", known()))
        };
        Ok(Statistics {
            vgprs: of("VGPRs")?,
            sgprs: of("SGPRs")?,
            spills: of("Spilled VGPRs")? + of("Spilled SGPRs")?,
            scratch: of("Scratch size")?,
            lds: of("LDS size")?,
            waves: of("Subgroups per SIMD")?,
            instructions: of("Instructions")?,
            latency: of("Latency")?,
            inverse_throughput: of("Inverse Throughput")?,
            seconds: (seconds * 1e3).round() / 1e3,
        })
    }
}

/// A program with its statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The kernel's label: several variants of a loss share one.
    pub label: String,
    /// The label with the shader files and the constants of this variant.
    pub program: String,
    #[serde(flatten)]
    pub statistics: Statistics,
}

/// All programs of one label: the worst of each number, and sums, in which any change shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub label: String,
    pub programs: usize,
    pub vgprs: u64,
    pub spills: u64,
    pub scratch: u64,
    pub lds: u64,
    pub waves: u64,
    pub instructions: u64,
    pub vgprs_total: u64,
    pub instructions_total: u64,
    pub inverse_throughput_total: u64,
}

/// The groups of some rows, by label.
pub fn groups(rows: &[Row]) -> Vec<Group> {
    let mut found: BTreeMap<&str, Group> = BTreeMap::new();
    for Row { label, statistics: one, .. } in rows {
        let group = found.entry(label).or_insert_with(|| Group {
            label: label.clone(),
            programs: 0,
            vgprs: 0,
            spills: 0,
            scratch: 0,
            lds: 0,
            waves: u64::MAX,
            instructions: 0,
            vgprs_total: 0,
            instructions_total: 0,
            inverse_throughput_total: 0,
        });
        group.programs += 1;
        group.vgprs = group.vgprs.max(one.vgprs);
        group.spills = group.spills.max(one.spills);
        group.scratch = group.scratch.max(one.scratch);
        group.lds = group.lds.max(one.lds);
        group.waves = group.waves.min(one.waves);
        group.instructions = group.instructions.max(one.instructions);
        group.vgprs_total += one.vgprs;
        group.instructions_total += one.instructions;
        group.inverse_throughput_total += one.inverse_throughput;
    }
    found.into_values().collect()
}

/// Baseline of one family, as stored under `benches/results`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub family: String,
    pub device: String,
    pub driver: String,
    pub date: String,
    pub groups: Vec<Group>,
}

impl Baseline {
    /// JSON with one line per group, so that a diff shows the changed groups.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let lines: Vec<String> =
            self.groups.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let head = serde_json::json!({
            "family": self.family, "device": self.device, "driver": self.driver, "date": self.date, "groups": [],
        });
        let head = serde_json::to_string(&head)?;
        Ok(head.replace("[]}", &format!("[\n{}\n]}}\n", lines.join(",\n"))))
    }
}

/// Lines that describe the changes from a baseline, group by group.
pub fn differences(before: &[Group], now: &[Group]) -> Vec<String> {
    let mut lines = Vec::new();
    for group in now {
        let Some(old) = before.iter().find(|old| old.label == group.label) else {
            lines.push(format!("{}: new, {} programs", group.label, group.programs));
            continue;
        };
        let pairs = [
            ("programs", old.programs as u64, group.programs as u64),
            ("worst VGPRs", old.vgprs, group.vgprs),
            ("worst spills", old.spills, group.spills),
            ("worst scratch", old.scratch, group.scratch),
            ("worst LDS", old.lds, group.lds),
            ("fewest waves", old.waves, group.waves),
            ("most instructions", old.instructions, group.instructions),
            ("sum of VGPRs", old.vgprs_total, group.vgprs_total),
            ("sum of instructions", old.instructions_total, group.instructions_total),
            (
                "sum of inverse throughputs",
                old.inverse_throughput_total,
                group.inverse_throughput_total,
            ),
        ];
        let changed: Vec<String> = pairs
            .iter()
            .filter(|(_, old, new)| old != new)
            .map(|(name, old, new)| format!("{name} {old} → {new}"))
            .collect();
        if !changed.is_empty() {
            lines.push(format!("{}: {}", group.label, changed.join(", ")));
        }
    }
    lines
}
