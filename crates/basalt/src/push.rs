//! The process sends its own metrics to others (`-pushmetrics.url`): what `/metrics` says, in the same text, for networks where nobody may come to
//! scrape it.

use std::{io::Write, sync::Arc, time::Duration};

use basalt_http::{Asking, Client, Handler, HeaderMap, HeaderName, HeaderValue, Method, Secret, Stop, Url, header};
use flate2::{Compression, write::GzEncoder};

use crate::{
    files,
    flags::{Flags, UsageError},
    front::Front,
    self_scrape,
};

/// A server takes no longer for its answer, and has no more to say.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Sending more often makes no sense.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Where to, how often, and with what.
#[derive(Debug, Clone)]
pub struct Push {
    urls: Vec<Url>,
    interval: Duration,
    /// Labels as they stand in the text, with commas between.
    labels: String,
    headers: HeaderMap,
    pack: bool,
    metrics_key: Secret,
}

impl Push {
    /// Reads the flags.
    pub fn from_flags(flags: &Flags) -> Result<Self, UsageError> {
        let wrong = |flag: &str, why: &str| UsageError(format!("invalid value for -pushmetrics.{flag}: {why}"));
        let given = |flag| flags.list(flag).into_iter().filter(|text| !text.is_empty());
        let url = |text: String| Url::parse(&text).map_err(|why| wrong("url", &why.to_string()));
        let mut headers = HeaderMap::new();
        for text in given("pushmetrics.header") {
            let pair = text.split_once(':').and_then(|(name, value)| {
                Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
            });
            let (name, value) = pair.ok_or_else(|| wrong("header", "want Name:value"))?;
            headers.insert(name, value);
        }
        let label = |text: String| label(&text).ok_or_else(|| wrong("extraLabel", "want name=\"value\""));
        let labels: Vec<String> = given("pushmetrics.extraLabel").map(label).collect::<Result<_, _>>()?;
        Ok(Self {
            urls: given("pushmetrics.url").map(url).collect::<Result<_, _>>()?,
            interval: flags.duration("pushmetrics.interval").max(INTERVAL_MIN),
            labels: labels.join(","),
            headers,
            pack: !flags.switch("pushmetrics.disableCompression"),
            metrics_key: flags.secret("metricsAuthKey"),
        })
    }

    /// Whether there is anybody to send to.
    pub fn is_wanted(&self) -> bool {
        !self.urls.is_empty()
    }

    /// Sends until it is told to stop.
    pub async fn run<H: Handler>(self, front: Arc<Front<H>>, mut stop: Stop) {
        let client = files::client();
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.stopped() => return,
            }
            tokio::select! {
                () = self.send(&client, &*front) => {}
                () = stop.stopped() => return,
            }
        }
    }

    async fn send<H: Handler>(&self, client: &Client, front: &Front<H>) {
        let text = match self_scrape::metrics(front, &self.metrics_key.get()).await {
            Ok(text) => text,
            Err(why) => return log::warn!("cannot push the own metrics: {why}"),
        };
        let body = self.body(&String::from_utf8_lossy(&text));
        for url in &self.urls {
            let mut headers = self.headers.clone();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            if self.pack {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            let asking = Asking {
                method: Method::POST,
                headers,
                body: body.clone().into(),
                ..Asking::get(ANSWER_BYTES_MAX, ANSWER_MAX)
            };
            match client.ask(url, asking).await {
                Ok(answered) if answered.status.is_success() => {}
                Ok(answered) => log::warn!("cannot push the own metrics to {url}: the answer is {}", answered.status),
                Err(why) => log::warn!("cannot push the own metrics to {url}: {why}"),
            }
        }
    }

    fn body(&self, text: &str) -> Vec<u8> {
        let labelled = with_labels(text, &self.labels);
        if !self.pack {
            return labelled.into_bytes();
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(labelled.as_bytes()).expect("BUG: memory takes all");
        packer.finish().expect("BUG: memory takes all")
    }
}

/// A label as it stands in the text: `name="value"`, also if the quotes are missing.
fn label(text: &str) -> Option<String> {
    let (name, value) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let plain = !value.contains(['"', '\\', '\n']);
    (is_name && plain).then(|| format!("{name}=\"{value}\""))
}

/// Adds labels to each line of our own text.
fn with_labels(text: &str, labels: &str) -> String {
    if labels.is_empty() {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len() + text.lines().count() * (labels.len() + 2));
    for line in text.lines() {
        let name = line.find(['{', ' ']).unwrap_or(line.len());
        out.push_str(&line[..name]);
        out.push('{');
        out.push_str(labels);
        match line[name..].strip_prefix('{') {
            Some(rest) => {
                out.push(',');
                out.push_str(rest);
            }
            None => {
                out.push('}');
                out.push_str(&line[name..]);
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Invocation;

    fn push(line: &str) -> Result<Push, String> {
        let arguments = line.split_whitespace().map(str::to_string).collect();
        let flags = Invocation::read(arguments, &|_| None).map_err(|error| error.0)?.flags;
        Push::from_flags(&flags).map_err(|error| error.0)
    }

    #[test]
    fn labels_are_added_to_every_line() {
        let push = push("-pushmetrics.extraLabel='a=\"1\"' -pushmetrics.extraLabel=b=x:y").expect("good flags");
        assert_eq!(push.labels, "a=\"1\",b=\"x:y\"");
        let text = "m 1\nn{c=\"{ }\"} 2\n";
        assert_eq!(with_labels(text, &push.labels), "m{a=\"1\",b=\"x:y\"} 1\nn{a=\"1\",b=\"x:y\",c=\"{ }\"} 2\n");
        assert_eq!(with_labels(text, ""), text);
        assert!(!push.is_wanted());
    }

    #[test]
    fn wrong_flags_are_named_without_their_secrets() {
        for (line, flag) in [
            ("-pushmetrics.url=secret:word", "-pushmetrics.url"),
            ("-pushmetrics.header=word", "-pushmetrics.header"),
            ("-pushmetrics.extraLabel=word", "-pushmetrics.extraLabel"),
        ] {
            let why = push(line).expect_err("it is wrong");
            assert!(why.contains(flag) && !why.contains("word"), "{why}");
        }
        let good =
            push("-pushmetrics.url=http://a/b,https://c -pushmetrics.header=X:y -pushmetrics.disableCompression");
        let good = good.expect("good flags");
        assert!(good.is_wanted() && good.urls.len() == 2 && good.headers["x"] == "y" && !good.pack);
        assert_eq!(good.interval, Duration::from_secs(10));
    }
}
