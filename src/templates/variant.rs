//! Variants of the row-wise kernels by row length: one lane, subgroup or workgroup per row, with
//! the row stored in registers or read twice.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::{Written, flag};
use crate::templates::program::{HALF, NUMBERS, PARTIALS_LANE, PARTIALS_TREE, program_of};

pub(crate) const ROWS: File = crate::runtime::wgsl::shader!("templates/rowwise/rows.wgsl");
const CELLS_SCALAR: File = crate::runtime::wgsl::shader!("templates/rowwise/cells_scalar.wgsl");
const CELLS_VEC4: File = crate::runtime::wgsl::shader!("templates/rowwise/cells_vec4.wgsl");
const CLASSES_SCALAR: File = crate::runtime::wgsl::shader!("templates/rowwise/classes_scalar.wgsl");
const CLASSES_VEC4: File = crate::runtime::wgsl::shader!("templates/rowwise/classes_vec4.wgsl");
const CELLS_HALF: File = crate::runtime::wgsl::shader!("templates/rowwise/cells_half.wgsl");
const CELLS_HALF_ANY: File = crate::runtime::wgsl::shader!("templates/rowwise/cells_half_any.wgsl");
const ROWWISE: File = crate::runtime::wgsl::shader!("templates/rowwise/rowwise.wgsl");
const LANE: File = crate::runtime::wgsl::shader!("templates/rowwise/rowwise_lane.wgsl");
const SUBGROUPS: File = crate::runtime::wgsl::shader!("templates/rowwise/rowwise_subgroups.wgsl");
const MEMORY: File = crate::runtime::wgsl::shader!("templates/rowwise/rowwise_memory.wgsl");

/// The longest row that a single lane processes, all of it in registers. On software Vulkan 48
/// columns take 6.1 ms with eight lanes and 3.2 ms with one (32,768 rows).
const MOST_ALONE: usize = 64;

/// The longest row that eight lanes process on software Vulkan. Its driver counts the iterations of
/// all loops of an invocation together and ends them at 65,535 without an error: 1.5 million
/// columns lost the end of their gradient.
const MOST_BY_EIGHT_LANES: usize = 1 << 18;

/// Most groups of four cells that a lane keeps in registers: logits and dense targets of four take
/// 32 of the 64 registers that a lane of a workgroup of 1,024 has on GCN and on NVIDIA's cards.
const MOST_HELD: usize = 4;

/// The same where a lane needs little beside: exponentials of a softmax of labels.
const MOST_HELD_ONCE: usize = 8;

/// The lanes that process one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RowGroup {
    /// One lane. On hardware the workgroup adds the values of its rows in a tree.
    Lane { tree: bool },
    /// A workgroup of one or more subgroups.
    Subgroups { one: bool },
    /// A workgroup without subgroup support.
    Memory,
}

/// The kernel variant for rows of a given length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variant {
    pub row_group: RowGroup,
    /// Number of lanes in the workgroup.
    pub lanes: usize,
    /// Number of four-cell groups that a lane keeps in registers between the two passes; 0 if the
    /// row is read twice.
    pub held: usize,
    /// The row length if it is a compile-time constant; 0 if it is a parameter.
    pub columns: usize,
    pub vec4: bool,
    /// True if cells are f16.
    pub half: bool,
}

/// Adapter properties that determine the variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adapter {
    pub software: bool,
    /// The smallest and the largest subgroup size; `None` without subgroup support.
    pub subgroups: Option<[u32; 2]>,
    /// Maximum number of lanes in a workgroup.
    pub lanes: u32,
}

impl Adapter {
    pub fn of(gpu: &Gpu) -> Self {
        let limits = gpu.limits();
        Adapter {
            software: gpu.is_software(),
            subgroups: gpu.subgroups(),
            lanes: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x),
        }
    }
}

impl Variant {
    /// The variant for rows of `columns` elements.
    ///
    /// On software Vulkan a workgroup is one vector of eight lanes. More lanes only add barriers (3
    /// to 6 times slower), and the second read of a long row is served from the cache. On hardware
    /// a row stays in registers up to [`MOST_HELD`] vectors per lane of the largest workgroup,
    /// [`MOST_HELD_ONCE`] for exponentials of a softmax of labels. A longer row is read again while
    /// it is in the second-level cache.
    pub fn new(adapter: &Adapter, columns: usize, passes: u32) -> Self {
        if columns <= MOST_ALONE {
            return Variant::alone(adapter.software, columns);
        }
        let subgroup = adapter.subgroups.map_or(64, |[_, largest]| largest.clamp(32, 64)) as usize;
        let lanes = match columns {
            // The gradient reads the row once more.
            _ if adapter.software && columns <= 2 * MOST_BY_EIGHT_LANES / (passes as usize + 1) => {
                8
            }
            ..=1024 => subgroup,
            1025..=8192 => 256,
            // A power of two: the tree of `rowwise_memory` halves it, and a device may allow 384.
            _ => 1 << adapter.lanes.clamp(256, 1024).ilog2(),
        };
        let row_group = match adapter.subgroups {
            Some([smallest, _]) => RowGroup::Subgroups { one: lanes <= smallest as usize },
            None => RowGroup::Memory,
        };
        let groups = columns.div_ceil(4 * lanes).next_power_of_two();
        let held = if adapter.software || groups > MOST_HELD_ONCE { 0 } else { groups };
        Variant { row_group, lanes, held, columns: 0, vec4: columns.is_multiple_of(4), half: false }
    }

    /// The variant with one lane per row.
    pub fn alone(software: bool, columns: usize) -> Self {
        let lanes = lanes_of(software) as usize;
        let vec4 = columns.is_multiple_of(4);
        Variant {
            row_group: RowGroup::Lane { tree: !software },
            lanes,
            held: columns.div_ceil(4),
            columns,
            vec4,
            half: false,
        }
    }

    /// The same variant for f16 cells if `half`, otherwise f32.
    pub fn of_halves(self, half: bool) -> Self {
        Variant { half, ..self }
    }

    /// The same variant, with its row read again in each pass if it would keep more than `most`
    /// groups in registers. Software Vulkan keeps short rows in any case.
    fn holding(self, most: usize) -> Self {
        let is_software = self.row_group == (RowGroup::Lane { tree: false });
        if is_software || self.held <= most { self } else { Variant { held: 0, ..self } }
    }

    /// Number of rows that one thread processes in sequence, `ROWS_PER_THREAD` in the kernel: two
    /// f16 rows may share a word.
    fn together(&self) -> usize {
        if self.half && !self.vec4 { 2 } else { 1 }
    }

    /// The shader files for the memory layout of the cells.
    pub fn cells(&self) -> &'static [File] {
        match (self.half, self.vec4) {
            (true, true) => &[CELLS_HALF, CLASSES_VEC4, HALF],
            (true, false) => &[CELLS_HALF_ANY, CLASSES_SCALAR, HALF],
            (false, true) => &[CELLS_VEC4, CLASSES_VEC4],
            (false, false) => &[CELLS_SCALAR, CLASSES_SCALAR],
        }
    }

    /// Number of rows per workgroup. On software Vulkan several, because starting a workgroup costs
    /// as much as a short row.
    pub fn block(&self, software: bool, rows: usize) -> usize {
        let iterations = |units: usize| if software { (units / 512).clamp(1, 32) } else { 1 };
        match self.row_group {
            RowGroup::Lane { .. } => {
                self.lanes * iterations(rows / self.lanes).next_multiple_of(self.together())
            }
            _ => iterations(rows).next_multiple_of(self.together()),
        }
    }

    /// Number of partial sums for `rows` rows.
    pub fn partials(&self, software: bool, rows: usize) -> usize {
        let workgroups = rows.div_ceil(self.block(software, rows));
        if self.row_group == (RowGroup::Lane { tree: false }) {
            workgroups * self.lanes
        } else {
            workgroups
        }
    }

    /// The row-wise kernel with a loss and its constants, for the derivatives that are written.
    pub fn program(
        &self,
        loss: &dyn LossDefinition,
        written: Written,
        mut constants: Vec<(&'static str, f64)>,
    ) -> Program {
        let mut files = vec![ROWWISE, ROWS, NUMBERS];
        files.extend(self.cells());
        let has_labels = constants.contains(&("HAS_LABELS", 1.0));
        let at_once = loss.spec().separable && written == Written::Gradient;
        // A derivative that is written during the fold needs the row once. Other derivatives
        // are too long to be unrolled.
        let most = if at_once || written != Written::Gradient { 0 } else { loss.spec().unrolled };
        let is_on = |name: &str| constants.iter().any(|(own, on)| *own == name && *on != 0.0);
        // On software Vulkan, and for the auxiliary outputs, exponentials are computed twice.
        let peaks_first = loss.spec().peaks_first
            && written == Written::Gradient
            && has_labels
            && !is_on("AUXILIARY")
            && self.row_group != (RowGroup::Lane { tree: false });
        let most = if self.columns == 0 && !peaks_first { most.min(MOST_HELD) } else { most };
        let variant = self.holding(most);
        let peaks_first = peaks_first && variant.held > 0;
        let header = variant.add_row_group(&mut files, &mut constants);
        constants.push(("TARGETS_ARE_PADDED", flag(loss.targets().pads())));
        let header = format!(
            "{header}const PASSES: u32 = {}u;\nconst SINGLE_PASS: bool = {at_once};\n\
             const PEAKS_FIRST: bool = {peaks_first};\n",
            if has_labels { loss.spec().label_passes } else { loss.spec().passes }
        );
        program_of(loss, written, &files, constants).with_header(&header)
    }

    /// Adds the files and constants of the row group, and returns its header.
    pub fn add_row_group(
        &self,
        files: &mut Vec<File>,
        constants: &mut Vec<(&'static str, f64)>,
    ) -> String {
        constants.extend([
            ("WORKGROUP", self.lanes as f64),
            ("COLUMNS", self.columns as f64),
            ("ROW_IN_REGISTERS", flag(self.held > 0)),
        ]);
        match self.row_group {
            RowGroup::Lane { tree } => {
                files.extend([LANE, if tree { PARTIALS_TREE } else { PARTIALS_LANE }])
            }
            RowGroup::Subgroups { one } => {
                files.push(SUBGROUPS);
                constants.push(("ONE_SUBGROUP", flag(one)));
            }
            RowGroup::Memory => files.push(MEMORY),
        }
        format!(
            "const VEC4S_PER_THREAD: u32 = {}u;\nconst ROWS_PER_THREAD: u32 = {}u;\n",
            self.held.max(1),
            self.together()
        )
    }
}
