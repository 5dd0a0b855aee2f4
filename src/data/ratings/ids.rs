//! Ids and names of columns as they are compared.

/// An id as written; a whole number in another notation, as pandas writes columns with blanks, is
/// normalized.
pub(in crate::data) fn id(cell: &str) -> Option<String> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return None;
    }
    let is_float =
        cell.contains('.') && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let whole = cell
        .parse::<f64>()
        .ok()
        .filter(|number| is_float && number.fract() == 0.0 && *number < 9e15);
    Some(whole.map_or_else(|| cell.replace(char::is_control, " "), |number| format!("{number}")))
}

/// Normalizes a name: `userid` for `user_id`, `User ID`, `userId` and RecBole's `user_id:token`.
pub(in crate::data) fn plain_name(name: &str) -> String {
    let name = name.to_lowercase();
    let name = name.split(':').next().unwrap_or_default();
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect()
}
