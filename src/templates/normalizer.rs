//! Normalizer of a loss whose mask, labels or weights are on the device: the divisor of a mean, the
//! count, the first invalid label, and the weights that the loss's kernel takes. For arrays the
//! host does the same (`src/criterion/call`).

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;
use crate::templates::job::{MOST_IGNORED, flag, ignored_words};
use crate::templates::parts::{Part, along, binding_elements, parts as parts_of};
use crate::templates::program::NUMBERS;

const SHARES: File = crate::runtime::wgsl::shader!("templates/normalizer/shares.wgsl");
const COUNT: File = crate::runtime::wgsl::shader!("templates/normalizer/shares_count.wgsl");
const JOIN: File = crate::runtime::wgsl::shader!("templates/normalizer/shares_join.wgsl");
const PACK: File = crate::runtime::wgsl::shader!("templates/normalizer/shares_pack.wgsl");

/// Number of words in the notes of a call: value; 1 + position of the first invalid label, or 0;
/// divisor; count; that label.
pub(crate) const NOTES: usize = 5;

/// Number of values that a lane counts, and the maximum number of lanes: one workgroup joins their
/// partial sums.
const ITERATIONS: usize = 64;
const MOST_LANES: usize = 1 << 16;

/// Description of the values of a call.
#[derive(Clone, Debug)]
pub(crate) struct Values<'a> {
    pub length: usize,
    /// Weights, and the number of values that share one.
    pub weight: Option<(&'a wgpu::Buffer, usize)>,
    pub mask: Option<(&'a wgpu::Buffer, usize)>,
    pub labels: Labels<'a>,
    pub term: DivisorTerm<'a>,
    /// True if the divisor is a sum of weights.
    pub by_weight: bool,
    /// An additional divisor of each value.
    pub lengths: Option<&'a wgpu::Buffer>,
    /// Number of values that each entry represents, in the count and in the divisor.
    pub scales: [usize; 2],
}

/// Labels of the values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Labels<'a> {
    None,
    /// One class per value, or one of the ignored labels, which exclude the value.
    Classes {
        labels: &'a wgpu::Buffer,
        classes: usize,
        ignored: &'a [i64],
    },
    /// One list of classes per value, `classes` entries long, ending at its first −1; as floats or
    /// as integers.
    Lists {
        lists: &'a wgpu::Buffer,
        classes: usize,
        floats: bool,
    },
    /// Nonzero where another kernel found an error.
    Verdicts(&'a wgpu::Buffer),
}

/// Contribution of a value to the divisor of a mean.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DivisorTerm<'a> {
    One,
    /// The weight of its class.
    OfClass(&'a wgpu::Buffer),
    /// Its own number; 0 excludes it.
    Own(&'a wgpu::Buffer),
    /// Its own number of values.
    Several(&'a wgpu::Buffer),
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct DivisorParams {
    pub length: u32,
    pub first: u32,
    pub weight_first: u32,
    pub weight_width: u32,
    pub mask_first: u32,
    pub mask_width: u32,
    pub classes: u32,
    pub first_partial: u32,
    pub iterations: u32,
    pub ignored_count: u32,
    pub reserved: [u32; 2],
    pub ignored: [i32; MOST_IGNORED],
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct JoinParams {
    pub length: u32,
    pub count_scale: u32,
    pub divisor_scale: u32,
    pub by_count: u32,
}

impl<'a> Values<'a> {
    /// `length` values without weights, masks or labels.
    pub fn plain(length: usize) -> Self {
        Values {
            length,
            weight: None,
            mask: None,
            labels: Labels::None,
            term: DivisorTerm::One,
            by_weight: false,
            lengths: None,
            scales: [1, 1],
        }
    }

    /// Number of label words per value.
    fn label_width(&self) -> usize {
        if let Labels::Lists { classes, .. } = self.labels { classes } else { 1 }
    }

    fn constants(&self, software: bool) -> Vec<(&'static str, f64)> {
        let labels = match self.labels {
            Labels::None => 0.0,
            Labels::Classes { .. } => 1.0,
            Labels::Lists { floats: false, .. } => 2.0,
            Labels::Verdicts(_) => 3.0,
            Labels::Lists { floats: true, .. } => 4.0,
        };
        let term = match self.term {
            DivisorTerm::One => 0.0,
            DivisorTerm::OfClass(_) => 1.0,
            DivisorTerm::Own(_) => 2.0,
            DivisorTerm::Several(_) => 3.0,
        };
        vec![
            ("WORKGROUP", lanes_of(software).into()),
            ("HAS_WEIGHT", flag(self.weight.is_some())),
            ("HAS_MASK", flag(self.mask.is_some())),
            ("LABELS", labels),
            ("SHARE", term),
            ("BY_WEIGHT", flag(self.by_weight)),
        ]
    }

    fn params(&self, first: usize, length: usize) -> DivisorParams {
        // Inputs with one entry per value are bound from the first value of the part; inputs with
        // shared entries are bound as a whole.
        let place = |input: Option<(&wgpu::Buffer, usize)>| match input {
            Some((_, width)) if width > 1 => [first as u32, width as u32],
            _ => [0, 1],
        };
        let ([weight_first, weight_width], [mask_first, mask_width]) =
            (place(self.weight), place(self.mask));
        let (classes, list) = match self.labels {
            Labels::Classes { classes, ignored, .. } => (classes, ignored),
            Labels::Lists { classes, .. } => (classes, &[][..]),
            _ => (0, &[][..]),
        };
        let (ignored_count, ignored) = ignored_words(list);
        DivisorParams {
            length: length as u32,
            first: first as u32,
            weight_first,
            weight_width,
            mask_first,
            mask_width,
            classes: classes as u32,
            first_partial: 0,
            iterations: self.iterations(length) as u32,
            ignored_count,
            reserved: [0; 2],
            ignored,
        }
    }

    /// Number of values that a lane counts. For lists one, as long as one workgroup can join the
    /// partial sums.
    fn iterations(&self, length: usize) -> usize {
        let least = if self.label_width() > 1 { 1 } else { ITERATIONS };
        least.max(length.div_ceil(MOST_LANES))
    }

    fn parts(&self, gpu: &Gpu) -> impl Iterator<Item = Part> + use<> {
        parts_of(self.length, binding_elements(gpu) / self.label_width())
    }

    /// The inputs of a part, in the order of their bindings.
    fn inputs<'b>(&self, part: &Part, unread: &'b wgpu::Buffer) -> [Slice<'b>; 4]
    where
        'a: 'b,
    {
        let spread = |input: Option<(&'b wgpu::Buffer, usize)>| match input {
            Some((buffer, width)) => along(buffer, part, 1, width == 1),
            None => unread.into(),
        };
        let labels = match self.labels {
            Labels::None => unread.into(),
            Labels::Classes { labels, .. } | Labels::Verdicts(labels) => {
                along(labels, part, 1, true)
            }
            Labels::Lists { lists, classes, .. } => along(lists, part, classes, true),
        };
        let terms = match self.term {
            DivisorTerm::One => unread.into(),
            DivisorTerm::OfClass(weights) => weights.into(),
            DivisorTerm::Own(terms) | DivisorTerm::Several(terms) => along(terms, part, 1, true),
        };
        [spread(self.weight), spread(self.mask), labels, terms]
    }
}

/// Number of lanes in the workgroup that joins the partial sums. The same on software Vulkan, where
/// the loops of each lane must stay short.
const JOINING: f64 = 64.0;

fn of_files(label: &str, files: &[File], constants: Vec<(&'static str, f64)>) -> Program {
    Program { label: label.into(), header: String::new(), files: files.to_vec(), constants }
}

fn count_program(constants: Vec<(&'static str, f64)>) -> Program {
    of_files("what takes part", &[COUNT, SHARES, NUMBERS], constants)
}

fn pack_program(
    mut constants: Vec<(&'static str, f64)>,
    has_lengths: bool,
    has_divisor: bool,
) -> Program {
    constants.extend([("HAS_LENGTHS", flag(has_lengths)), ("HAS_DIVISOR", flag(has_divisor))]);
    of_files("weights of a loss", &[PACK, SHARES, NUMBERS], constants)
}

fn join_program() -> Program {
    of_files("the divisor of a mean", &[JOIN], vec![("WORKGROUP", JOINING)])
}

/// All variants of these programs, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = vec![join_program()];
    for software in [true, false] {
        for labels in 0..5 {
            let on = f64::from(u8::from(labels > 0));
            let constants = || {
                vec![
                    ("WORKGROUP", lanes_of(software).into()),
                    ("HAS_WEIGHT", on),
                    ("HAS_MASK", on),
                    ("LABELS", f64::from(labels)),
                    ("SHARE", f64::from(labels % 4)),
                    ("BY_WEIGHT", on),
                ]
            };
            programs.push(count_program(constants()));
            programs.push(pack_program(constants(), on != 0.0, on != 0.0));
        }
    }
    programs
}

/// Writes the count of the included values to the notes, with the divisor and the first invalid
/// label.
pub(crate) fn count(gpu: &Gpu, values: &Values, notes: &wgpu::Buffer) -> Result<Vec<Command>> {
    let software = gpu.is_software();
    let of_part = |part: &Part| part.length.div_ceil(values.iterations(part.length));
    let length: usize = values.parts(gpu).map(|part| of_part(&part)).sum();
    let partials = gpu.buffer("what takes part", 4 * length)?;
    let unread = gpu.unread_binding()?;
    let kernel = gpu.kernel(&count_program(values.constants(software)))?;
    let (mut commands, mut first_partial) = (Vec::new(), 0);
    for part in values.parts(gpu) {
        let params = DivisorParams {
            first_partial: first_partial as u32,
            ..values.params(part.first, part.length)
        };
        let [weights, keeps, labels, terms] = values.inputs(&part, &unread);
        let storage = [weights, keeps, labels, terms, (&partials).into()];
        let workgroups = of_part(&part).div_ceil(lanes_of(software) as usize) as u32;
        commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups)?);
        first_partial += of_part(&part);
    }
    // The count of pairs in lists may exceed 32 bits; their sum as floats does not.
    let by_count = !values.by_weight && matches!(values.term, DivisorTerm::One);
    let params = JoinParams {
        length: length as u32,
        count_scale: values.scales[0] as u32,
        divisor_scale: values.scales[1] as u32,
        by_count: u32::from(by_count),
    };
    let kernel = gpu.kernel(&join_program())?;
    commands.push(gpu.dispatch(&kernel, &params, &[(&partials).into(), notes.into()], 1)?);
    Ok(commands)
}

/// The weights that the loss's kernel takes, divided by the divisor in the notes if `notes` is
/// passed.
pub(crate) fn pack(
    gpu: &Gpu,
    values: &Values,
    notes: Option<&wgpu::Buffer>,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let software = gpu.is_software();
    let packed = gpu.buffer("weights", values.length)?;
    let unread = gpu.unread_binding()?;
    let program =
        pack_program(values.constants(software), values.lengths.is_some(), notes.is_some());
    let kernel = gpu.kernel(&program)?;
    let mut commands = Vec::new();
    for part in values.parts(gpu) {
        let [weights, keeps, labels, terms] = values.inputs(&part, &unread);
        let lengths = values
            .lengths
            .map_or_else(|| (&unread).into(), |lengths| along(lengths, &part, 1, true));
        let notes = notes.unwrap_or(&unread).into();
        let storage =
            [weights, keeps, labels, terms, lengths, notes, along(&packed, &part, 1, true)];
        let workgroups = part.length.div_ceil(lanes_of(software) as usize) as u32;
        commands.push(gpu.dispatch(
            &kernel,
            &values.params(part.first, part.length),
            &storage,
            workgroups,
        )?);
    }
    Ok((commands, packed))
}
