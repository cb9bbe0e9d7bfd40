//! Tenants that the labels of rows name, as VictoriaMetrics takes them at `/insert/multitenant/…`.
//!
//! 1. Rows of the tenant [`BY_LABELS`] are read, relabeling included, and go on in a batch for each tenant that their labels `vm_account_id` and
//!    `vm_project_id` name. Where these are missing or no numbers, 0 is meant.
//! 2. The two labels are taken away. What the labels of such rows mean is remembered under a scope of its own.
//! 3. What a sender tells about a metric goes to the tenants that get rows of it in the same batch, and to nobody else: names and help texts are data too.
//! 4. All other batches go on as they are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use model::{KeyBuilder, Sample, Tenant};
use storage_api::{Batch, BoxFuture, EncodedSeries, Encoding, Insert, InsertError, Inserted, Resolved};

/// Stands for the tenants that labels name; nobody else can be it.
pub const BY_LABELS: Tenant = Tenant { account: u32::MAX, project: u32::MAX };

const ACCOUNT: &str = "vm_account_id";
const PROJECT: &str = "vm_project_id";

/// See the module.
pub struct ByLabels {
    insert: Arc<dyn Insert>,
}

impl ByLabels {
    /// Stands before `insert`.
    pub fn new(insert: Arc<dyn Insert>) -> Self {
        Self { insert }
    }

    async fn split(&self, batch: Batch<'_>) -> Result<Inserted, InsertError> {
        let encoding = WithoutTenant::around(batch.encoding);
        let mut all = Inserted::default();
        for (tenant, rows) in rows_by_tenant(&batch)? {
            let metadata: Vec<_> = rows.told.iter().map(|place| batch.metadata[*place]).collect();
            let rows = Batch {
                tenant,
                encoding: &encoding,
                series: &rows.series,
                samples: &rows.samples,
                metadata: &metadata,
                ..batch
            };
            let inserted = self.insert.insert(rows).await?;
            all.samples += inserted.samples;
            all.dropped += inserted.dropped;
            all.refused.merge(&inserted.refused);
        }
        Ok(all)
    }
}

impl Insert for ByLabels {
    fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
        if batch.tenant != BY_LABELS {
            return self.insert.insert(batch);
        }
        Box::pin(self.split(batch))
    }
}

/// Rows of one tenant.
#[derive(Default)]
struct Rows {
    series: Vec<EncodedSeries>,
    samples: Vec<Sample>,
    /// Places in the batch of what is told about their metrics.
    told: BTreeSet<usize>,
}

/// What is told about metrics, by their names.
struct Told<'a>(HashMap<&'a str, usize>);

impl<'a> Told<'a> {
    fn by(batch: &Batch<'a>) -> Self {
        Self(batch.metadata.iter().enumerate().map(|(place, told)| (told.metric, place)).collect())
    }

    /// What is told about the metric of some labels, or about the family that it is of.
    fn about(&self, labels: &KeyBuilder) -> Option<usize> {
        let (_, name) = labels.iter().find(|(name, _)| !self.0.is_empty() && *name == "__name__")?;
        let family = || FAMILY_ENDS.iter().find_map(|end| self.0.get(name.strip_suffix(end)?));
        self.0.get(name).or_else(family).copied()
    }
}

/// What series of a family have behind its name.
const FAMILY_ENDS: [&str; 8] = ["_bucket", "_sum", "_count", "_total", "_created", "_gsum", "_gcount", "_info"];

fn rows_by_tenant(batch: &Batch<'_>) -> Result<BTreeMap<Tenant, Rows>, InsertError> {
    let outside = || InsertError::Invalid("a row's spans lie outside of the batch".into());
    let mut by_tenant = BTreeMap::<Tenant, Rows>::new();
    let mut labels = KeyBuilder::new();
    let told = Told::by(batch);
    let mut start = 0;
    for row in batch.series {
        let end = row.samples_end as usize;
        let samples = batch.samples.get(start..end).ok_or_else(outside)?;
        start = end;
        let (at, len) = (row.labels_start as usize, row.labels_len as usize);
        let bytes = batch.bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(outside)?;
        labels.clear();
        // What is refused or dropped is so in any tenant.
        let tenant = match batch.encoding.resolve(bytes, &mut labels) {
            Resolved::Keep => tenant_of(&labels),
            Resolved::Drop | Resolved::Refuse(_) => Tenant::DEFAULT,
        };
        if tenant == BY_LABELS {
            return Err(InsertError::Invalid(format!(
                "tenant {BY_LABELS}, which the labels of a row name, is reserved"
            )));
        }
        let rows = by_tenant.entry(tenant).or_default();
        rows.told.extend(told.about(&labels));
        rows.samples.extend_from_slice(samples);
        rows.series.push(EncodedSeries { samples_end: rows.samples.len() as u32, ..*row });
    }
    Ok(by_tenant)
}

fn tenant_of(labels: &KeyBuilder) -> Tenant {
    let number = |wanted: &str| {
        let label = labels.iter().find(|(name, _)| *name == wanted);
        label.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    Tenant::new(number(ACCOUNT), number(PROJECT))
}

/// Reads labels, and takes those away that name the tenant.
struct WithoutTenant<'a> {
    encoding: &'a dyn Encoding,
    scope: Vec<u8>,
}

impl<'a> WithoutTenant<'a> {
    fn around(encoding: &'a dyn Encoding) -> Self {
        let mut scope = b"by labels\0".to_vec();
        scope.extend_from_slice(encoding.scope());
        Self { encoding, scope }
    }
}

impl Encoding for WithoutTenant<'_> {
    fn scope(&self) -> &[u8] {
        &self.scope
    }

    fn generation(&self) -> u32 {
        self.encoding.generation()
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let mut all = KeyBuilder::new();
        let resolved = self.encoding.resolve(bytes, &mut all);
        all.iter()
            .filter(|(name, _)| *name != ACCOUNT && *name != PROJECT)
            .for_each(|(name, value)| labels.push(name, value));
        resolved
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::ValueKind;
    use storage_api::MetricMetadata;

    use super::*;

    /// Labels as `a=b c=d`.
    struct Words;

    impl Encoding for Words {
        fn scope(&self) -> &[u8] {
            b"words"
        }

        fn generation(&self) -> u32 {
            7
        }

        fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
            for word in std::str::from_utf8(bytes).expect("text").split_whitespace() {
                let (name, value) = word.split_once('=').expect("name=value");
                labels.push(name, value);
            }
            if labels.is_empty() { Resolved::Drop } else { Resolved::Keep }
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Insert for Seen {
        fn insert<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<Inserted, InsertError>> {
            Box::pin(async move {
                let mut inserted = Inserted::default();
                let mut start = 0;
                for row in batch.series {
                    let bytes = &batch.bytes[row.labels_start as usize..][..row.labels_len as usize];
                    let samples = &batch.samples[start..row.samples_end as usize];
                    start = row.samples_end as usize;
                    let mut labels = KeyBuilder::new();
                    if batch.encoding.resolve(bytes, &mut labels) == Resolved::Drop {
                        inserted.dropped += samples.len() as u64;
                        continue;
                    }
                    inserted.samples += samples.len() as u64;
                    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    let times: Vec<i64> = samples.iter().map(|sample| sample.time).collect();
                    let seen = format!("{} {} {times:?}", batch.tenant, labels.join(" "));
                    self.0.lock().expect("nobody panics").push(seen);
                }
                let told = batch.metadata.iter().map(|told| format!("{} about {}", batch.tenant, told.metric));
                self.0.lock().expect("nobody panics").extend(told);
                Ok(inserted)
            })
        }
    }

    #[tokio::test]
    async fn what_is_told_about_metrics_goes_to_the_tenants_that_have_rows_of_them() {
        let rows = ["__name__=up vm_account_id=1", "__name__=took_sum vm_account_id=2", "__name__=up vm_account_id=2"];
        let bytes = rows.concat();
        let (mut series, mut labels_start) = (Vec::new(), 0);
        for (row, samples_end) in rows.iter().zip(1..) {
            let labels_len = row.len() as u32;
            series.push(EncodedSeries { labels_start, labels_len, samples_end, kind: ValueKind::Float });
            labels_start += labels_len;
        }
        let about = |metric| MetricMetadata { metric, kind: "", help: "", unit: "" };
        let batch = Batch {
            tenant: BY_LABELS,
            encoding: &Words,
            bytes: bytes.as_bytes(),
            series: &series,
            samples: &[Sample { time: 1, value: 1.0 }; 3],
            metadata: &[about("took"), about("up"), about("secret"), about("u")],
        };
        let seen = Arc::new(Seen::default());
        ByLabels::new(seen.clone()).insert(batch).await.expect("taken");
        let mut seen = seen.0.lock().expect("nobody panics").clone();
        seen.retain(|seen| seen.contains("about"));
        assert_eq!(seen, ["1:0 about up", "2:0 about took", "2:0 about up"]);
    }

    #[tokio::test]
    async fn rows_go_to_the_tenants_that_their_labels_name() {
        let rows = [
            "a=1 vm_account_id=42",
            "a=2",
            "a=3 vm_account_id=7 vm_project_id=9",
            "a=4 vm_account_id=x",
            "",
            "a=5 vm_account_id=42",
        ];
        let (mut bytes, mut series, mut samples) = (String::new(), Vec::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            let labels_start = bytes.len() as u32;
            bytes.push_str(row);
            samples.push(Sample { time: number as i64, value: 1.0 });
            let (labels_len, samples_end) = (row.len() as u32, samples.len() as u32);
            series.push(EncodedSeries { labels_start, labels_len, samples_end, kind: ValueKind::Float });
        }
        let seen = Arc::new(Seen::default());
        let by_labels = ByLabels::new(seen.clone());
        let batch = Batch {
            tenant: BY_LABELS,
            encoding: &Words,
            bytes: bytes.as_bytes(),
            series: &series,
            samples: &samples,
            metadata: &[],
        };
        let inserted = by_labels.insert(batch).await.expect("taken");
        assert_eq!((inserted.samples, inserted.dropped), (5, 1));
        let want = ["0:0 a=2 [1]", "0:0 a=4 [3]", "7:9 a=3 [2]", "42:0 a=1 [0]", "42:0 a=5 [5]"];
        assert_eq!(*seen.0.lock().expect("nobody panics"), want);
        seen.0.lock().expect("nobody panics").clear();
        by_labels.insert(Batch { tenant: Tenant::new(3, 0), ..batch }).await.expect("taken");
        assert_eq!(seen.0.lock().expect("nobody panics")[0], "3:0 a=1 vm_account_id=42 [0]");
        let reserved = b"vm_account_id=4294967295 vm_project_id=4294967295";
        let row = EncodedSeries { labels_len: reserved.len() as u32, labels_start: 0, samples_end: 1, ..series[0] };
        let nobody = Batch { bytes: reserved, series: &[row], samples: &samples[..1], ..batch };
        assert!(matches!(by_labels.insert(nobody).await, Err(InsertError::Invalid(why)) if why.contains("reserved")));
        let broken = Batch { samples: &samples[..1], ..batch };
        assert!(matches!(by_labels.insert(broken).await, Err(InsertError::Invalid(_))));
    }
}
