//! What can go wrong between two nodes.
//!
//! An error of one of the traits crosses the network as the details of a gRPC status, and comes out as what it was. Everything else that a status
//! may say means that the other node did not answer: its state is unknown.

use std::fmt;

use prost::Message;
use storage_api::{AdminError, InsertError, SelectError};
use tonic::{Code, Status};

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcError {
    /// The node could not be reached, or went away in the middle: whether it did what was asked is unknown.
    Unreachable(String),
    /// The node is none of the kind that was expected, or speaks another version.
    Wrong(String),
    /// The node did not answer in time: whether it did what was asked is unknown.
    TimedOut(String),
    /// The node takes no rows, or not these.
    Insert(InsertError),
    /// The node has no answer to the query.
    Select(SelectError),
    /// The node did not do what an operator wished.
    Admin(AdminError),
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Wrong(why) | Self::TimedOut(why) => f.write_str(why),
            Self::Insert(error) => error.fmt(f),
            Self::Select(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RpcError {}

impl RpcError {
    /// Whether the node did not answer at all: another one may be asked instead.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Wrong(_) | Self::TimedOut(_) => true,
            Self::Select(SelectError::Unavailable(_)) => true,
            Self::Insert(_) | Self::Select(_) | Self::Admin(_) => false,
        }
    }
}

impl From<RpcError> for SelectError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Select(error) => error,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<RpcError> for AdminError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Admin(error) => error,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// An error of one of the traits, as it crosses the network.
#[derive(Clone, PartialEq, Message)]
struct Failure {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(uint64, tag = "3")]
    found: u64,
    #[prost(uint64, tag = "4")]
    max: u64,
}

fn status(kind: u32, code: Code, text: &str, (found, max): (u64, u64)) -> Status {
    let failure = Failure { kind, text: text.to_string(), found, max };
    Status::with_details(code, text, failure.encode_to_vec().into())
}

/// How an error of `Insert` is sent.
pub fn insert_status(error: &InsertError) -> Status {
    let (kind, text) = match error {
        InsertError::ReadOnly(why) => (1, why.as_str()),
        InsertError::NotDurable(why) => (2, why.as_str()),
        InsertError::Overloaded(why) => (3, why.as_str()),
        InsertError::Closed => (4, ""),
        InsertError::Invalid(why) => (5, why.as_str()),
    };
    status(kind, Code::Aborted, text, (0, 0))
}

/// How an error of `Select` is sent.
pub fn select_status(error: &SelectError) -> Status {
    let (kind, text, numbers) = match error {
        SelectError::Cancelled => (11, "", (0, 0)),
        SelectError::DeadlinePassed => (12, "", (0, 0)),
        SelectError::TooManySeries { found, max } => (13, "", (*found, *max)),
        SelectError::BadMatcher(what) => (14, what.as_str(), (0, 0)),
        SelectError::Unavailable(what) => (15, what.as_str(), (0, 0)),
        SelectError::Corrupt(what) => (16, what.as_str(), (0, 0)),
        SelectError::TooCostly(what) => (17, what.as_str(), (0, 0)),
    };
    status(kind, Code::Aborted, text, numbers)
}

/// How an error of `Admin` is sent.
pub fn admin_status(error: &AdminError) -> Status {
    let (kind, text) = match error {
        AdminError::Invalid(why) => (21, why),
        AdminError::NotFound(why) => (22, why),
        AdminError::Failed(why) => (23, why),
        AdminError::Unavailable(why) => (24, why),
    };
    status(kind, Code::Aborted, text, (0, 0))
}

/// How it is said that a node is no partner for a call.
pub fn wrong_status(why: &str) -> Status {
    status(31, Code::FailedPrecondition, why, (0, 0))
}

/// What a status means; `node` is who sent it.
pub fn from_status(status: &Status, node: &str) -> RpcError {
    let failure = Some(status.details()).filter(|details| !details.is_empty());
    let Some(failure) = failure.and_then(|details| Failure::decode(details).ok()) else {
        return without_details(status, node);
    };
    let Failure { kind, text, found, max } = failure;
    let at = |text: String| format!("{node}: {text}");
    match kind {
        1 => RpcError::Insert(InsertError::ReadOnly(at(text))),
        2 => RpcError::Insert(InsertError::NotDurable(at(text))),
        3 => RpcError::Insert(InsertError::Overloaded(at(text))),
        4 => RpcError::Insert(InsertError::Closed),
        5 => RpcError::Insert(InsertError::Invalid(at(text))),
        11 => RpcError::Select(SelectError::Cancelled),
        12 => RpcError::Select(SelectError::DeadlinePassed),
        13 => RpcError::Select(SelectError::TooManySeries { found, max }),
        14 => RpcError::Select(SelectError::BadMatcher(text)),
        15 => RpcError::Select(SelectError::Unavailable(at(text))),
        16 => RpcError::Select(SelectError::Corrupt(at(text))),
        // What is wrong is the question, wherever it was found out.
        17 => RpcError::Select(SelectError::TooCostly(text)),
        21 => RpcError::Admin(AdminError::Invalid(text)),
        22 => RpcError::Admin(AdminError::NotFound(at(text))),
        23 => RpcError::Admin(AdminError::Failed(at(text))),
        24 => RpcError::Admin(AdminError::Unavailable(at(text))),
        31 => RpcError::Wrong(at(text)),
        _ => RpcError::Wrong(at(format!("it answers with an error of a later version: {text}"))),
    }
}

/// Of all that a status without details can mean, too long a wait is told apart, and a node that does not know the call.
fn without_details(status: &Status, node: &str) -> RpcError {
    let reason = causes(status);
    match status.code() {
        Code::DeadlineExceeded => RpcError::TimedOut(format!("{node} did not answer in time: {reason}")),
        Code::Unimplemented => RpcError::Wrong(format!(
            "{node} does not take calls of nodes: {reason}; want the address that its -vminsertAddr or -vmselectAddr names"
        )),
        _ => RpcError::Unreachable(format!("cannot reach {node}: {reason}")),
    }
}

/// The message and what stands behind it.
fn causes(status: &Status) -> String {
    let mut text = status.message().to_string();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_out_as_they_went_in() {
        for error in [
            SelectError::Cancelled,
            SelectError::DeadlinePassed,
            SelectError::TooManySeries { found: 7, max: 5 },
            SelectError::BadMatcher("x".into()),
        ] {
            assert_eq!(from_status(&select_status(&error), "n"), RpcError::Select(error));
        }
        let closed = InsertError::Closed;
        assert_eq!(from_status(&insert_status(&closed), "n"), RpcError::Insert(closed));
        let full = insert_status(&InsertError::ReadOnly("disk is full".into()));
        assert_eq!(from_status(&full, "n:1"), RpcError::Insert(InsertError::ReadOnly("n:1: disk is full".into())));
        assert!(!from_status(&full, "n").is_absence());
        let gone = from_status(&Status::new(Code::Unavailable, "refused"), "n:8482");
        assert!(gone.is_absence() && gone.to_string().contains("n:8482"));
        assert_eq!(from_status(&wrong_status("a select"), "n"), RpcError::Wrong("n: a select".into()));
    }
}
