//! Lengths: the number of ids of each row before its trailing padding, [ids] → [1]. The second
//! input of attention and of a masked mean; the sum of Hugging Face's `attention_mask` of rows that
//! are padded at their end.
//!
//! A padding id between other ids counts. Ids are no numbers and have no gradient.

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const LENGTHS: File = shader!("ops/lengths/lengths.wgsl");

/// Most ids of a row: the iterations that every driver runs in a loop.
pub(crate) const MOST_IDS: usize = 65_534;

pub(crate) static ENTRY: Entry = Entry {
    name: "lengths",
    examples: || {
        let example = |ids: usize, vocabulary: usize, padding: usize| Example {
            op: Box::new(Lengths { padding, vocabulary }),
            inputs: vec![vec![ids]],
        };
        vec![example(5, 3, 0), example(4, 2, 1), example(3, 1, 0)]
    },
    programs: || [8.0, 64.0].map(program).into(),
};

/// y = the number of ids before the trailing ones that are `padding`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub padding: usize,
    /// Number of different ids.
    pub vocabulary: usize,
}

fn program(lanes: f64) -> Program {
    Program::plain("lengths", &[LENGTHS], vec![("WORKGROUP", lanes)])
}

impl Op for Lengths {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        if self.padding >= self.vocabulary {
            let allowed = format!("an id below {}", self.vocabulary);
            return Err(Error::option(ENTRY.name, "padding", self.padding, &allowed));
        }
        match inputs {
            [shape] if shape.len() == 1 && (1..=MOST_IDS).contains(&shape[0]) => Ok(vec![1]),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape [1 to {MOST_IDS} ids]"),
            }),
        }
    }

    fn takes_ids(&self) -> Option<usize> {
        Some(self.vocabulary)
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (gpu, ids) = (recorder.gpu(), io.inputs[0]);
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&program(lanes.into()))?;
        let params = [io.rows, ids.width, self.padding, 0].map(|number| number as u32);
        let storage = [ids.buffer.into(), io.output.buffer.into()];
        recorder.dispatch(&kernel, &params, &storage, params[0].div_ceil(lanes))
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Ok(())
    }
}

impl<R: Real> Cpu<R> for Lengths {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let width = (io.ids.len() / io.rows.max(1)).max(1);
        let is_other = |&id: &i32| usize::try_from(id) != Ok(self.padding);
        for (length, ids) in io.output.iter_mut().zip(io.ids.chunks_exact(width)) {
            let last = ids.iter().rposition(is_other);
            *length = R::new(last.map_or(0, |place| place + 1) as f64);
        }
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::op::{Mode, Parameters, Segments};

    #[test]
    fn only_the_padding_at_the_end_is_left_out() {
        let ids = [5, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5];
        let mut output = [f64::NAN; 3];
        let forward = Forward {
            rows: 3,
            inputs: &[&[]],
            ids: &ids,
            parameters: Parameters { all: &[], ranges: &[], table: &[] },
            output: &mut output,
            saved: &mut [],
            statistics: Segments { all: &mut [], ranges: &[] },
            mode: Mode::default(),
        };
        Lengths { padding: 0, vocabulary: 6 }.forward(forward).unwrap();
        assert_eq!(output, [3.0, 0.0, 5.0]);
    }

    #[test]
    fn a_padding_that_is_no_id_is_refused() {
        let of = |padding| Lengths { padding, vocabulary: 6 }.output(&[&vec![4]]);
        assert_eq!(of(5).unwrap(), [1]);
        let message = of(6).unwrap_err().to_string();
        assert!(message.contains("padding") && message.contains("below 6"), "{message}");
        let wide = Lengths { padding: 0, vocabulary: 6 }.output(&[&vec![65_535]]);
        assert!(wide.unwrap_err().to_string().contains("65534"));
    }
}
