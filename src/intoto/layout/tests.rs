use super::*;
use crate::{intoto::rule::RuleError, json};

/// A layout of one step with an unusable key beside what the case says. What needs real keys is in `tests/vectors/`.
fn layout(steps: &str, inspect: &str, more: &str) -> Result<Layout, LayoutError> {
    let text = format!(
        r#"{{"_type":"layout","expires":"2030-01-31T12:00:00Z","readme":"","keys":{{"k":{{"keytype":"sigstore-oidc","scheme":"Fulcio","keyval":{{"public":""}}}}}},"steps":[{steps}],"inspect":[{inspect}]{more}}}"#
    );
    Layout::from_value(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap())
}

fn inspection(name: &str, rule: &str) -> String {
    format!(
        r#"{{"_type":"inspection","name":"{name}","run":["x"],"expected_materials":[{rule}],"expected_products":[]}}"#
    )
}

fn step(name: &str, threshold: &str, pubkeys: &str, rule: &str) -> String {
    format!(
        r#"{{"_type":"step","name":"{name}","threshold":{threshold},"pubkeys":[{pubkeys}],"expected_command":[],"expected_materials":[{rule}],"expected_products":[]}}"#
    )
}

#[test]
fn a_step_that_needs_a_key_we_cannot_use_is_unsupported() {
    let error = layout(&step("build", "1", r#""k""#, ""), "", "").unwrap_err();
    assert!(matches!(&error, LayoutError::KeyNeeded { step, key, .. } if step == "build" && key == "k"), "{error}");
    assert_eq!(error.reason(), Reason::LayoutUnsupported);
}

#[test]
fn thresholds_have_bounds() {
    for found in ["0", "-1", "2", "1.0", "4294967297"] {
        let error = layout(&step("build", found, r#""k""#, ""), "", "").unwrap_err();
        assert_eq!(error, LayoutError::Threshold { step: "build".into(), found: found.into(), keys: 1 });
    }
    let error = layout(&step("build", "1", r#""j""#, ""), "", "").unwrap_err();
    assert_eq!(error, LayoutError::UnknownPubkey { step: "build".into(), key: "j".into() });
}

#[test]
fn a_layout_without_steps_asks_for_nothing() {
    assert_eq!(layout("", "", ""), Err(LayoutError::NoSteps));
}

#[test]
fn fields_we_do_not_know_are_not_overlooked() {
    let error = layout("", "", r#","revokedcas":{}"#).unwrap_err();
    assert_eq!(error, LayoutError::UnknownField { at: Place::Layout, field: "revokedcas".into() });
    assert_eq!(error.reason(), Reason::LayoutUnsupported);
}

#[test]
fn the_order_of_members_does_not_choose_which_fault_is_told() {
    for more in [r#","a":{},"b":{}"#, r#","b":{},"a":{}"#] {
        let field = "a".into();
        assert_eq!(layout("", "", more), Err(LayoutError::UnknownField { at: Place::Layout, field }));
    }
    // The fields of an OpenPGP key that could restrict it, and two keys by other names than theirs.
    let layout = |keys: &str| {
        let text = format!(
            r#"{{"_type":"layout","expires":"2030-01-31T12:00:00Z","keys":{{{keys}}},"steps":[],"inspect":[]}}"#
        );
        Layout::read(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap(), Profile::Compat)
    };
    for members in [r#""a":1,"b":2"#, r#""b":2,"a":1"#] {
        let key = format!(r#"{{"type":"rsa","method":"pgp+rsa-pkcsv1.5",{members}}}"#);
        let what = r#"the member "a" of an OpenPGP key"#.to_owned();
        let key = PublicKey::from_layout(&json::parse(key.as_bytes(), &json::Limits::METADATA).unwrap());
        assert_eq!(key, Err(KeyError::Unsupported { what }));
    }
    let (one, other) = (r#""k":{"keyid":1}"#, r#""l":{"keyid":2}"#);
    for keys in [[one, other], [other, one]] {
        let error = layout(&keys.join(",")).unwrap_err();
        let at = Place::Key("k".into());
        assert_eq!(error, LayoutError::Type { at, field: "keyid", expected: "a string" });
    }
}

#[test]
fn names_are_names() {
    for name in ["", ".hidden", "a/b", r"a\\b", r"a\u0007"] {
        let error = layout("", &inspection(name, ""), "").unwrap_err();
        assert!(matches!(error, LayoutError::Name { .. }), "{name}: {error}");
    }
}

/// A link may have a NUL in what was printed; a layout has no place for one.
#[test]
fn no_text_of_a_layout_has_a_nul() {
    for nul in ["", "\\u0000"] {
        let readings = [
            layout("", "", &format!(r#","x{nul}":1"#)),
            layout("", &inspection(&format!("a{nul}"), ""), ""),
            layout("", &inspection("a", &format!(r#"["DISALLOW","a{nul}"]"#)), ""),
            layout(&step("a", "1", &format!(r#""j{nul}""#), ""), "", ""),
        ];
        for reading in readings {
            let error = reading.unwrap_err();
            assert_eq!(error == LayoutError::Nul, !nul.is_empty(), "{error}");
            assert!(error != LayoutError::Nul || error.reason() == Reason::LayoutMalformed);
        }
    }
    // Names are names in either profile.
    let text = format!(
        r#"{{"_type":"layout","expires":"2030-01-31T12:00:00Z","keys":{{}},"steps":[],"inspect":[{}]}}"#,
        inspection(r"a\u0000", "")
    );
    let compat = Layout::read(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap(), Profile::Compat);
    assert!(matches!(compat, Err(LayoutError::Name { .. })), "{compat:?}");
}

#[test]
fn parameters_are_put_in_before_rules_are_judged() {
    let value = format!(
        r#"{{"_type":"layout","expires":"2030-01-31T12:00:00Z","keys":{{}},"steps":[],"inspect":[{}]}}"#,
        inspection("image", r#"["MATCH","x/{S}/*","IN","{S}","WITH","PRODUCTS","FROM","{S}"],["REQUIRE","{{S}}"]"#)
    );
    let open =
        || Layout::read(&json::parse(value.as_bytes(), &json::Limits::METADATA).unwrap(), Profile::Compat).unwrap();
    let mut parameters = Parameters::default();
    let at = Place::Inspection("image".into());
    let put_in = |parameters: &Parameters| open().with_parameters(parameters, Profile::Strict);
    assert_eq!(put_in(&parameters), Err(LayoutError::Parameter { at: at.clone(), name: "S".into() }));
    parameters.add("S", crate::intoto::Parameter { value: "a*".into(), pattern: false }).unwrap();
    assert_eq!(put_in(&parameters), Err(LayoutError::MatchFrom { at, from: "a*".into() }));
    let layout = open().with_parameters(&parameters, Profile::Compat).unwrap();
    let rules: Vec<String> = layout.inspections[0].expected_materials.iter().map(Rule::to_string).collect();
    assert_eq!(rules, ["MATCH x/a*/* IN a* WITH PRODUCTS FROM a*", "REQUIRE {S}"]);
}

#[test]
fn rules_are_read_where_they_stand() {
    assert_eq!(
        layout("", &inspection("image", "[]"), ""),
        Err(LayoutError::Rule { at: Place::Inspection("image".into()), cause: RuleError::Empty })
    );
}

#[test]
fn expiry_has_one_shape() {
    let expires = |time: &str| {
        let text = format!(r#"{{"_type":"layout","expires":"{time}","keys":{{}},"steps":[],"inspect":[]}}"#);
        // Without steps every layout is refused; the time is read after that, so ask the reader itself.
        assert_eq!(
            Layout::from_value(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap()),
            Err(LayoutError::NoSteps)
        );
        read::expires(time)
    };
    assert_eq!(expires("2030-01-31T12:00:00Z").unwrap(), "2030-01-31T12:00:00Z".parse().unwrap());
    assert_eq!(expires("9999-12-31T23:59:59Z").unwrap(), jiff::Timestamp::MAX);
    for time in [
        "2030-01-31T12:00:00.5Z",
        "2030-01-31T12:00:00+00:00",
        "2030-01-31 12:00:00Z",
        "2030-01-31t12:00:00Z",
        "2030-02-30T12:00:00Z",
        "2030-01-31T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2030-01-31T12:00Z",
        "2030-01-31",
        "",
    ] {
        assert_eq!(expires(time), Err(LayoutError::Expires(time.into())), "{time}");
    }
}
