//! Losses for lists.

use crate::advise::advice::Candidate;
use crate::advise::rules::candidate::candidate;
use crate::advise::task::Task;
use crate::error::text::{count, significant};

/// Losses for items of queries. With a column of queries in a table, `train` has no lists.
pub(in crate::advise) fn of_lists(
    task: &Task,
    rows: usize,
    queries: usize,
    in_table: bool,
) -> Vec<Candidate> {
    let library_only = match in_table {
        true => {
            "`train` takes lists from SVMlight's lines with qid:, and the library from `Targets::grouped`"
        }
        false => "",
    };
    let size = format!(
        "{} queries with {} rows each in the mean",
        count(queries as u64),
        significant(rows as f64 / queries.max(1) as f64, 3)
    );
    let grades = task.classes.len();
    let first = match grades {
        0..=2 => {
            format!("{size}, relevant or not: pairs are weighed by what a swap changes NDCG by")
        }
        _ => format!("{size}, {grades} grades: pairs are weighed by what a swap changes NDCG by"),
    };
    let mut list = vec![
        candidate("lambda_rank", ["an order of each list", "NDCG@k"], first, "Burges 2006"),
        candidate(
            "ranking_softmax",
            ["an order of each list", "NDCG@k, MRR"],
            "one smooth term a list; the steadier gradient",
            "Cao 2007; Bruch 2019",
        ),
        candidate(
            "pairwise_logistic",
            ["an order of pairs", "AUC within lists"],
            "each pair of different relevance counts the same",
            "Burges 2005",
        ),
    ];
    list.iter_mut().for_each(|one| one.library_only = library_only);
    if in_table {
        // What a table can be trained with as it is: the relevance of each row for itself.
        list.push(candidate(
            "mse",
            ["the mean relevance of a row", "NDCG@k of the predictions"],
            "pointwise: runs on the table as it is, without its lists",
            "Cossock, Zhang 2006",
        ));
    }
    list
}
