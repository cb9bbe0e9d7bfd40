//! Tenants, as VictoriaMetrics names them.

use std::{fmt, str::FromStr};

/// Whose data it is: `accountID:projectID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Tenant {
    /// The account.
    pub account: u32,
    /// The project inside the account.
    pub project: u32,
}

impl Tenant {
    /// The tenant of everything that names none: `0:0`.
    pub const DEFAULT: Self = Self { account: 0, project: 0 };

    /// A tenant by its two numbers.
    pub fn new(account: u32, project: u32) -> Self {
        Self { account, project }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.account, self.project)
    }
}

/// A text that is no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantParseError(String);

impl fmt::Display for TenantParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read tenant {:?}: want accountID or accountID:projectID, two numbers below 2^32", self.0)
    }
}

impl std::error::Error for TenantParseError {}

impl FromStr for Tenant {
    type Err = TenantParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| TenantParseError(text.to_string());
        let (account, project) = text.split_once(':').unwrap_or((text, "0"));
        Ok(Self { account: account.parse().map_err(wrong)?, project: project.parse().map_err(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_and_names_what_is_wrong() {
        assert_eq!("7".parse(), Ok(Tenant::new(7, 0)));
        assert_eq!("7:9".parse(), Ok(Tenant::new(7, 9)));
        let error = "7:x".parse::<Tenant>().expect_err("x is no number");
        assert!(error.to_string().contains("\"7:x\""));
    }
}
