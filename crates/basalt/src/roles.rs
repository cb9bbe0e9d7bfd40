//! The roles that this program can take.

mod single;

use std::fmt;

pub use single::single;

use crate::flags::UsageError;

/// A role of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Single,
}

/// Roles of the design that come later.
const LATER: &[&str] = &["insert", "storage", "select", "agent", "alert", "auth", "ctl", "backup", "restore"];

/// Why a role could not do its work. Exit code 1.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Role {
    /// The role of this name; `single` without one.
    pub fn named(name: Option<&str>) -> Result<Self, UsageError> {
        match name {
            None | Some("single") => Ok(Self::Single),
            Some(later) if LATER.contains(&later) => {
                Err(UsageError(format!("role {later} is not in this version; single is")))
            }
            Some(other) => Err(UsageError(format!("unknown role {other:?}; single is the one of this version"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_roles_are_known_and_refused() {
        assert_eq!(Role::named(None), Ok(Role::Single));
        assert!(Role::named(Some("storage")).expect_err("later").0.contains("not in this version"));
        assert!(Role::named(Some("sorage")).expect_err("unknown").0.contains("unknown role"));
    }
}
