//! Prometheus remote write, versions 1 and 2, from the request to the answer.
//!
//! The steps stand at the crate's head. The content type names the version; a message that is not known is answered 415, upon which senders fall
//! back to version 1. Of version 2 the answer says how much was written.

use basalt_http::{Request, Response, StatusCode, empty, header, plain};
use decode::{
    Packing,
    remote_write::RemoteWriteLabels,
    rows::{Duplicates, ExtraLabels, PairLabels},
};
use storage_api::{Batch, Encoding};

use crate::{
    Entered, Receiver,
    answer::name_written,
    body::{check_method, extra_labels},
    rejection::Rejection,
    session::Session,
    workspace::Workspace,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Receiver {
    pub(crate) async fn remote_write(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        let params = request.query_params();
        if params.get("get_vm_proto_version").is_some() {
            // VictoriaMetrics' agent asks whether it may send zstd.
            return Ok(plain(StatusCode::OK, "1"));
        }
        check_method(&request)?;
        let version = version(&request)?;
        let packing = packing(&request)?;
        let extra = extra_labels(&params)?;
        let (packed, held) = self.read_body(&mut request, self.body_bytes_max).await?;

        let own = (!extra.is_empty()).then(|| self.remote_write_labels_with(version, extra));
        let encoding = own.as_deref().unwrap_or(match version {
            Version::One => &self.labels.remote_write,
            Version::Two => &self.labels.remote_write_2,
        });
        let mut session = Session::new(self, tenant, door.kind(), encoding);
        session.enter(packed.len()).await?;
        let mut workspace = self.pool.workspace();
        let workspace = &mut *workspace;
        workspace.body.unpack(&packed, packing, self.body_bytes_max)?;
        drop((packed, held));
        session.count_bytes(workspace.body.bytes().len() as u64);
        match version {
            Version::One => session.insert_version_1(workspace).await?,
            Version::Two => session.insert_version_2(workspace).await?,
        }
        let taken = session.end();
        let response = self.name_refused(&taken, door.protocol(), empty(StatusCode::NO_CONTENT));
        Ok(match version {
            Version::One => response,
            Version::Two => name_written(taken.inserted.samples, response),
        })
    }

    fn remote_write_labels_with(&self, version: Version, extra: ExtraLabels) -> Box<dyn Encoding + Send> {
        let limits = self.labels.limits;
        match version {
            Version::One => Box::new(RemoteWriteLabels::new(limits, 0, extra)),
            Version::Two => Box::new(PairLabels::new(limits, 0, Duplicates::Refuse, extra)),
        }
    }
}

impl Session<'_> {
    async fn insert_version_1(&mut self, workspace: &mut Workspace) -> Result<(), Rejection> {
        workspace.rows.decode(&mut workspace.body).map_err(|error| self.broken(error))?;
        self.refuse_all(workspace.rows.refused());
        let metadata = workspace.rows.metadata(&workspace.body);
        let batch = Batch {
            tenant: self.tenant(),
            encoding: self.encoding(),
            bytes: workspace.body.bytes(),
            series: workspace.rows.series(),
            samples: workspace.rows.samples(),
            metadata: &metadata,
        };
        Ok(self.insert(batch).await?)
    }

    async fn insert_version_2(&mut self, workspace: &mut Workspace) -> Result<(), Rejection> {
        let Workspace { body, pairs, v2, .. } = workspace;
        let read = v2.read(body.bytes(), pairs, self).await;
        read.map_err(|error| self.rejection(error))?;
        self.refuse_all(v2.refused());
        Ok(self.insert_rows(pairs).await?)
    }
}

/// The packing that the headers name; remote write is snappy without a word.
fn packing(request: &Request) -> Result<Packing, Rejection> {
    let encoding = request.header(header::CONTENT_ENCODING).unwrap_or("");
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "snappy" => Ok(Packing::Snappy),
        "zstd" => Ok(Packing::Zstd),
        other => Err(Rejection::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content encoding {other:?} is not supported for remote write; want snappy or zstd"),
        )),
    }
}

/// The version that the content type names, as in `application/x-protobuf;proto=io.prometheus.write.v2.Request`.
fn version(request: &Request) -> Result<Version, Rejection> {
    let content_type = request.header(header::CONTENT_TYPE).unwrap_or("");
    let proto = content_type.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("proto="));
    match proto.map(|proto| proto.trim_matches('"')) {
        None | Some("prometheus.WriteRequest") => Ok(Version::One),
        Some("io.prometheus.write.v2.Request") => Ok(Version::Two),
        Some(other) => {
            let why = format!(
                "message {other:?} is not supported; want prometheus.WriteRequest or io.prometheus.write.v2.Request"
            );
            Err(Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
    }
}

#[cfg(test)]
mod tests;
