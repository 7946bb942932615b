use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Value, JsonError> {
    parse(text.as_bytes(), &Limits::METADATA)
}

/// As signed metadata, but for NUL.
const NAMES: Limits = Limits { nul: false, ..Limits::METADATA };

fn canon(text: &str) -> Result<String, JsonError> {
    Ok(String::from_utf8(canonical(&read(text)?)?).unwrap())
}

#[test]
fn a_value_is_kept_as_it_came() {
    let value = read(" {\"b\": [1, -2.50e+3, true, null], \"a\": {\"\\u0061\\n\": \"\\ud83d\\ude00 é\"}} \n").unwrap();
    assert_eq!(to_text(&value), "{\"b\":[1,-2.50e+3,true,null],\"a\":{\"a\\n\":\"😀 é\"}}");
    assert_eq!(value.get("b").and_then(Value::as_array).map(<[Value]>::len), Some(4));
    assert_eq!(value.get("a").and_then(|a| a.get("a\n")).and_then(Value::as_str), Some("😀 é"));
    assert_eq!(read("7").unwrap().as_u64(), Some(7));
    assert_eq!(read("-7").unwrap().as_u64(), None);
    assert_eq!(read("-7").unwrap().as_i64(), Some(-7));
    assert_eq!(read("7.0").unwrap().as_u64(), None);
}

#[test]
fn a_key_twice_is_refused_at_any_depth_and_after_unescaping() {
    for text in [r#"{"a":1,"a":1}"#, r#"[{"b":0,"a":{"x":1,"\u0078":2}}]"#, r#"{"b":1,"a":2,"b":3}"#] {
        assert!(matches!(read(text), Err(JsonError::DuplicateKey { .. })), "{text}");
    }
    assert!(read(r#"[{"a":1},{"a":1}]"#).is_ok());
    assert!(read(r#"{"b":1,"a":2,"B":3}"#).is_ok());
}

#[test]
fn each_fault_has_its_name() {
    use JsonError::*;
    let cases: &[(&[u8], JsonError)] = &[
        (b"\xef\xbb\xbf{}", ByteOrderMark),
        (b"\"a\xff\"", NotUtf8 { offset: 2 }),
        (b"\"\xed\xa0\x80\"", NotUtf8 { offset: 1 }),
        (b"\"\xc0\x80\"", NotUtf8 { offset: 1 }),
        (br#""\ud800""#, LoneSurrogate { offset: 1 }),
        (br#""\ud800\ud800""#, LoneSurrogate { offset: 1 }),
        (br#""\ud800\u0041""#, LoneSurrogate { offset: 1 }),
        (br#""\udc00""#, LoneSurrogate { offset: 1 }),
        (br#""a\u0000""#, Nul { offset: 2 }),
        (b"\"a\0\"", Nul { offset: 2 }),
        (b"{} {}", TrailingData { offset: 3 }),
        (b"[1]]", TrailingData { offset: 3 }),
        (b"01", TrailingData { offset: 1 }),
        (b"", Syntax { offset: 0, expected: "value" }),
        (b"NaN", Syntax { offset: 0, expected: "value" }),
        (b"Infinity", Syntax { offset: 0, expected: "value" }),
        (b"nul", Syntax { offset: 0, expected: "value" }),
        (b"[1,]", Syntax { offset: 3, expected: "value" }),
        (b"[1 2]", Syntax { offset: 3, expected: "\",\" or \"]\"" }),
        (b"[", Syntax { offset: 1, expected: "value" }),
        (b"{\"a\":1,}", Syntax { offset: 7, expected: "key" }),
        (b"{a:1}", Syntax { offset: 1, expected: "key" }),
        (b"{\"a\" 1}", Syntax { offset: 5, expected: "\":\"" }),
        (b"{'a':1}", Syntax { offset: 1, expected: "key" }),
        (b"\"a", Syntax { offset: 2, expected: "closing quote" }),
        (b"\"a\nb\"", Syntax { offset: 2, expected: "escape for a control character" }),
        (br#""\x41""#, Syntax { offset: 2, expected: "escape" }),
        (br#""\u12g4""#, Syntax { offset: 5, expected: "hexadecimal digit" }),
        (br#""\u+123""#, Syntax { offset: 3, expected: "hexadecimal digit" }),
        (b"-", Syntax { offset: 1, expected: "digit" }),
        (b"+1", Syntax { offset: 0, expected: "value" }),
        (b".5", Syntax { offset: 0, expected: "value" }),
        (b"1.", Syntax { offset: 2, expected: "digit" }),
        (b"1e", Syntax { offset: 2, expected: "digit" }),
        (b"1e+", Syntax { offset: 3, expected: "digit" }),
        (b"// x\n1", Syntax { offset: 0, expected: "value" }),
        (b"\x0c1", Syntax { offset: 0, expected: "value" }),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(bytes, &NAMES).as_ref(), Err(error), "{}", String::from_utf8_lossy(bytes));
        if !matches!(error, Nul { .. }) {
            assert_eq!(parse(bytes, &Limits::METADATA).as_ref(), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }
}

/// What commands print is recorded as it is. JSON has no raw NUL, canonical JSON no other.
#[test]
fn a_nul_stands_where_the_limits_allow_it() {
    let text = r#"{"a\u0000":"\u0000b\u0000"}"#;
    let value = read(text).unwrap();
    assert_eq!(value, Value::Object(vec![("a\0".into(), Value::String("\0b\0".into()))]));
    assert_eq!(to_text(&value), text);
    let canonical = canonical(&value).unwrap();
    assert_eq!(canonical, b"{\"a\0\":\"\0b\0\"}");
    assert_eq!(streamed(text), Ok(Ok(canonical.clone())));
    assert_eq!(canonical_to_text(&canonical), text.as_bytes());
    assert_eq!(whole(Reader::of_canonical(&canonical, &Limits::METADATA).unwrap()), Ok(value.clone()));
    assert!(
        value.has_nul()
            && read(r#"[{"":["\u0000"]}]"#).unwrap().has_nul()
            && !read(r#"{"0":"\u0001"}"#).unwrap().has_nul()
    );

    assert_eq!(parse(text.as_bytes(), &NAMES), Err(JsonError::Nul { offset: 3 }));
    let raw = whole(Reader::of_canonical(&canonical, &NAMES).unwrap());
    assert_eq!(raw, Err(JsonError::Nul { offset: 3 }));
    let control = JsonError::Syntax { offset: 2, expected: "escape for a control character" };
    assert_eq!(parse(b"\"a\0\"", &Limits::METADATA), Err(control));
    for limits in [Limits::REVIEW, crate::oci::LIMITS, crate::cosign::LIMITS] {
        assert_eq!(parse(text.as_bytes(), &limits), Err(JsonError::Nul { offset: 3 }));
    }
}

#[test]
fn limits_hold_and_their_edges_pass() {
    let small = Limits { bytes_max: 20, depth_max: 3, nodes_max: 5, nul: false };
    let read = |text: &str| parse(text.as_bytes(), &small);
    assert!(read("[[[]]]").is_ok());
    assert_eq!(read("[[[[]]]]"), Err(JsonError::TooDeep { max: 3 }));
    assert!(read("[1,2,3,4]").is_ok());
    assert_eq!(read("[1,2,3,4,5]"), Err(JsonError::TooManyNodes { max: 5 }));
    assert!(read(&" ".repeat(19).replacen(' ', "1", 1)).is_ok());
    assert_eq!(read(&" ".repeat(21)), Err(JsonError::TooLarge { found: 21, max: 20 }));
    let digits = "1".repeat(128);
    assert!(super::parse(digits.as_bytes(), &Limits::METADATA).is_ok());
    let more = JsonError::NumberTooLong { offset: 1, max: 128 };
    assert_eq!(super::parse(format!("[{digits}1]").as_bytes(), &Limits::METADATA), Err(more));
    let deep = "[".repeat(1_000_000);
    assert_eq!(super::parse(deep.as_bytes(), &Limits::METADATA), Err(JsonError::TooDeep { max: 64 }));
}

#[test]
fn canonical_form_is_that_of_the_reference() {
    // in-toto §1.2: control characters, DEL and non-ASCII stand raw; order by code point, not by UTF-16 unit.
    assert_eq!(
        canon(r#"{"b":1,"a":[true,null,"x\"\\\/\n\t\u0001\u007f"]}"#).unwrap(),
        "{\"a\":[true,null,\"x\\\"\\\\/\n\t\u{1}\u{7f}\"],\"b\":1}"
    );
    assert_eq!(
        canon("{\"\u{10000}\":1,\"\u{ffff}\":2,\"\u{e9}\":3,\"e\u{301}\":4}").unwrap(),
        "{\"e\u{301}\":4,\"\u{e9}\":3,\"\u{ffff}\":2,\"\u{10000}\":1}"
    );
    assert_eq!(canon(r#"{"a":1,"B":2,"":3,"aa":4}"#).unwrap(), r#"{"":3,"B":2,"a":1,"aa":4}"#);
    assert_eq!(canon("[123456789012345678901234567890,-1,0]").unwrap(), "[123456789012345678901234567890,-1,0]");
}

#[test]
fn only_integers_have_a_canonical_form() {
    for text in ["1.0", "1e2", "-0", "0.0", "-0.0", "1E2"] {
        assert_eq!(canon(text), Err(JsonError::NotCanonical { number: text.into() }), "{text}");
    }
    let twice = Value::Object(vec![("a".into(), Value::Null), ("a".into(), Value::Null)]);
    assert_eq!(canonical(&twice), Err(JsonError::DuplicateKey { key: "a".into() }));
}

#[test]
fn numbers_that_fit_no_number_are_printed_as_text() {
    let there = |text: &str| serde_json::Value::from(&read(text).unwrap()).to_string();
    assert_eq!(there("[18446744073709551615,-1,2.5,1e2]"), "[18446744073709551615,-1,2.5,100.0]");
    assert_eq!(there("[18446744073709551616,1e999]"), "[\"18446744073709551616\",\"1e999\"]");
    assert_eq!(to_text(&Value::from(&serde_json::json!({"a": [1, 1.5, "x", null]}))), r#"{"a":[1,1.5,"x",null]}"#);
}

fn values() -> impl Strategy<Value = Value> {
    let text = "[\u{0}-\u{d7ff}\u{e000}-\u{10ffff}]{0,6}|[ -~]{0,8}|[\"\\\\\n\t\u{0}/a]{0,6}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?".prop_map(Value::Number),
        any::<i64>().prop_map(|n| Value::Number(n.to_string())),
        text.prop_map(Value::String),
        "[0-9a-f]{64}|[0-9a-f\"\\\\\u{1}\u{e9}]{60,66}"
            .prop_map(|hex| Value::Object(vec![("sha256".into(), Value::String(hex))])),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::hash_map(text, inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A second canonical writer, written as slowly and plainly as can be.
fn slow_canonical(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) if n == "-0" || n.contains(['.', 'e', 'E']) => return None,
        Value::Number(n) => n.clone(),
        Value::String(s) => format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Array(a) => format!("[{}]", a.iter().map(slow_canonical).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Object(m) => {
            let sorted: std::collections::BTreeMap<Vec<u32>, _> =
                m.iter().map(|(k, v)| (k.chars().map(u32::from).collect(), (k, v))).collect();
            let member = |(k, v): &(&String, &Value)| {
                Some(format!("{}:{}", slow_canonical(&Value::String(k.to_string()))?, slow_canonical(v)?))
            };
            format!("{{{}}}", sorted.values().map(member).collect::<Option<Vec<_>>>()?.join(","))
        }
    })
}

/// What is written while reading. The outer error is the reader's.
fn streamed(text: &str) -> Result<Result<Vec<u8>, JsonError>, JsonError> {
    let mut reader = Reader::new(text.as_bytes(), &Limits::METADATA)?;
    let token = reader.token()?;
    let canonical = super::canonical::rest(&mut reader, token)?;
    reader.end()?;
    Ok(canonical)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(a) => Value::Array(a.into_iter().map(sorted).collect()),
        Value::Object(m) => {
            let mut m: Vec<_> = m.into_iter().map(|(key, member)| (key, sorted(member))).collect();
            m.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(m)
        }
        other => other,
    }
}

#[test]
fn a_hash_object_in_one_step_is_as_strict_as_in_many() {
    let hex = "0f".repeat(32);
    let read = |text: &str, limits: &Limits| {
        let mut reader = Reader::new(text.as_bytes(), limits)?;
        let found = reader.sha256().map(str::to_owned);
        if found.is_none() {
            reader.skip()?;
        }
        reader.end()?;
        Ok::<_, JsonError>(found)
    };
    for text in [format!(r#" {{"sha256":"{hex}"}} "#), format!(r#"{{"sha256": "{hex}"}}"#)] {
        assert_eq!(read(&text, &Limits::METADATA), Ok(Some(hex.clone())), "{text}");
    }
    let mut others = vec![
        format!(r#"{{"sha256":"{hex}","a":1}}"#),
        format!(r#"{{"sha256" :"{hex}"}}"#),
        format!(r#"{{"sha512":"{hex}"}}"#),
        format!(r#"{{"sha256":"{hex}0"}}"#),
        format!(r#"{{"sha256":"{}"}}"#, &hex[1..]),
        format!(r#"{{"sha256":"\u0030{}"}}"#, &hex[6..]),
    ];
    others.push(others[5].replace("\\u0030", "\\u00300"));
    for text in others {
        assert_eq!(read(&text, &Limits::METADATA), Ok(None), "{text}");
    }
    for (text, expected) in [
        (format!(r#"{{"sha256":"{hex}","sha256":"{hex}"}}"#), JsonError::DuplicateKey { key: "sha256".into() }),
        (
            format!("{{\"sha256\":\"\0{}\"}}", &hex[1..]),
            JsonError::Syntax { offset: 11, expected: "escape for a control character" },
        ),
        (format!(r#"{{"sha256":"{hex}""#), JsonError::Syntax { offset: 76, expected: "\",\" or \"}\"" }),
    ] {
        assert_eq!(read(&text, &Limits::METADATA), Err(expected), "{text}");
    }
    let text = format!(r#"{{"sha256":"{hex}"}}"#);
    assert_eq!(read(&text, &Limits { depth_max: 0, ..Limits::METADATA }), Err(JsonError::TooDeep { max: 0 }));
    assert_eq!(read(&text, &Limits { nodes_max: 1, ..Limits::METADATA }), Err(JsonError::TooManyNodes { max: 1 }));
    assert!(read(&text, &Limits { depth_max: 1, nodes_max: 2, ..Limits::METADATA }).is_ok());
}

#[test]
fn canonical_form_without_a_tree_is_ordered_and_refused_alike() {
    let text = r#"{"b":[{"d":1,"c":{"y":"\n","x":-3}},{}],"a\u0062":null,"a":{"sha256":"x"}, "":{"z":[]}}"#;
    assert_eq!(streamed(text).unwrap().unwrap(), canonical(&read(text).unwrap()).unwrap());
    assert_eq!(streamed("[1.0,2]").unwrap(), Err(JsonError::NotCanonical { number: "1.0".into() }));
    for text in [r#"{"b":1,"a":{"x":1,"\u0078":2}}"#, "[1,]", "[1.0", "{\"a\":-0}}", "\"\u{0}\""] {
        assert_eq!(streamed(text).err(), parse(text.as_bytes(), &Limits::METADATA).err(), "{text}");
    }
}

/// Large integers and floats are kept differently there.
fn without_numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as V;
    match value {
        V::Array(a) => a.into_iter().map(without_numbers).collect(),
        V::Object(m) => m.into_iter().map(|(k, v)| (k, without_numbers(v))).collect(),
        // A number that fits no number is a string of its digits with us.
        V::String(s) if s.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => V::Null,
        V::Number(_) => V::Null,
        other => other,
    }
}

proptest! {
    #[test]
    fn text_reads_back_as_the_same_value(value in values()) {
        prop_assert_eq!(read(&to_text(&value)), Ok(value));
    }

    #[test]
    fn canonical_form_is_that_of_a_second_writer(value in values()) {
        let ours = canonical(&value).ok().map(|bytes| String::from_utf8(bytes).unwrap());
        prop_assert_eq!(ours, slow_canonical(&value));
    }

    #[test]
    fn canonical_form_needs_no_tree(value in values()) {
        let text = to_text(&value);
        prop_assert_eq!(streamed(&text).unwrap().ok(), canonical(&value).ok());
        prop_assert_eq!(streamed(&text.replace(',', " ,").replace(':', ": ")).unwrap().is_ok(), canonical(&value).is_ok());
    }

    #[test]
    fn canonical_form_reads_back_as_the_same_value(value in values()) {
        let Ok(bytes) = canonical(&value) else { return Ok(()) };
        let read = whole(Reader::of_canonical(&bytes, &Limits::METADATA)?)?;
        prop_assert_eq!(parse(&canonical_to_text(&bytes), &Limits::METADATA)?, read.clone());
        prop_assert_eq!(canonical(&read), Ok(bytes));
        prop_assert_eq!(sorted(read), sorted(value));
    }

    #[test]
    fn what_we_accept_a_lenient_reader_reads_the_same(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+\\- ]{0,24}") {
        if let Ok(value) = read(&text) {
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(theirs) => prop_assert_eq!(without_numbers(theirs), without_numbers((&value).into())),
                Err(_) => prop_assert!(text.contains(['e', 'E']), "only a float out of range is refused there: {}", text),
            }
        }
    }
}
