//! Arguments of a request: from its query string and, for forms, from its body.

use std::{borrow::Cow, fmt};

/// The arguments in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

/// An argument that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// The argument.
    pub name: &'static str,
    /// What came.
    pub value: String,
    /// What was expected.
    pub want: Cow<'static, str>,
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot parse argument {}={:?}: want {}", self.name, self.value, self.want)
    }
}

impl std::error::Error for ParamError {}

impl Params {
    /// Reads `a=b&c=d`.
    pub fn parse(query: &[u8]) -> Self {
        Self::from_pairs(
            form_urlencoded::parse(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        )
    }

    /// Arguments of these names and values.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// These arguments, and others behind them.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Takes all values of an argument away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(have, _)| have != name);
    }

    /// The first value of an argument; `None` also if it is empty, as VictoriaMetrics has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, value)| have == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of an argument.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// A whole number.
    pub fn number(&self, name: &'static str) -> Result<Option<u64>, ParamError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let wrong = |_| ParamError { name, value: value.to_string(), want: "a whole number".into() };
        value.parse().map(Some).map_err(wrong)
    }

    /// A switch: set to anything but `0`, `f`, `false`, `no`.
    pub fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "0" | "f" | "false" | "no"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_repeat_and_are_unescaped() {
        let params = Params::parse(b"match[]=a%7Bb%3D%22c+d%22%7D&match%5B%5D=e&limit=5&x=&reduce=1&no=false");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["a{b=\"c d\"}", "e"]);
        assert_eq!(params.number("limit"), Ok(Some(5)));
        assert_eq!(params.number("x"), Ok(None));
        assert!(params.number("reduce").is_ok() && params.switch("reduce") && !params.switch("no"));
        let mut fewer = params.clone();
        fewer.remove("match[]");
        assert_eq!((fewer.all("match[]").count(), fewer.get("limit")), (0, Some("5")));
        let error = Params::parse(b"limit=many").number("limit").expect_err("no number");
        assert_eq!(error.to_string(), "cannot parse argument limit=\"many\": want a whole number");
    }
}
