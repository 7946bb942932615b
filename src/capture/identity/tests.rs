use super::*;
use axum::{Json, Router, extract::Query, http::HeaderMap, routing::get};
use std::collections::BTreeMap;

fn jwt(claims: &serde_json::Value) -> String {
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Answers as GitHub and Azure do; to who has not the bearer token, 401.
async fn issuer() -> String {
    let answer = async |Query(query): Query<BTreeMap<String, String>>, headers: HeaderMap| {
        let known = headers.get("authorization").is_some_and(|value| value == "Bearer request-secret");
        match known {
            true => Ok(Json(
                serde_json::json!({"value": format!("for {}", query.get("audience").map_or("nobody", String::as_str)).replace(' ', "-"), "oidcToken": "a.b.c"}),
            )),
            false => Err(axum::http::StatusCode::UNAUTHORIZED),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/token", get(answer).post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/token?api=1")
}
fn request(url: &str, bearer: &str) -> TokenUrl {
    TokenUrl {
        url: url.into(),
        bearer: bearer.into(),
        post: false,
        audience: Some("audience".into()),
        member: "value".into(),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_with_its_audience() {
    let url = issuer().await;
    let github = TokenSource::Url(request(&url, "request-secret"));
    assert_eq!(token(&github, "https://store.example.com").await.unwrap().as_str(), "for-https://store.example.com");
    let azure = TokenUrl { post: true, audience: None, member: "oidcToken".into(), ..request(&url, "request-secret") };
    assert_eq!(token(&TokenSource::Url(azure), "x").await.unwrap().as_str(), "a.b.c");
    let refused = token(&TokenSource::Url(request(&url, "other")), "x").await.unwrap_err();
    assert!(format!("{refused:#}").contains("answered 401"), "{refused:#}");
    let other = TokenUrl { member: "nothing".into(), ..request(&url, "request-secret") };
    let error = token(&TokenSource::Url(other), "x").await.unwrap_err();
    assert!(format!("{error:#}").contains("has no \"nothing\""), "{error:#}");
}

#[tokio::test]
async fn the_request_goes_over_https_or_stays_here() {
    for url in ["http://token.example.com/x", "ftp://localhost/x", "http://192.0.2.1/x"] {
        let error = token(&TokenSource::Url(request(url, "request-secret")), "x").await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("neither https nor on this machine") && !text.contains("request-secret"), "{text}");
    }
}

#[tokio::test]
async fn from_a_command_a_variable_and_a_file() {
    let words = |words: &[&str]| TokenSource::Command(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(token(&words(&["echo", "to-{audience}"]), "me").await.unwrap().as_str(), "to-me");
    let failed = token(&words(&["false"]), "me").await.unwrap_err();
    assert!(format!("{failed:#}").contains("\"false\" ended with"), "{failed:#}");
    assert!(token(&words(&["echo", "two words"]), "me").await.unwrap_err().to_string().contains("is no token"));
    let variable = TokenSource::Variable { name: "T".into(), value: "a.b.c\n".into() };
    assert_eq!(token(&variable, "me").await.unwrap().as_str(), "a.b.c");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x.y.z\n").unwrap();
    assert_eq!(token(&TokenSource::File(file.path().to_owned()), "me").await.unwrap().as_str(), "x.y.z");
}

#[test]
fn the_claims_are_shown_and_nothing_else() {
    let token = jwt(
        &serde_json::json!({"iss": "https://ci.example.com", "sub": "repo:shop/api", "aud": ["tidewaiter"], "exp": 1_700_000_000, "jti": "x"}),
    );
    let claims = claims(&token).unwrap();
    let expected = Claims {
        issuer: Some("https://ci.example.com".into()),
        subject: Some("repo:shop/api".into()),
        audience: vec!["tidewaiter".into()],
        expires: Some("2023-11-14T22:13:20Z".into()),
    };
    assert_eq!(claims, expected);
    assert_eq!(super::claims("opaque"), None);
}
