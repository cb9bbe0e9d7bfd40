//! A secret that may change while the process runs. Whoever holds it sees the newest text, and comparing with it tells nothing by the time it takes.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// See the module. Clones are the same secret.
#[derive(Clone)]
pub struct Secret(Arc<RwLock<Arc<str>>>);

impl Default for Secret {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret of this text.
    pub fn new(text: &str) -> Self {
        Self(Arc::new(RwLock::new(text.into())))
    }

    /// The text as it is now.
    pub fn get(&self) -> Arc<str> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the text for everybody who holds the secret.
    pub fn set(&self, text: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// Whether there is no text, which means that nobody is asked for it.
    pub fn is_empty(&self) -> bool {
        self.get().is_empty()
    }

    /// Whether somebody knows it.
    pub fn is(&self, given: &str) -> bool {
        is_equal(&self.get(), given)
    }
}

/// Takes as long for texts that are nearly equal as for others.
pub fn is_equal(one: &str, other: &str) -> bool {
    let differ = one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    one.len() == other.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_sees_the_newest_text() {
        let secret = Secret::new("one");
        let held = secret.clone();
        assert!(held.is("one") && !held.is("on") && !held.is("onE") && !held.is_empty());
        secret.set("two");
        assert!(held.is("two") && !held.is("one"));
        assert!(Secret::default().is_empty());
        assert_eq!(format!("{held:?}"), "Secret");
    }
}
