use super::*;
use crate::json;

mod links;

const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn statement(kind: &str, subject: &str) -> Result<Statement, StatementError> {
    let text = format!(r#"{{"_type":"{kind}","subject":{subject},"predicateType":"https://example.com/p","later":1}}"#);
    Statement::from_value(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap())
}

#[test]
fn both_versions_are_read() {
    for kind in TYPES {
        let read = statement(kind, &format!(r#"[{{"name":"api","digest":{{"sha256":"{HEX}"}}}}]"#)).unwrap();
        assert_eq!(read.subject[0].name.as_deref(), Some("api"));
    }
    assert_eq!(statement("https://in-toto.io/Statement/v2", "[]"), Err(StatementError::NotAStatement));
}

#[test]
fn a_statement_is_about_something() {
    assert_eq!(statement(TYPES[1], "[]"), Err(StatementError::NoSubject));
    assert_eq!(statement(TYPES[1], r#"[{"name":"api","digest":{}}]"#), Err(StatementError::Subject(0)));
    assert_eq!(statement(TYPES[1], r#"[{"digest":{"sha256":"ab"}}]"#), Err(StatementError::Subject(0)));
}
