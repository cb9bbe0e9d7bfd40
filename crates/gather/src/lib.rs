//! Many storage nodes as one `Select` and one `Admin`.
//!
//! 1. A question goes to all nodes at once ([`ask`]). A node that is not there is missing; any other error is the answer's. For series each node is asked
//!    for its shards ([`assign`]), and again for what nobody answered ([`rounds`]).
//! 2. With what is missing the answer is whole if the others have everything that was acknowledged ([`coverage`]). Else it is
//!    partial, or refused if it must not be.
//! 3. Series come from each node in the one order of series and are merged as they come ([`merge`]); what several nodes have of one series is joined
//!    ([`join`]).
//! 4. Names, values, counts and statistics are united ([`select`], [`admin`]). A delete counts only when all nodes have done it.
//! 5. All tenants can be asked as one ([`tenants`]).
//!
//! Architecture invariant: knows nothing of expressions, of HTTP, or of how nodes talk to one another.

mod admin;
mod ask;
mod assign;
mod copies;
mod coverage;
mod gather;
mod join;
mod members;
mod merge;
mod names;
mod rounds;
mod select;
mod tenants;

pub use copies::{Copies, CopyGroup};
pub use gather::{Gather, GatherOptions, GatherStats};
pub use members::Members;
pub use tenants::AllTenants;
