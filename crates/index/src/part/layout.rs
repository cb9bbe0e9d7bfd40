//! The order of the bytes of a part's index; docs/formats/index.md draws it.

/// The last bytes of an index.
pub(super) const MAGIC: [u8; 8] = *b"bslt-idx";
/// Raised when older programs could not read what newer ones write.
pub(super) const VERSION: u16 = 1;
/// Directory length, checksum, version, magic.
pub(super) const TRAILER_BYTES: usize = 4 + 4 + 2 + MAGIC.len();
/// The body has one checksum for each piece of this length, so that a search reads and checks only what it needs.
pub(super) const CHUNK_BYTES: usize = 16 << 10;
/// Bytes of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// Values in a block of a dictionary: one whole value, the others as what differs from the one before.
pub(super) const VALUES_PER_BLOCK: u32 = 32;
/// Origins in a block: the first whole, the others as what differs from the one before.
pub(super) const ORIGINS_PER_BLOCK: u32 = 32;
/// Entries of a list between two places where reading can begin.
pub(super) const ENTRIES_PER_BLOCK: u32 = 128;

/// Bytes of an entry of [`Section::TermBlocks`]: where values and where postings begin.
pub(super) const TERM_BLOCK_BYTES: usize = 16;
/// Bytes of an entry of [`Section::Runs`].
pub(super) const RUN_BYTES: usize = 16;
/// Bytes of an entry of [`Section::Tenants`].
pub(super) const TENANT_BYTES: usize = 16;
/// Bytes of a series id.
pub(super) const ID_BYTES: usize = 16;
/// Bytes of an entry of a list's block directory: first origin and place.
pub(super) const LIST_BLOCK_BYTES: usize = 8;

/// The sections, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Series ids by number.
    Ids,
    /// Blocks of front-coded values, by name and value.
    Values,
    /// Postings of terms in blocks of the same terms, then those of names: the origins that have them.
    Postings,
    /// Where the blocks of the two begin.
    TermBlocks,
    /// Label names, sorted, with the place of their values and of their own postings.
    Names,
    /// The distinct lists of label names of origins.
    Shapes,
    /// Where each shape begins.
    ShapeOffsets,
    /// Blocks of origins: shape and values.
    Origins,
    /// Where the blocks begin.
    OriginBlocks,
    /// The distinct lists of (origin, bound) that families have.
    Lists,
    /// Where each list begins.
    ListOffsets,
    /// Families by key: metric name, first series, list.
    Runs,
    /// Tenants, with first family and first series.
    Tenants,
}

impl Section {
    /// How many there are.
    pub(super) const COUNT: usize = 13;

    /// As it reads in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ids => "series ids",
            Self::Names => "label names",
            Self::Values => "label values",
            Self::Postings => "postings",
            Self::TermBlocks => "term blocks",
            Self::Shapes => "shapes",
            Self::ShapeOffsets => "shape offsets",
            Self::Origins => "origins",
            Self::OriginBlocks => "origin blocks",
            Self::Lists => "series lists",
            Self::ListOffsets => "list offsets",
            Self::Runs => "families",
            Self::Tenants => "tenants",
        }
    }
}

/// How a posting list is stored: the low two bits of its header.
pub(super) mod posting {
    /// One origin: the header's other bits.
    pub(crate) const ONE: u64 = 0;
    /// Consecutive origins: the header's other bits are the first, a number says how many.
    pub(crate) const RANGE: u64 = 1;
    /// Differences: the header's other bits are the bytes that follow; in them how many, then the first and each one's distance to the next.
    pub(crate) const DELTAS: u64 = 2;
    /// A roaring bitmap: the header's other bits are the bytes that follow; in them how many, then the bitmap in its portable form.
    pub(crate) const ROARING: u64 = 3;
}
