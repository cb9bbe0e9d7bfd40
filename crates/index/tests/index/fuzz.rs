//! Some seconds of the fuzzers over mutations of good inputs.

use testkit::fuzz::run;

use crate::part::write;

#[test]
fn part_indexes() {
    let mut corpus: Vec<Vec<u8>> = [1, 3, 40, 700].map(|count| write(&crate::oracle::cluster(count, 2))).to_vec();
    let mixed = crate::oracle::mixed_keys();
    corpus.push(write(&mixed));
    run("index", &corpus, std::time::Duration::from_secs(3), index::fuzz::fuzz_part_index);
}

#[test]
fn patterns() {
    let patterns = [
        ".*abc.*\0xabcx",
        "a|b|\0b",
        "\\d+[[:alpha:]-]{2,3}\x00123a-",
        "(?i)\\Qa.b\\E\0A.B",
        "^x{1,}$\0xx",
        "/api/{id}/.*\0/api/",
        "[^\\w\\]]\\b.\\pL\0é",
        "service-(1|2)[0-9]?-.+\0service-1-x",
        "(a|ab)(c|bcd)*\\x{41}\0abcdA",
    ];
    let corpus: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    run("pattern", &corpus, std::time::Duration::from_secs(2), index::fuzz::fuzz_pattern);
}
