//! What the name of a target column says about it.

/// What a name is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Class,
    Ordinal,
    Count,
    Quantity,
}

const CLASSES: &[&str] = &[
    "class",
    "classes",
    "label",
    "labels",
    "species",
    "category",
    "type",
    "kind",
    "digit",
    "letter",
    "cluster",
    "diagnosis",
    "group",
    "genre",
    "cultivar",
    "variety",
];

const ORDINALS: &[&str] = &[
    "rating",
    "ratings",
    "stars",
    "star",
    "grade",
    "quality",
    "satisfaction",
    "severity",
    "likert",
    "overall",
    "stage",
    "rank",
];

const COUNTS: &[&str] = &[
    "count",
    "counts",
    "cnt",
    "num",
    "number",
    "n",
    "claims",
    "visits",
    "events",
    "clicks",
    "views",
    "sold",
    "rentals",
    "arrivals",
    "calls",
    "accidents",
    "goals",
    "children",
    "doctors",
    "trips",
];

const QUANTITIES: &[&str] = &[
    "price",
    "salary",
    "income",
    "wage",
    "cost",
    "costs",
    "charges",
    "value",
    "amount",
    "revenue",
    "age",
    "year",
    "weight",
    "height",
    "temperature",
    "mpg",
    "area",
    "usd",
    "eur",
    "dollars",
    "sales",
];

/// Names of columns that hold a number for each query of a list.
const QUERIES: &[&str] =
    &["qid", "query", "queryid", "query_id", "srch_id", "search_id", "list_id", "query_group"];

/// The words of a name: `ratingCount` and `rating_count` are two.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before.is_lowercase();
        if !letter.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a name is used for: by its last word that says so, `rating_count` is a count.
pub(super) fn of(name: &str) -> Option<Hint> {
    let lists = [
        (CLASSES, Hint::Class),
        (ORDINALS, Hint::Ordinal),
        (COUNTS, Hint::Count),
        (QUANTITIES, Hint::Quantity),
    ];
    words(name).iter().rev().find_map(|word| {
        lists.iter().find(|(list, _)| list.contains(&word.as_str())).map(|(_, hint)| *hint)
    })
}

/// True for the name of a column of queries.
pub(super) fn is_query(name: &str) -> bool {
    QUERIES.contains(&name.to_lowercase().as_str())
}

/// True for the name of an id: `id`, `user_id`, `userId`.
pub(super) fn is_id(name: &str) -> bool {
    let words = words(name);
    let is_named = |word: &String| ["id", "uuid", "guid", "key"].contains(&word.as_str());
    words.last().is_some_and(is_named) || name.to_lowercase().ends_with("id") && words.len() > 1
}

/// Words that name steps of a scale, from low to high.
const SCALES: &[&[&str]] = &[
    &["very low", "low", "medium", "high", "very high"],
    &["low", "mid", "high"],
    &["low", "moderate", "high"],
    &["very poor", "poor", "fair", "good", "very good", "excellent"],
    &["very bad", "bad", "ok", "good", "very good"],
    &["bad", "average", "good"],
    &["fair", "good", "very good", "premium", "ideal"],
    &["xs", "s", "m", "l", "xl", "xxl"],
    &["small", "medium", "large", "extra large"],
    &["never", "rarely", "sometimes", "often", "always"],
    &["none", "mild", "moderate", "severe", "extreme"],
    &["strongly disagree", "disagree", "neutral", "agree", "strongly agree"],
    &["very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"],
    &["negative", "neutral", "positive"],
];

/// The steps of a scale in order, if the names are at least three of them and nothing else.
pub(super) fn scale(names: &[String]) -> Option<Vec<String>> {
    let plain = |name: &str| name.trim().to_lowercase().replace(['_', '-'], " ");
    if names.len() < 3 {
        return None;
    }
    let steps = SCALES
        .iter()
        .find(|steps| names.iter().all(|name| steps.contains(&plain(name).as_str())))?;
    let mut ordered = names.to_vec();
    ordered.sort_by_key(|name| steps.iter().position(|step| *step == plain(name)));
    Some(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are_used_for() {
        for (name, hint) in [
            ("rating", Some(Hint::Ordinal)),
            ("ratingCount", Some(Hint::Count)),
            ("n_claims", Some(Hint::Count)),
            ("median_house_value", Some(Hint::Quantity)),
            ("class", Some(Hint::Class)),
            ("target", None),
            ("y", None),
            ("counter_top", None),
        ] {
            assert_eq!(of(name), hint, "{name}");
        }
        assert!(is_query("qid") && is_query("srch_id") && !is_query("quid"));
        assert!(is_id("userId") && is_id("id") && !is_id("humid") && !is_id("paid"));
    }

    #[test]
    fn a_scale_is_known_by_all_of_its_words() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(scale(&names(&["High", "Low", "Medium"])).unwrap(), ["Low", "Medium", "High"]);
        assert!(scale(&names(&["high", "low", "wide"])).is_none());
        assert!(scale(&names(&["high", "low"])).is_none());
    }
}
