//! Templates of multi-input losses on the GPU: dispatch of a job to its template.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::templates::boxes::gpu as boxes;
use crate::templates::completions::gpu as completions;
use crate::templates::covariance::gpu as covariance;
use crate::templates::definition::{LossDefinition, SeveralInputs};
use crate::templates::distance::gpu as distance;
use crate::templates::linear::gpu as linear;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::policy::gpu as policy;
use crate::templates::preference::gpu as preference;
use crate::templates::proxies::gpu as proxies;
use crate::templates::regions::gpu as regions;
use crate::templates::sequence::gpu as sequence;
use crate::templates::similarity::gpu as similarity;
use crate::templates::sum::sum;
use crate::templates::survival::gpu as survival;
use crate::templates::transducer::gpu as transducer;
use crate::templates::two_input::gpu as two_input;

/// The commands that compute value and gradients. Afterwards `result[0]` holds the value, except
/// with reduction `none`.
pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    kernel: SeveralInputs,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults)> {
    let (mut commands, results, length) = match kernel {
        SeveralInputs::TwoInput => two_input::commands(gpu, loss, job)?,
        SeveralInputs::Sequence { blank } => sequence::commands(gpu, loss, blank, job)?,
        SeveralInputs::Transducer { blank } => transducer::commands(gpu, loss, blank, job)?,
        SeveralInputs::Distance => distance::commands(gpu, loss, job)?,
        SeveralInputs::Linear => linear::commands(gpu, loss, job)?,
        SeveralInputs::Completions { tokens, averages } => {
            completions::commands(gpu, loss, tokens, averages, job)?
        }
        SeveralInputs::Preference => preference::commands(gpu, loss, job)?,
        SeveralInputs::Regions => regions::commands(gpu, loss, job)?,
        SeveralInputs::Boxes => boxes::commands(gpu, loss, job)?,
        SeveralInputs::Policy(rule) => policy::commands(gpu, loss, rule, job)?,
        SeveralInputs::Survival => survival::commands(gpu, loss, job)?,
        SeveralInputs::Covariance(rule) => covariance::commands(gpu, loss, rule, job)?,
        SeveralInputs::Proxies { by_proxy } => proxies::commands(gpu, loss, by_proxy, job)?,
        SeveralInputs::Similarity(comparison) => similarity::commands(gpu, loss, comparison, job)?,
    };
    if !job.each {
        commands.push(sum(gpu, &results.values, length, &results.result, 0)?);
    }
    Ok((commands, results))
}

/// All programs of a multi-input loss, for the shader checks.
pub(crate) fn programs(loss: &dyn LossDefinition, kernel: SeveralInputs) -> Result<Vec<Program>> {
    Ok(match kernel {
        SeveralInputs::TwoInput => two_input::programs(loss),
        SeveralInputs::Sequence { .. } => sequence::programs(loss),
        SeveralInputs::Transducer { .. } => transducer::programs(loss),
        SeveralInputs::Distance => distance::programs(loss),
        SeveralInputs::Linear => linear::programs(loss)?,
        SeveralInputs::Completions { .. } => completions::programs(loss)?,
        SeveralInputs::Preference => preference::programs(loss),
        SeveralInputs::Regions => regions::programs(loss),
        SeveralInputs::Boxes => boxes::programs(loss),
        SeveralInputs::Policy(rule) => policy::programs(loss, rule),
        SeveralInputs::Survival => survival::programs(loss),
        SeveralInputs::Covariance(rule) => covariance::programs(loss, rule),
        SeveralInputs::Proxies { .. } => proxies::programs(loss),
        SeveralInputs::Similarity(comparison) => similarity::programs(loss, comparison),
    })
}
