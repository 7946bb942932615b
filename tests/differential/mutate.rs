//! Single flaws, and harmless changes that look like flaws.

use super::{
    case::{self, By, Case, Doc, file_name, hashes},
    generate::{FUNCTIONARIES, Rng, name, side},
    keys,
};
use serde_json::{Value, json};

type Mutation = (&'static str, fn(&mut Rng, &mut Case));

/// By the names that `disagreements.yaml` knows them by.
pub const ALL: &[Mutation] = &[
    ("link-dropped", |rng, case| {
        let path = a_file(rng, case);
        case.files.remove(&path);
    }),
    ("link-by-a-stranger", |rng, case| {
        let doc = a_link(rng, case);
        doc.by[0].key = "mallory".to_owned();
    }),
    ("link-tampered", |rng, case| {
        let doc = a_link(rng, case);
        doc.edits.push(("\"make\"".to_owned(), "\"evil\"".to_owned()));
    }),
    ("link-field-unsigned", |rng, case| {
        let doc = a_link(rng, case);
        doc.edits.push(("\"_type\":\"link\"".to_owned(), "\"_type\":\"link\",\"x\":1".to_owned()));
    }),
    ("link-field-signed", |rng, case| a_link(rng, case).signed["x-vendor"] = json!({"build": 7})),
    ("link-name-of-another", |rng, case| a_link(rng, case).signed["name"] = "other".into()),
    ("link-junk-signature-first", |rng, case| {
        let doc = a_link(rng, case);
        let junk = By { sig: Some(junk(doc.metablock)), ..doc.by[0].clone() };
        doc.by.insert(0, junk);
    }),
    ("link-signature-of-a-stranger-beside", |rng, case| {
        let doc = a_link(rng, case);
        doc.by.push(By::new("mallory"));
    }),
    ("link-signature-twice", |rng, case| {
        let doc = a_link(rng, case);
        doc.by.push(doc.by[0].clone());
    }),
    ("link-signature-without-id", |rng, case| a_link(rng, case).by[0].id = String::new()),
    ("link-command-differs", |rng, case| a_link(rng, case).signed["command"] = json!(["make", "all"])),
    ("link-control-characters", |rng, case| {
        a_link(rng, case).signed["byproducts"]["stdout"] = "tab\t cr\r bell\u{7} \\n é \u{1f600}".into();
    }),
    ("link-nul", |rng, case| a_link(rng, case).signed["byproducts"]["stdout"] = "a\0b\0".into()),
    ("link-big-integer", |rng, case| a_link(rng, case).signed["byproducts"]["time"] = json!(9_007_199_254_740_993_u64)),
    ("link-materials-null", |rng, case| a_link(rng, case).signed["materials"] = Value::Null),
    ("link-without-environment", |rng, case| {
        a_link(rng, case).signed.as_object_mut().unwrap().remove("environment");
    }),
    ("link-without-command", |rng, case| {
        a_link(rng, case).signed.as_object_mut().unwrap().remove("command");
    }),
    ("link-without-materials", |rng, case| {
        a_link(rng, case).signed.as_object_mut().unwrap().remove("materials");
    }),
    ("link-command-of-numbers", |rng, case| a_link(rng, case).signed["command"] = json!([1, 2])),
    ("link-fraction", |rng, case| a_dsse_link(rng, case).signed["byproducts"]["time"] = json!(1.5)),
    ("link-not-a-number", |rng, case| {
        let doc = a_dsse_link(rng, case);
        doc.text = Some(doc.signed.to_string().replace("\"return-value\":0", "\"return-value\":NaN"));
    }),
    ("link-lone-surrogate", |rng, case| {
        let doc = a_dsse_link(rng, case);
        doc.text = Some(doc.signed.to_string().replace("\"return-value\":0", "\"out\":\"\\ud800\""));
    }),
    ("link-base64-in-lines", |rng, case| {
        let doc = a_dsse_link(rng, case);
        let text = String::from_utf8(doc.bytes()).unwrap();
        doc.bytes = Some(text.replace("\"payload\":\"", "\"payload\":\"\\n").into_bytes());
    }),
    ("link-of-another-payload-type", |rng, case| {
        let doc = a_dsse_link(rng, case);
        let text = String::from_utf8(doc.bytes()).unwrap();
        doc.bytes = Some(text.replace("vnd.in-toto", "vnd.other").into_bytes());
    }),
    ("link-in-both-containers", |rng, case| {
        let doc = a_dsse_link(rng, case);
        let mut file: Value = serde_json::from_slice(&doc.bytes()).unwrap();
        file["signed"] = json!({"_type": "link"});
        doc.bytes = Some(file.to_string().into_bytes());
    }),
    ("link-environment-null", |rng, case| a_link(rng, case).signed["environment"] = Value::Null),
    ("link-in-a-file-of-another-name", |rng, case| {
        let path = a_file(rng, case);
        let doc = case.files.remove(&path).unwrap();
        let step = path.rsplitn(3, '.').nth(2).unwrap();
        case.files.insert(format!("{step}.01234567.link"), doc);
    }),
    ("link-in-the-file-of-another-step", |rng, case| {
        let path = a_file(rng, case);
        let id = case.files[&path].by[0].id.clone();
        let step = &case.steps()[rng.below(case.steps().len())];
        if step["pubkeys"].as_array().unwrap().contains(&id.as_str().into()) {
            let other = file_name(step["name"].as_str().unwrap(), &id);
            let doc = case.files[&path].clone();
            case.files.insert(other, doc);
        }
    }),
    ("link-key-twice", |rng, case| {
        let doc = a_link(rng, case);
        doc.edits.push(("\"command\":".to_owned(), "\"command\":[\"evil\"],\"command\":".to_owned()));
    }),
    ("link-unparsable", |rng, case| a_link(rng, case).bytes = Some(b"{".to_vec())),
    ("link-spare-unparsable", |rng, case| {
        if let Some((step, key)) = a_spare(rng, case) {
            let mut doc = Doc::new(Value::Null, &[], false);
            doc.bytes = Some(b"{".to_vec());
            case.add_link(&step, &key, doc);
        }
    }),
    ("link-spare-signature-not-hex", |rng, case| {
        if let Some((step, key)) = a_spare(rng, case) {
            let mut doc = Doc::new(case::link(&step, json!({}), json!({})), &[&key], true);
            doc.by[0].sig = Some("not hex".to_owned());
            case.add_link(&step, &key, doc);
        }
    }),
    ("link-spare-disagrees", |rng, case| {
        if let Some((step, key)) = a_spare(rng, case) {
            let evil = json!({"evil": hashes("evil")});
            case.add_link(&step, &key, Doc::new(case::link(&step, json!({}), evil), &[&key], rng.percent(50)));
        }
    }),
    ("artifact-changed", |rng, case| {
        artifact(rng, case, |side, name| drop(side.insert(name, hashes("evil"))));
    }),
    ("artifact-renamed", |rng, case| {
        artifact(rng, case, |side, name| {
            let hash = side.remove(&name).unwrap();
            side.insert(format!("{name}x"), hash);
        });
    }),
    ("artifact-removed", |rng, case| artifact(rng, case, |side, name| drop(side.remove(&name)))),
    ("artifact-added", |rng, case| {
        let name = name(rng).to_owned();
        let which = rng.pick(&["materials", "products"]);
        side(a_link(rng, case), which).insert(name, hashes("evil"));
    }),
    ("hashes-of-two-algorithms", |rng, case| {
        artifact(rng, case, |side, name| side[&name]["sha512"] = "ab".repeat(64).into());
    }),
    ("hash-of-md5-alone", |rng, case| everywhere(rng, case, json!({"md5": "00".repeat(16)}))),
    ("hash-too-short", |rng, case| everywhere(rng, case, json!({"sha256": "ab"}))),
    ("hash-in-capitals", |rng, case| everywhere(rng, case, json!({"sha256": "AB".repeat(32)}))),
    ("hash-missing", |rng, case| everywhere(rng, case, json!({}))),
    ("hash-not-hex", |rng, case| everywhere(rng, case, json!({"sha256": "xy".repeat(32)}))),
    ("step-dropped", |rng, case| {
        let at = rng.below(case.steps().len());
        case.layout.signed["steps"].as_array_mut().unwrap().remove(at);
    }),
    ("steps-none", |_, case| case.layout.signed["steps"] = json!([])),
    ("steps-of-one-name", |rng, case| {
        let step = case.steps()[rng.below(case.steps().len())].clone();
        case.layout.signed["steps"].as_array_mut().unwrap().push(step);
    }),
    ("steps-swapped", |_, case| case.layout.signed["steps"].as_array_mut().unwrap().reverse()),
    ("step-of-another-type", |rng, case| a_step(rng, case)["_type"] = "inspection".into()),
    ("step-command-of-numbers", |rng, case| a_step(rng, case)["expected_command"] = json!([1])),
    ("step-without-threshold", |rng, case| {
        a_step(rng, case).as_object_mut().unwrap().remove("threshold");
    }),
    ("step-without-command", |rng, case| {
        a_step(rng, case).as_object_mut().unwrap().remove("expected_command");
    }),
    ("step-in-a-folder", |rng, case| {
        let at = rng.below(case.steps().len());
        let old = case.steps()[at]["name"].as_str().unwrap().to_owned();
        case.step(at)["name"] = format!("x/{old}").into();
        let files = std::mem::take(&mut case.files);
        let moved = files.into_iter().map(|(path, mut doc)| {
            let is_its = path.rsplitn(3, '.').nth(2) == Some(old.as_str());
            if is_its {
                doc.signed["name"] = format!("x/{old}").into();
            }
            (if is_its { format!("x/{path}") } else { path }, doc)
        });
        case.files = moved.collect();
    }),
    ("step-with-a-newer-field", |rng, case| a_step(rng, case)["expectedAttributes"] = json!([])),
    ("threshold-higher", |rng, case| {
        let step = a_step(rng, case);
        step["threshold"] = (step["threshold"].as_u64().unwrap() + 1).into();
    }),
    ("threshold-zero", |rng, case| a_step(rng, case)["threshold"] = 0.into()),
    ("threshold-negative", |rng, case| a_step(rng, case)["threshold"] = (-1).into()),
    ("pubkey-removed", |rng, case| {
        let ids = a_step(rng, case)["pubkeys"].as_array_mut().unwrap();
        ids.remove(0);
    }),
    ("pubkey-twice", |rng, case| {
        let ids = a_step(rng, case)["pubkeys"].as_array_mut().unwrap();
        ids.push(ids[0].clone());
    }),
    ("pubkey-unknown", |rng, case| {
        a_step(rng, case)["pubkeys"].as_array_mut().unwrap().push(keys::id("mallory").into());
    }),
    ("pubkeys-reversed", |rng, case| a_step(rng, case)["pubkeys"].as_array_mut().unwrap().reverse()),
    ("key-under-two-ids", |rng, case| {
        let step = a_step(rng, case);
        let threshold = step["threshold"].as_u64().unwrap() + 1;
        let id = step["pubkeys"][0].as_str().unwrap().to_owned();
        let other = format!("{}{}", &id[8..], &id[..8]);
        step["pubkeys"].as_array_mut().unwrap().push(other.clone().into());
        step["threshold"] = threshold.into();
        let name = step["name"].as_str().unwrap().to_owned();
        let mut key = case.layout.signed["keys"][&id].clone();
        key["keyid"] = other.clone().into();
        case.layout.signed["keys"][&other] = key;
        if let Some(mut doc) = case.files.get(&file_name(&name, &id)).cloned() {
            doc.by[0].id.clone_from(&other);
            case.files.insert(file_name(&name, &other), doc);
        }
    }),
    ("key-member-unknown", |rng, case| {
        let id = a_step(rng, case)["pubkeys"][0].as_str().unwrap().to_owned();
        let place = rng.pick(&["", "/keyval"]);
        if let Some(key) = case.layout.signed["keys"].get_mut(&id).and_then(|key| key.pointer_mut(place)) {
            key["expires"] = "2030-01-01".into();
        }
    }),
    ("key-of-another-scheme", |_, case| {
        case.layout.signed["keys"][keys::id("mallory")] = json!({"keyid": keys::id("mallory"), "keyid_hash_algorithms": ["sha256", "sha512"], "keytype": "sphincs",
                "scheme": "sphincs", "keyval": {"public": "00"}});
    }),
    ("layout-expired", |_, case| case.layout.signed["expires"] = "2001-01-01T00:00:00Z".into()),
    ("layout-expires-with-a-fraction", |_, case| case.layout.signed["expires"] = "2099-01-01T00:00:00.5Z".into()),
    ("layout-expires-on-no-day", |_, case| case.layout.signed["expires"] = "2099-02-30T00:00:00Z".into()),
    ("layout-by-a-stranger", |_, case| case.layout.by.iter_mut().for_each(|by| by.key = "mallory".to_owned())),
    ("layout-unsigned", |_, case| case.layout.by.clear()),
    ("layout-tampered", |_, case| {
        case.layout.edits.push(("\"readme\":\"\"".to_owned(), "\"readme\":\"evil\"".to_owned()));
    }),
    ("layout-field-unknown", |_, case| case.layout.signed["future"] = 1.into()),
    ("layout-without-readme", |_, case| {
        case.layout.signed.as_object_mut().unwrap().remove("readme");
    }),
    ("layout-without-expires", |_, case| {
        case.layout.signed.as_object_mut().unwrap().remove("expires");
    }),
    ("layout-without-inspections", |_, case| {
        case.layout.signed.as_object_mut().unwrap().remove("inspect");
    }),
    ("layout-readme", |_, case| case.layout.signed["readme"] = "é \"quoted\" \\ \u{1f600}\u{e000}\t".into()),
    ("rule-keywords-in-small-letters", |rng, case| {
        let rules = some_rules(rng, case);
        for words in rules.iter_mut().filter_map(Value::as_array_mut) {
            for at in (0..words.len()).step_by(2) {
                words[at] = words[at].as_str().unwrap().to_lowercase().into();
            }
        }
    }),
    ("rule-with-braces", |rng, case| {
        let pattern = rng.pick(&["{x}", "a{b,c}", "{", "{{a}}"]);
        let rules = some_rules(rng, case);
        let at = rng.below(rules.len() + 1);
        rules.insert(at, json!(["ALLOW", pattern]));
    }),
    ("rule-empty", |rng, case| some_rules(rng, case).push(json!([]))),
    ("rule-unknown", |rng, case| some_rules(rng, case).push(json!(["PERMIT", "*"]))),
    ("rule-too-long", |rng, case| some_rules(rng, case).push(json!(["ALLOW", "*", "a"]))),
    ("rule-from-nowhere", |rng, case| {
        some_rules(rng, case).insert(0, json!(["MATCH", "*", "WITH", "PRODUCTS", "FROM", "nowhere"]));
    }),
    ("rule-with-an-empty-prefix", |rng, case| {
        let from = case.steps()[0]["name"].clone();
        some_rules(rng, case).insert(0, json!(["MATCH", "*", "IN", "", "WITH", "PRODUCTS", "FROM", from]));
    }),
    ("sublayout", |rng, case| sublayout(rng, case, |_, _| {})),
    ("sublayout-expired", |rng, case| {
        sublayout(rng, case, |layout, _| layout.signed["expires"] = "2001-01-01T00:00:00Z".into());
    }),
    ("sublayout-by-a-stranger", |rng, case| {
        sublayout(rng, case, |layout, _| layout.by[0].key = "mallory".to_owned());
    }),
    ("sublayout-link-by-a-stranger", |rng, case| sublayout(rng, case, |_, link| link.by[0].key = "mallory".to_owned())),
    ("sublayout-reports-otherwise", |rng, case| {
        sublayout(rng, case, |_, link| link.signed["products"] = json!({"evil": hashes("evil")}));
    }),
    ("sublayout-without-steps", |rng, case| sublayout(rng, case, |layout, _| layout.signed["steps"] = json!([]))),
];

/// Does one of them.
pub fn one(rng: &mut Rng, case: &mut Case) {
    if case.files.is_empty() {
        return;
    }
    let (name, mutation) = ALL[rng.below(ALL.len())];
    mutation(rng, case);
    case.did.push(name);
}

/// Sixty-four bytes of nothing, as the container writes signatures.
pub fn junk(metablock: bool) -> String {
    if metablock { "00".repeat(64) } else { format!("{}==", "A".repeat(86)) }
}

/// By step and signer, not by path: the ids in it are other ones in each run.
fn a_file(rng: &mut Rng, case: &Case) -> String {
    let mut files: Vec<_> =
        case.files.iter().map(|(path, doc)| (path.rsplitn(3, '.').nth(2), &doc.by[0].key, path)).collect();
    files.sort();
    files[rng.below(files.len())].2.clone()
}

fn a_link<'c>(rng: &mut Rng, case: &'c mut Case) -> &'c mut Doc {
    let path = a_file(rng, case);
    case.files.get_mut(&path).unwrap()
}

/// A link in the container whose text is signed as it stands.
fn a_dsse_link<'c>(rng: &mut Rng, case: &'c mut Case) -> &'c mut Doc {
    let doc = a_link(rng, case);
    doc.metablock = false;
    doc
}

fn a_step<'c>(rng: &mut Rng, case: &'c mut Case) -> &'c mut Value {
    let at = rng.below(case.steps().len());
    case.step(at)
}

fn some_rules<'c>(rng: &mut Rng, case: &'c mut Case) -> &'c mut Vec<Value> {
    let which = rng.pick(&["expected_materials", "expected_products"]);
    a_step(rng, case)[which].as_array_mut().unwrap()
}

/// A step and a functionary of it who has not reported yet.
fn a_spare(rng: &mut Rng, case: &Case) -> Option<(String, String)> {
    let step = &case.steps()[rng.below(case.steps().len())];
    let name = step["name"].as_str().unwrap();
    let ids = step["pubkeys"].as_array().unwrap();
    let free = FUNCTIONARIES.iter().find(|key| {
        let id = keys::id(key);
        ids.contains(&id.as_str().into()) && !case.files.contains_key(&file_name(name, &id))
    })?;
    Some((name.to_owned(), (*free).to_owned()))
}

/// Changes one artifact of one link, where there is one.
fn artifact(rng: &mut Rng, case: &mut Case, change: impl FnOnce(&mut serde_json::Map<String, Value>, String)) {
    let which = rng.pick(&["materials", "products"]);
    let doc = a_link(rng, case);
    let side = side(doc, which);
    if let Some(name) = side.keys().nth(rng.below(side.len().max(1))).cloned() {
        change(side, name);
    }
}

/// Gives one name the same hashes in every link that has it.
fn everywhere(rng: &mut Rng, case: &mut Case, hashes: Value) {
    let doc = a_link(rng, case);
    let sides = [&doc.signed["materials"], &doc.signed["products"]];
    let names: Vec<String> = sides.iter().flat_map(|side| side.as_object().unwrap().keys().cloned()).collect();
    if names.is_empty() {
        return;
    }
    let name = &names[rng.below(names.len())];
    for doc in case.files.values_mut() {
        for which in ["materials", "products"] {
            if let Some(found) = side(doc, which).get_mut(name) {
                *found = hashes.clone();
            }
        }
    }
}

/// One functionary answers his step with a layout of one step, done by `dora`, that reports what he would have.
fn sublayout(rng: &mut Rng, case: &mut Case, change: impl FnOnce(&mut Doc, &mut Doc)) {
    let path = a_file(rng, case);
    let doc = case.files[&path].clone();
    let allow = json!([["ALLOW", "*"]]);
    let layout = case::layout(&["dora"], vec![case::step("inner", &["dora"], allow.clone(), allow)]);
    let link = case::link("inner", doc.signed["materials"].clone(), doc.signed["products"].clone());
    let mut layout = Doc::new(layout, &[&doc.by[0].key], doc.metablock);
    let mut link = Doc::new(link, &["dora"], rng.percent(50));
    change(&mut layout, &mut link);
    let folder = path.strip_suffix(".link").unwrap();
    case.files.insert(format!("{folder}/{}", file_name("inner", &keys::id("dora"))), link);
    case.files.insert(path, layout);
}
