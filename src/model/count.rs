//! How many there are of a thing, in words.

use std::fmt::Display;

/// `1 address`, `2 addresses`.
pub fn counted(count: impl Display, one: &str, many: &str) -> String {
    let count = count.to_string();
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2, 11].map(|count| counted(count, "pod", "pods")), ["0 pods", "1 pod", "2 pods", "11 pods"]);
    }
}
