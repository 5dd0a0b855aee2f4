//! Covariance template: centred columns, matrices of covariances as products, the kernel over their
//! entries, and the gradients by two more products.

use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::{Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::covariance::CovarianceRule;
use crate::templates::covariance::cpu::divisor;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::program::{LANES, NUMBERS, program};
use crate::templates::sum::sum;
use crate::{Error, Result};

const COVARIANCE: File = crate::runtime::wgsl::shader!("templates/covariance/covariance.wgsl");
const COLUMNS: File = crate::runtime::wgsl::shader!("templates/covariance/covariance_columns.wgsl");
const ENTRIES: File = crate::runtime::wgsl::shader!("templates/covariance/covariance_entries.wgsl");
const GRADIENT: File =
    crate::runtime::wgsl::shader!("templates/covariance/covariance_gradient.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CovarianceParams {
    rows: u32,
    columns: u32,
    over: f32,
    epsilon: f32,
    factor: f32,
    upstream: f32,
    first_value: u32,
    reserved: u32,
}

fn columns_program(software: bool, correlates: bool) -> Program {
    Program {
        label: COLUMNS.name.into(),
        header: String::new(),
        files: vec![COLUMNS, COVARIANCE, NUMBERS],
        constants: vec![("WORKGROUP", lanes_of(software).into()), ("CORRELATES", flag(correlates))],
    }
}

fn entries_program(loss: &dyn LossDefinition, software: bool) -> Program {
    let constants = vec![("WORKGROUP", lanes_of(software).into())];
    program(loss, &[ENTRIES, COVARIANCE, LANES, NUMBERS], constants)
}

fn gradient_program(
    loss: &dyn LossDefinition,
    software: bool,
    correlates: bool,
    is_first: bool,
) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes_of(software).into()),
        ("CORRELATES", flag(correlates)),
        ("FIRST", flag(is_first)),
    ];
    program(loss, &[GRADIENT, COVARIANCE, NUMBERS], constants)
}

pub(crate) fn programs(loss: &dyn LossDefinition, rule: CovarianceRule) -> Vec<Program> {
    let of = |software: bool| {
        let gradients = [true, false]
            .map(|is_first| gradient_program(loss, software, rule.correlates, is_first));
        let own = [columns_program(software, rule.correlates), entries_program(loss, software)];
        own.into_iter().chain(gradients)
    };
    of(true).chain(of(false)).collect()
}

/// One matrix of embeddings on the device.
struct Side {
    embeddings: wgpu::Buffer,
    centred: wgpu::Buffer,
    deviations: wgpu::Buffer,
    gradient: wgpu::Buffer,
}

/// State shared by the commands of one call.
struct Plan<'a> {
    gpu: &'a Gpu,
    loss: &'a dyn LossDefinition,
    rule: CovarianceRule,
    params: CovarianceParams,
    products: wgpu::Buffer,
    /// The weight of the value, then its upstream gradient.
    packed: wgpu::Buffer,
    /// Parts of the value: of the rows of up to two matrices of covariances, and of the columns of
    /// both sides.
    parts: wgpu::Buffer,
    commands: Vec<Command>,
}

impl Plan<'_> {
    fn run(
        &mut self,
        program: &Program,
        first_value: u32,
        storage: &[&wgpu::Buffer],
    ) -> Result<()> {
        let params = CovarianceParams { first_value, ..self.params };
        let storage: Vec<Slice> = storage.iter().map(|&buffer| buffer.into()).collect();
        let lanes = lanes_of(self.gpu.is_software());
        // One workgroup per row of a matrix, one thread per column of embeddings.
        let is_by_row = program.files.contains(&ENTRIES);
        let workgroups = if is_by_row { params.columns } else { params.columns.div_ceil(lanes) };
        let kernel = self.gpu.kernel(program)?;
        self.commands.push(self.gpu.dispatch(&kernel, &params, &storage, workgroups)?);
        Ok(())
    }

    fn side(&mut self, embeddings: &wgpu::Buffer) -> Result<Side> {
        let columns = self.params.columns as usize;
        let elements = self.params.rows as usize * columns;
        let side = Side {
            embeddings: embeddings.clone(),
            centred: self.gpu.buffer("centred columns", elements)?,
            deviations: self.gpu.buffer("deviations", columns)?,
            gradient: self.gpu.buffer("a gradient", elements)?,
        };
        let program = columns_program(self.gpu.is_software(), self.rule.correlates);
        self.run(&program, 0, &[embeddings, &side.centred, &side.deviations])?;
        Ok(side)
    }

    fn product(
        &mut self,
        layout: Layout,
        shape: Shape,
        adds: bool,
        storage: [&wgpu::Buffer; 3],
    ) -> Result<()> {
        let params = Params { accumulate: u32::from(adds), ..Params::new(shape) };
        let commands = product(self.gpu, &Kind::plain(layout), &params, &storage.map(Slice::from))?;
        self.commands.extend(commands);
        Ok(())
    }

    /// The covariances of the columns of `left` with those of `right`, and the derivatives by both.
    fn compare(&mut self, left: &Side, right: &Side, first_value: u32) -> Result<()> {
        let [rows, columns] = [self.params.rows, self.params.columns];
        let products = self.products.clone();
        let square = Shape { m: columns, n: columns, k: rows };
        self.product(Layout::TN, square, false, [&left.centred, &right.centred, &products])?;
        let program = entries_program(self.loss, self.gpu.is_software());
        let (packed, parts) = (self.packed.clone(), self.parts.clone());
        self.run(&program, first_value, &[&products, &packed, &parts])?;
        let tall = Shape { m: rows, n: columns, k: columns };
        self.product(Layout::NT, tall, false, [&right.centred, &products, &left.gradient])?;
        // With one matrix its gradient is the sum of both.
        let is_same = left.gradient == right.gradient;
        self.product(Layout::NN, tall, is_same, [&left.centred, &products, &right.gradient])
    }

    fn backward(&mut self, side: &Side, other: &Side, is_first: bool) -> Result<()> {
        let place = if is_first { 2 } else { 3 } * self.params.columns;
        let software = self.gpu.is_software();
        let program = gradient_program(self.loss, software, self.rule.correlates, is_first);
        let (packed, parts) = (self.packed.clone(), self.parts.clone());
        let (own, others) = (&side.embeddings, &other.embeddings);
        let storage =
            [own, others, &side.centred, &side.deviations, &packed, &side.gradient, &parts];
        self.run(&program, place, &storage)
    }
}

fn check_sizes(gpu: &Gpu, loss: &dyn LossDefinition, rows: usize, columns: usize) -> Result<()> {
    let largest = columns * columns.max(rows);
    let is_long = gpu.is_software() && 4 * rows > MAX_LOOP_ITERATIONS;
    if !is_long && largest <= binding_elements(gpu) {
        return Ok(());
    }
    Err(Error::TooLarge {
        name: format!("{rows} rows of {columns} columns of {}", loss.name()),
        bytes: 4 * largest as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use smaller batches, fewer columns or the device `cpu`".into(),
    })
}

/// Weight and upstream gradient of the value in one buffer.
fn pack(gpu: &Gpu, job: &MultiInputJob) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let packed = gpu.buffer("the weight of a value", 2)?;
    let one = gpu.upload("one", &[1.0_f32])?;
    let planes = [&job.weights, &job.upstreams].into_iter().zip(0..);
    let copies = planes.map(|(given, plane)| Command::Copy {
        from: given.as_ref().unwrap_or(&one).clone(),
        from_offset: 0,
        to: packed.clone(),
        to_offset: 4 * plane,
        size: 4,
    });
    Ok((copies.collect(), packed))
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    rule: CovarianceRule,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let [first, second] = [0, 1].map(|place| job.required(loss.arguments()[place].name));
    let (first, second) = (first?, second?);
    let [rows, columns] = [0, 1].map(|axis| first.shape.get(axis).copied().unwrap_or(1));
    check_sizes(gpu, loss, rows, columns)?;
    let (commands, packed) = pack(gpu, job)?;
    let mut plan = Plan {
        gpu,
        loss,
        rule,
        params: CovarianceParams {
            rows: rows as u32,
            columns: columns as u32,
            over: (1.0 / divisor(&rule, rows)) as f32,
            epsilon: rule.epsilon as f32,
            factor: job.factor,
            upstream: job.upstream,
            first_value: 0,
            reserved: 0,
        },
        products: gpu.buffer("covariances", columns * columns)?,
        packed,
        parts: gpu.buffer("parts of a value", 4 * columns)?,
        commands,
    };
    let (left, right) = (plan.side(&first.buffer)?, plan.side(&second.buffer)?);
    if rule.correlates {
        plan.compare(&left, &right, 0)?;
    } else {
        plan.compare(&left, &left, 0)?;
        plan.compare(&right, &right, columns as u32)?;
    }
    plan.backward(&left, &right, true)?;
    plan.backward(&right, &left, false)?;
    let (mut commands, parts) = (plan.commands, plan.parts);
    let (mut values, mut length) = (parts, 4 * columns);
    if job.each {
        let whole = gpu.buffer("a value", 1)?;
        commands.push(sum(gpu, &values, length, &whole, 0)?);
        (values, length) = (whole, 1);
    }
    let gradients = vec![left.gradient, right.gradient];
    Ok((
        commands,
        MultiInputResults { gradients, values, result: gpu.buffer("a loss", 4)? },
        length,
    ))
}
