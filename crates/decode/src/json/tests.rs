//! The reader against `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read(json: &mut Json<'_>) -> Result<Value, Malformed> {
    Ok(match json.peek()? {
        Kind::Object => {
            let mut map = serde_json::Map::new();
            let mut members = json.object()?;
            while let Some(key) = json.key(&mut members)? {
                map.insert(key.into_owned(), read(json)?);
            }
            Value::Object(map)
        }
        Kind::Array => {
            let mut all = Vec::new();
            let mut members = json.array()?;
            while json.item(&mut members)? {
                all.push(read(json)?);
            }
            Value::Array(all)
        }
        Kind::String => Value::String(json.string()?.into_owned()),
        Kind::Number => json.float()?.into(),
        Kind::True => json.skip().map(|()| Value::Bool(true))?,
        Kind::False => json.skip().map(|()| Value::Bool(false))?,
        Kind::Null => json.null().map(|_| Value::Null)?,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        "\\PC{0,8}|[\"\\\\\n\t\u{1}\u{1f600}]{0,4}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z\"]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_read_as_serde_reads_them(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("JSON can be written");
        let mut json = Json::new(text.as_bytes()).expect("UTF-8");
        prop_assert_eq!(read(&mut json), Ok(value));
        prop_assert!(json.end().is_ok());
        let mut json = Json::new(text.as_bytes()).expect("UTF-8");
        prop_assert!(json.skip().is_ok() && json.is_at_end());
    }
}

#[test]
fn escapes_and_what_is_broken() {
    let read_string = |text: &str| Json::new(text.as_bytes()).and_then(|mut json| json.string().map(Cow::into_owned));
    assert_eq!(read_string(r#" "a\u00fc\ud83d\ude00\/\b\f\r" "#), Ok("aü😀/\u{8}\u{c}\r".into()));
    for broken in [r#""abc"#, r#""\ud83d""#, r#""\ud83dx""#, r#""\q""#, r#""\u12""#, "\"\n\"", "abc", "", "\"\\"] {
        assert!(read_string(broken).is_err(), "{broken}");
    }
    for broken in ["{", "[1", "[1 2]", "{\"a\" 1}", "{a:1}", "nul", "tru", "[1,,2]", "\u{0}"] {
        assert!(Json::new(broken.as_bytes()).and_then(|mut json| json.skip()).is_err(), "{broken}");
    }
    assert!(Json::new(b"\"\xff\"").is_err());
    let deep = "[".repeat(1_000_000);
    assert!(Json::new(deep.as_bytes()).and_then(|mut json| json.skip()).is_err());
    let number =
        |text: &str| Json::new(text.as_bytes()).and_then(|mut json| Ok((json.clone().integer()?, json.float()?)));
    assert_eq!(number("12.7e1"), Ok((127, 127.0)));
    assert!(number("1-2").is_err() && number("--").is_err());
    let text = |text: &str| Json::new(text.as_bytes()).and_then(|mut json| json.float_or_text());
    assert_eq!((text("\" 1.5 \""), text("2")), (Ok(1.5), Ok(2.0)));
    assert!(text("\"x\"").is_err());
}
