//! What goes over the wire.

pub mod bundle;
pub mod chunk;
pub mod copy;
pub mod messages;
pub mod numbers;
pub mod requests;
pub mod rows;
pub mod sub_plan;
pub mod word;

/// Both sides must speak the same one.
pub const WIRE_VERSION: u32 = 5;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Single,
    /// Takes rows and spreads them.
    Insert,
    /// Keeps rows.
    Storage,
    /// Gathers answers.
    Select,
}

impl Role {
    /// The name by which a role is started.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Insert => "insert",
            Self::Storage => "storage",
            Self::Select => "select",
        }
    }

    /// Its number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The role with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Single, Self::Insert, Self::Storage, Self::Select].into_iter().find(|role| role.number() == number)
    }
}

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What it is.
    pub role: Role,
    /// Names the run of its process.
    pub epoch: u64,
    /// Whether it takes rows.
    pub takes_rows: bool,
    /// Whether it answers queries.
    pub answers: bool,
}

/// The calls.
pub mod path {
    macro_rules! paths {
        ($($name:ident = $path:literal;)*) => {
            $(#[doc = $path] pub const $name: &str = concat!("/basalt.Node/", $path);)*
        };
    }
    paths! {
        HELLO = "Hello";
        INSERT = "Insert";
        INSERT_BUNDLE = "InsertBundle";
        REPORT = "Report";
        SELECT = "Select";
        SHARDS = "Shards";
        LABEL_NAMES = "LabelNames";
        LABEL_VALUES = "LabelValues";
        SERIES_COUNT = "SeriesCount";
        VERSIONS = "Versions";
        FLUSH = "Flush";
        MERGE = "Merge";
        SNAPSHOT_CREATE = "SnapshotCreate";
        SNAPSHOT_LIST = "SnapshotList";
        SNAPSHOT_DELETE = "SnapshotDelete";
        CHECK_DELETE = "CheckDelete";
        DELETE_SERIES = "DeleteSeries";
        TENANTS = "Tenants";
        METADATA = "Metadata";
        CARDINALITY = "Cardinality";
        NAMES_ASKED = "NamesAsked";
        RESET_NAMES_ASKED = "ResetNamesAsked";
        OFFER = "Offer";
        COPY_PART = "CopyPart";
    }
}
