//! An embedding's backward pass and step: on the rows that were hit, or with a dense gradient.

use crate::cpu::parallel;
use crate::nn::optimizers::{Adagrad, Optimizer};
use crate::runtime::tensor::{Tensor, shaped};
use crate::testing::bench::case::{Case, normal};
use crate::testing::bench::host::common::{Precision, converted, timed};
use crate::testing::bench::sampling::Run;
use crate::{Embedding, Error, Result};

/// The case in one precision.
pub(crate) fn run<R: Precision>(case: &Case, dense: bool) -> Result<Run> {
    let &[count, rows, width] = &case.shape[..] else {
        return Err(Error::option(
            "bench",
            "embedding",
            format!("{:?}", case.shape),
            "[ids, rows, width]",
        ));
    };
    let (ids, gradient) = (case.ids(), normal(count * width, 2));
    if dense {
        return Ok(densely::<R>(&ids, &converted(&gradient), [rows, width]));
    }
    let device = R::device();
    let mut table = Embedding::uniform(&device, [rows, width], 0.05, 1)?;
    let labels: Vec<i64> = ids.into_iter().map(i64::from).collect();
    let ids = Tensor::from_labels(&device, &labels)?;
    let gradient = Tensor::from_array(&device, shaped(&[count, width], gradient)?.view())?;
    let adagrad = Adagrad::new();
    Ok(Box::new(move |repeats| timed(repeats, || table.update(&ids, &gradient, &adagrad))))
}

fn densely<R: Precision>(ids: &[i32], gradient: &[R], [rows, width]: [usize; 2]) -> Run {
    let (ids, gradient, adagrad) = (ids.to_vec(), gradient.to_vec(), Adagrad::new());
    let mut parameters = converted::<R>(&normal(rows * width, 1));
    let mut sums = vec![R::ZERO; rows * width];
    let mut states = vec![vec![R::ZERO; rows * width]];
    let of_thread = rows.div_ceil(rayon::current_num_threads());
    Box::new(move |repeats| {
        let optimizer: &dyn Optimizer = &adagrad;
        let step = optimizer.step(10, optimizer.initial_learning_rate());
        timed(repeats, || {
            // As in PyTorch: each thread owns a range of rows and scans all ids for hits in it.
            parallel::fill(&mut sums, of_thread * width, |start, part| {
                part.fill(R::ZERO);
                let rows = start / width..start / width + part.len() / width;
                let hits = ids
                    .iter()
                    .zip(gradient.chunks_exact(width))
                    .filter(|(id, _)| rows.contains(&(**id as usize)));
                for (&id, row) in hits {
                    let sum = &mut part[(id as usize - rows.start) * width..][..width];
                    sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
                }
            });
            optimizer.update(&step, &[], &mut parameters, &sums, &mut states)
        })
    })
}
