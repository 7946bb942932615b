//! What is kept beside a record of who brought it; and tokens that write once.

use crate::{
    databases::{On, Place, Postgres, on_both},
    identity::{build, grant, image, job, with, writer},
    issuer::Issuer,
    shop::*,
};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tidewaiter::digest::Digest;

on_both!(who_brought_a_record_is_kept_beside_it, a_token_that_writes_once_writes_once);

/// The first column of a statement's rows, a line each.
async fn ask(place: &Place, statement: &'static str) -> Vec<String> {
    if place.url.starts_with("postgres") {
        let name = place.url.rsplit('/').next().unwrap();
        return Postgres::shared().sql(name, statement).lines().map(str::to_owned).collect();
    }
    let mut connection = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
    sqlx::query_scalar(statement).fetch_all(&mut connection).await.unwrap()
}

async fn shop_on(on: On, writers: Vec<Value>) -> Shop {
    let keys = Keys::new();
    let mut all =
        vec![json!({"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]})];
    all.extend(writers);
    let readers = json!([{"name": "cluster", "tokenHash": token_hash(CLUSTER)}]);
    let chain = chain("shop", "registry.example.com/shop/api", json!(all), readers);
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::on(on) }).await;
    shop.put_layout().await;
    shop
}

async fn who_brought_a_record_is_kept_beside_it(on: On) {
    let issuer = Issuer::start().await;
    let oidc = with(&grant(&issuer), json!({"run": "{repository}/{run_id}"}));
    let shop = shop_on(on, vec![writer("oidc", oidc)]).await;
    let claims = json!({"repository": "shop/api", "run_id": "7", "sha": "a".repeat(40), "actor": "mallory",
        "user_email": "mallory@example.com", "job_workflow_ref": "x".repeat(5_000)});
    let mut token = job();
    claims.as_object().unwrap().iter().for_each(|(name, value)| token[name] = value.clone());
    assert_eq!(shop.put(&issuer.token(token.clone()), &build(&shop)).await, yes(201));
    // The same again, by another: nothing was added, and nothing is witnessed.
    assert_eq!(shop.put(LAPTOP, &build(&shop)).await, yes(200));
    let principals = "SELECT principal FROM submission ORDER BY record_id";
    let expected = format!("oidc:{}#repo:shop/api", issuer.url);
    assert_eq!(ask(&shop.place, principals).await, ["token:shop/laptop".to_owned(), expected]);
    let kept = ask(&shop.place, "SELECT claims FROM submission ORDER BY record_id").await;
    assert_eq!(kept[0], "{}");
    let kept: Value = serde_json::from_str(&kept[1]).unwrap();
    assert_eq!(kept["repository_id"], "123");
    assert_eq!(kept["run_id"], "7");
    assert_eq!(kept["sha"], "a".repeat(40));
    // Of the grant, of the run and of the job; nothing else, and nothing that does not fit.
    for missing in ["actor", "user_email", "job_workflow_ref", "aud"] {
        assert!(kept.get(missing).is_none(), "{missing}");
    }
    let issuers = ask(&shop.place, "SELECT issuer FROM submission WHERE issuer IS NOT NULL").await;
    assert_eq!(issuers, std::slice::from_ref(&issuer.url));
    // A refused write leaves no witness.
    let refused = seal(&link("build", &Digest::sha256(b"other")), &[&shop.keys.stranger]);
    assert_eq!(shop.put(&issuer.token(token), &refused).await, no(422, "signature_untrusted"));
    assert_eq!(ask(&shop.place, principals).await.len(), 2);
}

async fn a_token_that_writes_once_writes_once(on: On) {
    let issuer = Issuer::start().await;
    let oidc = with(&grant(&issuer), json!({"oneTime": true}));
    let shop = shop_on(on, vec![writer("oidc", oidc.clone())]).await;
    let (first, second) = (build(&shop), seal(&link("build", &Digest::sha256(b"b")), &[&shop.keys.ci]));
    let token = |jti: &str| issuer.token(with(&job(), json!({"jti": jti})));
    assert_eq!(shop.put(&issuer.token(job()), &first).await, no(401, "token_malformed"), "no jti");
    let once = token("one");
    // What is refused uses nothing up.
    let forged = seal(&link("build", &image()), &[&shop.keys.stranger]);
    assert_eq!(shop.put(&once, &forged).await, no(422, "signature_untrusted"));
    assert_eq!(shop.put(&once, &first).await, yes(201));
    assert_eq!(shop.put(&once, &second).await, no(401, "token_replayed"));
    assert_eq!(shop.put(&once, &first).await, yes(200), "whoever did not hear the answer may ask again");
    // The name counts, not the token's text.
    assert_eq!(shop.put(&token("one"), &second).await, no(401, "token_replayed"));
    assert_eq!(ask(&shop.place, "SELECT count(*) || '' FROM record").await, ["2"], "the layout and the link");
    // Of several at once one is written.
    let many = token("many");
    let records: Vec<Record> = (0..6)
        .map(|number: i32| seal(&link("build", &Digest::sha256(&number.to_be_bytes())), &[&shop.keys.ci]))
        .collect();
    let answers = futures::future::join_all(records.iter().map(|record| shop.put(&many, record))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == yes(201)).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == no(401, "token_replayed")).count(), 5, "{answers:?}");
    // It is known to the next process, too.
    let documents = {
        let keys = &shop.keys;
        let laptop =
            json!({"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]});
        let writers = json!([laptop, writer("oidc", oidc)]);
        let chain = chain("shop", "registry.example.com/shop/api", writers, json!([]));
        Some([owners(keys), chain].map(|document| document.to_string()).join("\n---\n"))
    };
    let (place, keys) = shop.close().await;
    let shop = Shop::at(place, keys, Setup { documents, ..Setup::on(on) }).await;
    assert_eq!(shop.put(&once, &second).await, no(401, "token_replayed"));
    assert_eq!(shop.put(&token("two"), &second).await, yes(201));
}
