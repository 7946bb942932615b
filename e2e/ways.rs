//! Ways to a registry on which tidewaiter is treated otherwise than everybody else: it is answered late, or told lies. Who asks is known by
//! the User-Agent, so that containerd hears the truth and a person who looks with other tools sees nothing odd.

use crate::registry::Tls;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        Method, Response, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING, USER_AGENT},
    },
};
use reqwest::{Certificate, Client, redirect::Policy};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tidewaiter::serve;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// What tidewaiter is treated with; at first with nothing.
#[derive(Clone, Default)]
pub struct Treatment {
    /// Each answer is late by this.
    pub late: Duration,
    /// A blob is behind so many redirects, each an answer.
    pub redirects: usize,
    /// Paths, and of which other path the answer is what is there.
    pub lies: BTreeMap<String, String>,
}

/// A way; it ends with the value.
pub struct Way {
    pub addr: SocketAddr,
    treatment: Arc<Mutex<Treatment>>,
    _runtime: Runtime,
}

impl Way {
    /// A free port of the address that leads to a registry.
    pub fn new(tls: &Tls, ip: IpAddr, to: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listen = SocketAddr::new(ip, 0);
        let options =
            serve::Options { listen, tls: Some(tls.files().into()), connections_max: 256, drain: Duration::ZERO };
        let bound = runtime.block_on(serve::bind(options)).expect("a free port");
        let (addr, treatment) = (bound.local_addr(), Arc::<Mutex<Treatment>>::default());
        let ca = Certificate::from_pem(tls.ca.as_bytes()).expect("a certificate");
        let client = Client::builder().tls_certs_only([ca]).no_proxy().redirect(Policy::none()).http1_only();
        let client = client.build().expect("a client");
        let passage = Arc::new(Passage { addr, to, client, treatment: Arc::clone(&treatment) });
        let app = Router::new().fallback(pass).with_state(passage);
        runtime.spawn(bound.run(app, CancellationToken::new()));
        Way { addr, treatment, _runtime: runtime }
    }

    /// From now on.
    pub fn treat(&self, treatment: Treatment) {
        *self.treatment.lock().expect("nobody panics") = treatment;
    }
}

struct Passage {
    addr: SocketAddr,
    to: SocketAddr,
    client: Client,
    treatment: Arc<Mutex<Treatment>>,
}

async fn pass(State(passage): State<Arc<Passage>>, request: Request) -> Response<Body> {
    let agent = request.headers().get(USER_AGENT).map_or(&b""[..], |it| it.as_bytes());
    let treatment = match agent.starts_with(b"tidewaiter/") {
        true => passage.treatment.lock().expect("nobody panics").clone(),
        false => Treatment::default(),
    };
    tokio::time::sleep(treatment.late).await;
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    if request.method() == Method::GET && path.contains("/blobs/") {
        let behind = query.strip_prefix("behind=").map_or(treatment.redirects, |it| it.parse().expect("a number"));
        if behind > 0 {
            let next = format!("https://{}{path}?behind={}", passage.addr, behind - 1);
            let answer = Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, next);
            return answer.body(Body::empty()).expect("an answer");
        }
    }
    let lie = treatment.lies.get(&path);
    let target = format!("https://{}{}?{query}", passage.to, lie.unwrap_or(&path));
    let Ok(mut answer) = passage.ask(request, target).await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).expect("an answer");
    };
    if lie.is_some() {
        answer.headers_mut().remove("docker-content-digest");
    }
    answer
}

impl Passage {
    /// The registry's own answer. What it says of itself names this way: it goes by the Host that it is asked as.
    async fn ask(&self, request: Request, target: String) -> reqwest::Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            parts.headers.remove(name);
        }
        parts.headers.insert(HOST, self.addr.to_string().parse().expect("a header"));
        let head = parts.method == Method::HEAD;
        let asked = self.client.request(parts.method, target).headers(parts.headers).body(body).send().await?;
        let (status, mut headers) = (asked.status(), asked.headers().clone());
        let mut answer = Response::new(Body::from(asked.bytes().await?));
        for name in [CONNECTION, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        if !head {
            headers.remove(CONTENT_LENGTH);
        }
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }
}
