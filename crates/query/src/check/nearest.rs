//! The name that somebody may have meant.

/// No suggestion is further away than this many letters that are added, left out or replaced.
const DISTANCE_MAX: usize = 3;
/// Longer names are not compared, since comparing takes the product of the lengths.
const NAME_LEN_MAX: usize = 64;

/// The name of `known` that takes the fewest changes to become, if they are few beside its length.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let may_be = |distance: usize| distance <= DISTANCE_MAX && distance * 3 <= name.len().max(3);
    known
        .map(|known| (distance(&name, known), known))
        .filter(|(distance, _)| may_be(*distance))
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = || ["rate", "irate", "increase", "histogram_quantile"].into_iter();
        assert_eq!(nearest("Rat", known()), Some("rate"));
        assert_eq!(nearest("histogram_quantil", known()), Some("histogram_quantile"));
        assert_eq!(nearest("incrase", known()), Some("increase"));
        assert_eq!(nearest("nosuchfunction", known()), None);
        assert_eq!(nearest("x", known()), None);
    }

    #[test]
    fn distances() {
        for (left, right, want) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(left, right), want);
        }
    }
}
