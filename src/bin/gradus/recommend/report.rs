//! Results of a training run, as JSON and as text.

use std::path::Path;

use gradus::recommend::{Confidence, Epoch, Loss, Metrics, Refit, SideFeatures};
use gradus::text;
use serde_json::{Value, json};

use crate::recommend::Recommend;
use crate::recommend::files::Read;
use crate::recommend::training::Trained;
use crate::samples::{columns_as_json, columns_in_words};
use crate::{output, saved};

impl Recommend {
    pub(super) fn as_json(&self, path: &Path, data: &Read, trained: &Trained) -> Value {
        let as_json = |metrics: Metrics| {
            json!({
                "precision_at_10": metrics.precision_at_k,
                "recall_at_10": metrics.recall_at_k,
                "auc": metrics.auc,
                "mrr": metrics.mrr,
                "ndcg_at_10": metrics.ndcg_at_k,
            })
        };
        let (test, popularity) = (trained.test.map(as_json), trained.popularity.map(as_json));
        let losses = |epochs: &[Epoch]| epochs.iter().map(|epoch| epoch.loss).collect::<Vec<f64>>();
        let preparation = &data.preparation;
        let refit = trained
            .refit
            .as_deref()
            .map(|epochs| json!({ "interactions": data.interactions.len(), "history": { "loss": losses(epochs) } }));
        let mut document = json!({
            "users": data.interactions.users(),
            "items": data.interactions.items(),
            "interactions": data.interactions.len(),
            "history": { "loss": losses(&trained.all) },
            "test": test,
            "seconds_per_epoch": trained.history.seconds_per_epoch(),
            "sampled_pairs_per_second": trained.history.sampled_pairs_per_second(),
            "device": trained.device,
            "interactions_to_train": data.train.len(),
            "epochs_before": trained.before,
            "stopped": trained.stopped.as_ref().map(ToString::to_string),
            "popularity": popularity,
            "refit": refit,
            "user_features": features_as_json(trained.user_features.as_ref()),
            "item_features": features_as_json(trained.item_features.as_ref()),
            "settings": {
                "gradus": env!("CARGO_PKG_VERSION"),
                "interactions": output::path(path),
                "user": self.user,
                "item": self.item,
                "rating": self.rating,
                "weight": self.weight,
                "time": self.time,
                "confidence": preparation.confidence,
                "user_features": self.user_features.as_deref().map(output::path),
                "item_features": self.item_features.as_deref().map(output::path),
                "loss": Loss::from(self.loss),
                "components": self.components,
                "epochs": trained.epochs,
                "learning_rate": self.learning_rate,
                "batch_size": self.batch_size,
                "max_sampled": self.max_sampled,
                "min_rating": preparation.min_rating,
                "split": if preparation.by_time { "time" } else { "random" },
                "test_fraction": preparation.held_out.share,
                "seed": preparation.held_out.seed,
                "refit": preparation.refit != Refit::No,
                "resume": self.resume.as_deref().map(output::path),
            },
        });
        // A saved recommender has its own options.
        let described =
            self.resume.as_deref().and_then(saved::description).map(|(_, described)| described);
        for name in ["loss", "components", "learning_rate", "batch_size", "max_sampled"] {
            if let Some(own) =
                described.as_ref().and_then(|described| described["options"].get(name))
            {
                document["settings"][name] = own.clone();
            }
        }
        document
    }

    pub(super) fn as_text(&self, data: &Read, trained: &Trained) -> String {
        let mut text = features_in_words("user", trained.user_features.as_ref());
        text += &features_in_words("item", trained.item_features.as_ref());
        let mut table = output::table(&["epoch", "loss", "pairs drawn", "updates", "time"]);
        for (index, epoch) in trained.all.iter().enumerate() {
            table.add_row([
                (index + 1).to_string(),
                text::number(epoch.loss),
                text::count(epoch.sampled),
                text::count(epoch.updates),
                text::seconds(epoch.seconds),
            ]);
        }
        let (users, items) = (data.interactions.users(), data.interactions.items());
        let (all, to_train) = (data.interactions.len(), data.train.len());
        let what = match data.has_ratings {
            true => format!("interactions of a rating of {} or more", data.preparation.min_rating),
            false => "likes".into(),
        };
        let weighted = match data.preparation.confidence {
            Confidence::Log if data.has_weights => ", weighted by ln(1 + count)",
            Confidence::Linear | Confidence::Raw if data.has_weights => {
                ", weighted by their counts"
            }
            _ => "",
        };
        text += &format!(
            "{users} users, {items} items, {all} {what}{weighted}, {to_train} of them to train on\n{table}\n"
        );
        let each = trained.history.seconds_per_epoch();
        text += &format!("{} an epoch (the median)", text::seconds(each));
        let pairs = trained.history.sampled_pairs_per_second();
        if pairs > 0.0 {
            text += &format!(", {} pairs drawn a second", text::rate(pairs));
        }
        text.push('\n');
        if let Some(test) = &trained.test {
            text += &output::folded(&format!("test ({} users): {}\n", test.users, in_words(test)));
        }
        if let Some(popularity) = &trained.popularity {
            text += &output::folded(&format!("popularity alone: {}\n", in_words(popularity)));
        }
        if let Some(epochs) = &trained.refit {
            let loss = epochs
                .last()
                .map_or(String::new(), |last| format!(", loss {}", text::number(last.loss)));
            text += &output::folded(&format!(
                "trained again on all {all} for {} epoch(s){loss}: that is what is saved\n",
                epochs.len()
            ));
        }
        text
    }
}

fn in_words(metrics: &Metrics) -> String {
    format!(
        "precision@10 {:.4}, recall@10 {:.4}, AUC {:.4}, MRR {:.4}, MAP@10 {:.4}, NDCG@10 {:.4}",
        metrics.precision_at_k,
        metrics.recall_at_k,
        metrics.auc,
        metrics.mrr,
        metrics.map_at_k,
        metrics.ndcg_at_k
    )
}

fn features_as_json(features: Option<&SideFeatures>) -> Value {
    let Some((side, encoding)) = features.and_then(|side| Some((side, side.encoding()?))) else {
        return Value::Null;
    };
    json!({
        "columns": columns_as_json(encoding),
        "features": encoding.names().len(),
        "new": side.new_ids().len(),
    })
}

fn features_in_words(kind: &str, features: Option<&SideFeatures>) -> String {
    let Some(encoding) = features.and_then(SideFeatures::encoding) else { return String::new() };
    format!("{kind} features\n{}", columns_in_words(encoding))
}
