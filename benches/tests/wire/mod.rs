//! The remote write message as its specification declares it, read by `prost`: an oracle for the writer.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// One decoded series message with its one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: Vec<(String, String)>,
    pub timestamp_ms: i64,
    pub value: f64,
    /// The message alone, without tag and length.
    pub message_bytes: usize,
}

impl Series {
    pub fn name(&self) -> &str {
        self.label("__name__").expect("a series has a name")
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

pub fn decode(body: &[u8]) -> Vec<Series> {
    let request = WriteRequest::decode(body).expect("the body is a remote write request");
    // prost writes what it read in the same canonical form (zeros left out), so equal bytes mean nothing was ignored.
    assert_eq!(request.encode_to_vec(), body, "the body is in canonical form");
    request
        .timeseries
        .into_iter()
        .map(|series| {
            let message_bytes = series.encoded_len();
            assert_eq!(series.samples.len(), 1, "one sample a series message");
            Series {
                labels: series.labels.into_iter().map(|label| (label.name, label.value)).collect(),
                timestamp_ms: series.samples[0].timestamp,
                value: series.samples[0].value,
                message_bytes,
            }
        })
        .collect()
}
