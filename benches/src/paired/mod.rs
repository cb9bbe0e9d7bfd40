//! The paired comparison of ingestion: contestants get the same recorded bytes, turn by turn, on the same machine.
//!
//! 1. The traffic is recorded once: series seen for the first time, the same series later, series under churn.
//! 2. A round runs every contestant over all phases, each in a fresh folder; the order turns from round to round, so that
//!    no contestant always comes after the same other. The rival takes part twice: its ratio to itself is the noise.
//! 3. A phase ends when the server has been told to flush and its background work has ended; its CPU until then counts,
//!    so that nobody gains by putting work off.
//! 4. Ratios are made within a round and their median is reported: such machines vary by a third from hour to hour.

mod report;
mod run;

use std::io;
use std::path::{Path, PathBuf};

use crate::recording::{self, Totals};
use crate::server::Patience;
use crate::{Churn, Shape, Traffic};

pub use report::table;
pub use run::{Footprint, Outcome, Phase, PhaseResult, run};

/// Every pod is replaced so many times during the churn phase.
const CHURN_REPLACEMENTS: u32 = 4;
/// The churn phase has series of its own.
const CHURN_SEED_OFFSET: u64 = 1_000;

/// How large the comparison is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Series at any one moment.
    pub series: usize,
    /// Scrapes in each phase.
    pub scrapes: u32,
    /// Rounds; each gives one ratio.
    pub pairs: usize,
    /// Keep-alive connections of the sender.
    pub connections: usize,
    /// Samples in a full request.
    pub samples_per_request: usize,
    /// Where the traffic comes from.
    pub seed: u64,
    /// How the end of background work is waited for.
    pub patience: Patience,
}

impl Default for Plan {
    /// The sizes of the design's table.
    fn default() -> Self {
        Self {
            series: 200_000,
            scrapes: 60,
            pairs: 5,
            connections: 2,
            samples_per_request: 2_000,
            seed: 1,
            patience: Patience::default(),
        }
    }
}

impl Plan {
    /// The traffic that is sent.
    pub fn shape(&self) -> Shape {
        Shape {
            seed: self.seed,
            series: self.series,
            samples_per_request: self.samples_per_request,
            ..Shape::default()
        }
    }
}

/// A server that takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// How it is called in the table.
    pub name: String,
    /// How it is started, see [`Server::start`](crate::server::Server::start).
    pub command: String,
}

impl Contestant {
    /// Called as its program.
    pub fn of_command(command: String) -> Self {
        let program = command.split_whitespace().next().unwrap_or_default();
        let name = Path::new(program).file_name().map_or_else(|| program.into(), |name| name.to_string_lossy());
        Self { name: name.into_owned(), command }
    }
}

/// The recorded bodies of all phases.
#[derive(Debug)]
pub struct Recordings {
    /// Series that the server has never seen.
    pub new: PathBuf,
    /// The same series, following in time.
    pub known: PathBuf,
    /// Series under churn.
    pub churn: PathBuf,
    /// What is in them together.
    pub totals: [Totals; 3],
}

/// Records what the plan asks for into `folder`.
pub fn record(plan: &Plan, folder: &Path) -> io::Result<Recordings> {
    let scrapes = u64::from(plan.scrapes);
    let shape = plan.shape();
    let churn = Churn { replacements: CHURN_REPLACEMENTS.min(plan.scrapes), scrapes: plan.scrapes };
    let churning = Shape { seed: plan.seed + CHURN_SEED_OFFSET, churn: Some(churn), ..shape.clone() };
    let paths = ["new", "known", "churn"].map(|name| folder.join(name).with_extension("bodies"));
    let mut steady = Traffic::new(shape);
    let totals = [
        recording::record(&mut steady, 0..scrapes, &paths[0])?,
        recording::record(&mut steady, scrapes..2 * scrapes, &paths[1])?,
        recording::record(&mut Traffic::new(churning), 0..scrapes, &paths[2])?,
    ];
    let [new, known, churn] = paths;
    Ok(Recordings { new, known, churn, totals })
}
