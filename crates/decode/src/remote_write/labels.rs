//! What the label bytes of a remote-write series mean.

use model::KeyBuilder;
use storage_api::{Encoding, Refusal, Resolved};

use crate::{
    LabelLimits, Malformed,
    proto::{BYTES, Fields},
    rows::ExtraLabels,
};

const LABEL: u32 = 1;
const NAME: u32 = 1;
const VALUE: u32 = 2;

/// Parses label bytes: a run of `Label` messages, each with its key and length.
#[derive(Debug, Clone)]
pub struct RemoteWriteLabels {
    limits: LabelLimits,
    generation: u32,
    extra: ExtraLabels,
    scope: Vec<u8>,
}

impl RemoteWriteLabels {
    /// Labels under limits; `generation` is the number of the configuration that set them.
    pub fn new(limits: LabelLimits, generation: u32, extra: ExtraLabels) -> Self {
        let scope = extra.scope("prometheus remote write");
        Self { limits, generation, extra, scope }
    }
}

impl Encoding for RemoteWriteLabels {
    fn scope(&self) -> &[u8] {
        &self.scope
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let mut fields = Fields::new(bytes, 0, bytes.len());
        while !fields.is_at_end() {
            let Ok((name, value)) = label(bytes, &mut fields) else {
                return Resolved::Refuse(Refusal::InvalidLabels);
            };
            if self.extra.replaces(name) {
                continue;
            }
            if let Err(reason) = self.limits.push(labels, name, value) {
                return Resolved::Refuse(reason);
            }
        }
        match self.extra.push(&self.limits, labels) {
            Ok(()) => self.limits.finish(labels),
            Err(reason) => Resolved::Refuse(reason),
        }
    }
}

fn label<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let key = fields.key()?;
    fields.expect(key, BYTES)?;
    debug_assert_eq!(key.field, LABEL, "BUG: the walk lets only labels through");
    let (start, end) = fields.extent()?;
    let mut inner = Fields::new(bytes, start, end);
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    while !inner.is_at_end() {
        let key = inner.key()?;
        match key.field {
            NAME | VALUE => {
                inner.expect(key, BYTES)?;
                let text = inner.bytes()?;
                *(if key.field == NAME { &mut name } else { &mut value }) = text;
            }
            _ => inner.skip(key)?,
        }
    }
    Ok((name, value))
}
