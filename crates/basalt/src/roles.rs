//! The roles that this program can take.

mod backend;
mod insert;
mod names_file;
mod owned_shards;
mod ownership;
mod refill;
mod reports;
mod retention_guard;
mod single;
mod storage;

use std::fmt;

pub use insert::{InsertSettings, insert};
pub use single::single;

use crate::flags::UsageError;

/// A role of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Single,
    /// Takes samples and spreads them over storage nodes.
    Insert,
    /// Keeps samples that inserts bring, and answers selects.
    Storage,
    /// Gathers answers of storage nodes.
    Select,
}

/// Roles of the design that come later.
const LATER: &[&str] = &["agent", "alert", "auth", "ctl", "backup", "restore"];

/// Why a role could not do its work. Exit code 1.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Role {
    /// What flags mean in this role that are not given.
    pub fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Single => &[],
            Self::Insert => &[("httpListenAddr", ":8480")],
            Self::Storage => {
                &[("httpListenAddr", ":8482"), ("storageDataPath", "vmstorage-data"), ("vmselectAddr", ":8401")]
            }
            Self::Select => &[("httpListenAddr", ":8481")],
        }
    }

    /// The role of this name; `single` without one.
    pub fn named(name: Option<&str>) -> Result<Self, UsageError> {
        match name {
            None | Some("single") => Ok(Self::Single),
            Some("insert") => Ok(Self::Insert),
            Some("storage") => Ok(Self::Storage),
            Some("select") => Ok(Self::Select),
            Some(later) if LATER.contains(&later) => {
                Err(UsageError(format!("role {later} is not in this version; single, insert, storage and select are")))
            }
            Some(other) => Err(UsageError(format!("unknown role {other:?}; want single, insert, storage or select"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_roles_are_known_and_refused() {
        assert_eq!(Role::named(None), Ok(Role::Single));
        assert!(Role::named(Some("agent")).expect_err("later").0.contains("not in this version"));
        assert!(Role::named(Some("sorage")).expect_err("unknown").0.contains("unknown role"));
    }
}
