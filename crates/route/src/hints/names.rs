//! Names of folders, one for each node.

/// The folder of a node: bytes that not every file system takes are written as `%` and two digits.
pub fn dir_of(node: &str) -> String {
    let mut name = String::with_capacity(node.len());
    for byte in node.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // A name of dots alone is no name.
            b'.' if !name.is_empty() => name.push('.'),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    name
}

/// The node of a folder, if it is one.
pub fn node_of(dir: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(dir.len());
    let mut rest = dir.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    let node = String::from_utf8(bytes).ok()?;
    (dir_of(&node) == dir && !node.is_empty()).then_some(node)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_have_plain_names() {
        assert_eq!(dir_of("g0/host-1.example:8400"), "g0%2Fhost-1.example%3A8400");
        assert_eq!(dir_of(".."), "%2E.");
        for foreign in ["", "a b", "%zz", "%2", "%41", "a/b"] {
            assert_eq!(node_of(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_name_comes_back(name in "\\PC{1,20}") {
            prop_assert_eq!(node_of(&dir_of(&name)), Some(name));
        }
    }
}
