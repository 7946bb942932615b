//! What can be wrong with layouts and the keys in them.

use super::*;
use crate::{
    case::artifacts,
    keys::{id, id_of_go, object},
};

fn signed(change: impl FnOnce(&mut Value)) -> Case {
    with(two_steps(), |case| change(&mut case.layout.signed))
}

/// The key of bea a second time, under an id of its own.
fn key_under_two_ids(case: &mut Case) {
    let other = format!("{}{}", &id("bea")[8..], &id("bea")[..8]);
    let mut key = object("bea");
    key["keyid"] = other.clone().into();
    case.layout.signed["keys"][&other] = key;
    case.step(1)["pubkeys"] = json!([id("bea"), other]);
    case.step(1)["threshold"] = 2.into();
    let mut doc = case.link("build", "bea").clone();
    doc.by[0].id.clone_from(&other);
    case.files.insert(file_name("build", &other), doc);
}

/// Ids are labels: these two begin alike, and the files of a step are named by the beginning.
fn ids_that_begin_alike(case: &mut Case) {
    let ids = ["ab".repeat(32), format!("{}{}", "ab".repeat(31), "cd")];
    for (key, id) in ["bea", "ben"].into_iter().zip(&ids) {
        let mut object = object(key);
        object["keyid"] = id.clone().into();
        case.layout.signed["keys"][id] = object;
    }
    case.step(1)["pubkeys"] = json!(ids);
    let mut doc = case.link("build", "bea").clone();
    doc.by = ["bea", "ben"].into_iter().zip(ids).map(|(key, id)| By { id, ..By::new(key) }).collect();
    case.files.retain(|path, _| !path.starts_with("build."));
    case.files.insert(file_name("build", &doc.by[0].id), doc);
    case.step(1)["threshold"] = 2.into();
}

/// `build` is done by the key of that name alone.
fn built_by(key: &str) -> Case {
    with(two_steps(), |case| {
        case.layout.signed["keys"][id(key)] = object(key);
        case.step(1)["pubkeys"] = json!([id(key)]);
        let mut doc = case.files.remove(&file_name("build", &id("bea"))).unwrap();
        doc.by = vec![By::new(key)];
        case.add_link("build", key, doc);
    })
}

pub fn rows() -> Vec<Row> {
    let threshold = |threshold: i64| {
        with(two_steps(), |case| {
            case.step(1)["threshold"] = threshold.into();
            case.files.retain(|path, _| !path.starts_with("build."));
        })
    };
    vec![
        row("18", "one key under two ids, threshold 2", "layout_malformed", with(two_steps(), key_under_two_ids)),
        row("20", "threshold 0, and no link", "layout_malformed", threshold(0)),
        row("46", "threshold -1, and no link", "layout_malformed", threshold(-1)),
        row("21", "layout without steps", "layout_malformed", signed(|layout| layout["steps"] = json!([]))),
        row(
            "35",
            "`expires` with a fraction of a second",
            "layout_malformed",
            signed(|layout| {
                layout["expires"] = "2099-01-01T00:00:00.5Z".into();
            }),
        ),
        row(
            "40",
            "step named `../x`",
            "layout_malformed",
            with(one_step(artifacts(&["foo"]), json!([])), |case| {
                case.step(0)["name"] = "../x".into();
                let mut doc = case.link("a", "fred").clone();
                doc.signed["name"] = "../x".into();
                case.files = [(file_name("../x", &id("fred")), doc)].into();
            }),
        ),
        row(
            "50",
            "two steps of one name",
            "layout_malformed",
            signed(|layout| {
                let step = layout["steps"][1].clone();
                layout["steps"].as_array_mut().unwrap().push(step);
            }),
        ),
        row(
            "51",
            "key that says its id is another",
            "layout_malformed",
            with(two_steps(), |case| {
                let other = "ab".repeat(32);
                case.layout.signed["keys"][id("bea")]["keyid"] = other.clone().into();
                case.link("build", "bea").by.push(By { id: other, ..By::new("bea") });
            }),
        ),
        row(
            "56",
            "key that nobody can use, and no step needs",
            "verified",
            signed(|layout| {
                layout["keys"][id("dora")] = json!({"keyid": id("dora"), "keyid_hash_algorithms": ["sha256", "sha512"],
                "keytype": "sphincs", "scheme": "sphincs", "keyval": {"public": "00"}});
            }),
        ),
        row("62", "two keys whose ids begin alike, threshold 2", "verified", with(two_steps(), ids_that_begin_alike)),
        row("salt", "key of RSA-PSS that signs with a salt of 100 bytes", "verified", built_by("salt-sue")),
        row("sha224", "key of `rsassa-pss-sha224`", "verified", built_by("pss224-sue")),
        row("pkcs1 sha224", "key of `rsa-pkcs1v15-sha224`", "verified", built_by("pkcs224-sue")),
        row("pkcs1", "key whose PEM is PKCS#1 (`RSA PUBLIC KEY`)", "verified", built_by("pkcs1-sue")),
        row("text", "key whose PEM has text in front of it", "verified", built_by("text-sue")),
        row("compressed", "key with a compressed point", "verified", built_by("compressed-sue")),
        row(
            "member",
            "key with a member that nobody knows",
            "layout_unsupported",
            with(built_by("bea"), |case| {
                case.layout.signed["keys"][id("bea")]["revoked"] = true.into();
            }),
        ),
        row(
            "member of OpenPGP",
            "key of OpenPGP with a member that nobody knows",
            "layout_unsupported",
            with(built_by("pgp-gil"), |case| {
                case.layout.signed["keys"][id("pgp-gil")]["revoked"] = true.into();
            }),
        ),
        row(
            "expired",
            "expired layout",
            "layout_expired",
            signed(|layout| layout["expires"] = "2001-01-01T00:00:00Z".into()),
        ),
        row(
            "pubkeys",
            "an entry of `pubkeys` twice, threshold 2",
            "layout_malformed",
            with(two_steps(), |case| {
                case.step(1)["pubkeys"] = json!([id("bea"), id("bea")]);
                case.step(1)["threshold"] = 2.into();
            }),
        ),
        row(
            "id of Python",
            "layout signed under the id that Python and we derive",
            "verified",
            with(two_steps(), |case| {
                case.layout.by.retain(|by| by.id == id("olga"));
            }),
        ),
        row(
            "id of Go",
            "layout signed under the id that Go derives",
            "verified",
            with(two_steps(), |case| {
                case.layout.by.retain(|by| by.id == id_of_go("olga"));
            }),
        ),
        row(
            "private",
            "keys with an empty `private`, as old Python wrote them",
            "verified",
            signed(|layout| {
                layout["keys"][id("bea")]["keyval"]["private"] = "".into();
            }),
        ),
        row(
            "algorithms",
            "keys without `keyid_hash_algorithms`, as new Python writes them",
            "verified",
            signed(|layout| {
                layout["keys"][id("bea")].as_object_mut().unwrap().remove("keyid_hash_algorithms");
            }),
        ),
        row(
            "field",
            "field of a layout that nobody knows, in DSSE",
            "layout_unsupported",
            with(two_steps(), |case| {
                case.layout.metablock = false;
                case.step(1)["expectedAttributes"] = json!([]);
            }),
        ),
        Row {
            executes: true,
            ..row(
                "10",
                "inspection that returns 1",
                "inspection_not_supported",
                signed(|layout| {
                    layout["inspect"] = json!([{"_type": "inspection", "name": "look", "run": ["false"],
                    "expected_materials": [], "expected_products": []}]);
                }),
            )
        },
    ]
}
