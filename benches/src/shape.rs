//! What traffic is asked for: the knobs of one seeded run.

/// 2026-01-05T00:00:00Z, a Monday: a day's traffic stays inside one UTC day, month and partition.
pub const START_MS_DEFAULT: i64 = 1_767_571_200_000;

/// The usual scrape interval of Prometheus on Kubernetes.
pub const STEP_MS_DEFAULT: i64 = 15_000;

/// How far Prometheus' scrapes stray from their schedule on a machine that is not overloaded.
pub const JITTER_MS_DEFAULT: i64 = 5;

/// Samples in a request: Prometheus' `max_samples_per_send` default since 2.38.
pub const SAMPLES_PER_REQUEST_DEFAULT: usize = 2_000;

/// Series of one generator: series numbers are 32 bits wide.
pub const SERIES_MAX: usize = 1 << 28;

/// One seeded run of traffic. Equal shapes give equal bytes.
///
/// ```
/// use traffic::{Shape, Traffic};
/// let traffic = Traffic::new(Shape { series: 1_000, ..Shape::default() });
/// assert_eq!(traffic.series_count(), 1_000);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Everything random comes from here.
    pub seed: u64,
    /// Series that exist at any one moment (churn replaces, it does not add).
    pub series: usize,
    /// Time of scrape 0 of the first target.
    pub start_ms: i64,
    /// Time between two scrapes of one target.
    pub step_ms: i64,
    /// Each scrape strays by up to this much from its schedule, both ways; 0 is exactly aligned.
    pub jitter_ms: i64,
    /// Targets are spread over this much of the step, as Prometheus does it; 0 scrapes all at once.
    pub spread_ms: i64,
    /// Share of target scrapes that fail (in runs of 1 to 4); half as many times a single pod, device or peer is
    /// missing from one scrape that went well.
    pub gaps: f64,
    /// Pods that are replaced, with all their series.
    pub churn: Option<Churn>,
    /// Share of samples that are delivered late, after samples of up to
    /// [`LATE_SCRAPES_MAX`](crate::LATE_SCRAPES_MAX) later scrapes.
    pub late: f64,
    /// Whether a series that vanishes gets Prometheus' stale marker.
    pub stale_markers: bool,
    /// Samples in a full request.
    pub samples_per_request: usize,
}

/// Every pod is replaced `replacements` times within `scrapes` scrapes, each at its own moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Churn {
    /// How many times each pod is replaced …
    pub replacements: u32,
    /// … in how many scrapes.
    pub scrapes: u32,
}

impl Default for Shape {
    /// Ten thousand series, jittered, no gaps, no churn, in order.
    fn default() -> Self {
        Self {
            seed: 1,
            series: 10_000,
            start_ms: START_MS_DEFAULT,
            step_ms: STEP_MS_DEFAULT,
            jitter_ms: JITTER_MS_DEFAULT,
            spread_ms: STEP_MS_DEFAULT,
            gaps: 0.0,
            churn: None,
            late: 0.0,
            stale_markers: true,
            samples_per_request: SAMPLES_PER_REQUEST_DEFAULT,
        }
    }
}

impl Shape {
    /// The default shape, scraped exactly on schedule.
    pub fn aligned() -> Self {
        Self { jitter_ms: 0, ..Self::default() }
    }

    /// Panics on a shape that means nothing: shapes are written by the authors of measurements, not by outsiders.
    pub(crate) fn check(&self) {
        assert!((1..=SERIES_MAX).contains(&self.series), "series must be within 1 and {SERIES_MAX}");
        assert!(self.step_ms > 0, "step must be positive");
        assert!(self.jitter_ms >= 0 && self.jitter_ms * 2 < self.step_ms, "jitter must stay below half a step");
        assert!((0..=self.step_ms).contains(&self.spread_ms), "spread must be within 0 and the step");
        assert!((0.0..=0.5).contains(&self.gaps), "gaps must be within 0 and 0.5");
        assert!((0.0..=1.0).contains(&self.late), "late must be within 0 and 1");
        assert!(self.samples_per_request > 0, "a request holds at least one sample");
        if let Some(churn) = self.churn {
            assert!(churn.scrapes > 0 && churn.replacements <= churn.scrapes, "a pod lives for at least one scrape");
        }
    }
}
