//! D1–D3, D11: which addresses are connected to, and over what.

use super::*;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[tokio::test]
async fn a_private_address_is_for_hosts_that_are_allowed_one() {
    let pki = Pki::new();
    let double = Double::secure(&pki, honest).await;
    reads(Reader::with(&double, vec![secure(&double, &pki)], Limits::default()).manifest().await, MANIFEST);

    let strict = HostConfig { allow_private: false, ..secure(&double, &pki) };
    for hosts in [vec![], vec![strict]] {
        let reader = Reader::with(&double, hosts, Limits::default());
        refuses(reader.manifest().await, Reason::RegistryRefused);
    }
    assert_eq!(double.seen().len(), 1);
}

#[tokio::test]
async fn an_address_in_the_name_s_place_is_checked_too() {
    let pki = Pki::new();
    let double = Double::secure(&pki, honest).await;
    let literal = format!("127.0.0.1:{}", double.port);
    let allowed = registries(vec![named(&literal, &pki)], Limits::default());
    reads(allowed.manifest(&repository(&literal), &manifest_digest(), soon()).await, MANIFEST);

    let strict = registries(vec![], Limits::default());
    // D2: each of these is loopback, or link-local, to who connects.
    for odd in
        ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "0xa9fea9fe"]
    {
        let host = format!("{odd}:{}", double.port);
        let found = strict.manifest(&repository(&host), &manifest_digest(), soon()).await;
        refuses(found, Reason::RegistryRefused);
    }
    assert_eq!((double.seen().len(), strict.requests()), (1, 0));
}

#[tokio::test]
async fn a_metadata_service_is_refused_even_with_allow_private() {
    for address in ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "0.0.0.0"] {
        let rules = HostConfig { host: address.into(), allow_private: true, insecure: true, ..HostConfig::default() };
        let reader = registries(vec![rules], Limits::default());
        refuses(reader.manifest(&repository(address), &manifest_digest(), soon()).await, Reason::RegistryRefused);
        assert_eq!(reader.requests(), 0);
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_a_connection_and_each_time_checked() {
    let double = Double::plain(|seen| [honest(seen), vec![Act::Close]].concat()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // D3: first the registry, then the metadata service.
    let rebinding = Lookup::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let address = if first { [127, 0, 0, 1] } else { [169, 254, 169, 254] };
        Box::pin(async move { Ok(vec![IpAddr::from(address)]) })
    });
    let reader = Registries::with(vec![plain(&double)], None, Limits::default(), rebinding).unwrap();
    let repository = repository(&host(&double));
    reads(reader.manifest(&repository, &manifest_digest(), soon()).await, MANIFEST);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    refuses(reader.blob(&repository, &blob_digest(), 1024, soon()).await, Reason::RegistryRefused);
    assert_eq!(double.seen().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_those_allowed_are_tried() {
    let double = Double::plain(honest).await;
    let of = |addresses: &'static [[u8; 4]]| {
        let lookup =
            Lookup::new(move |_| Box::pin(async move { Ok(addresses.iter().map(|a| IpAddr::from(*a)).collect()) }));
        Registries::with(vec![plain(&double)], None, Limits::default(), lookup).unwrap()
    };
    let repository = repository(&host(&double));
    let mixed = of(&[[169, 254, 169, 254], [127, 0, 0, 1]]);
    reads(mixed.manifest(&repository, &manifest_digest(), soon()).await, MANIFEST);
    let bad = of(&[[169, 254, 169, 254], [0, 0, 0, 0]]);
    refuses(bad.manifest(&repository, &manifest_digest(), soon()).await, Reason::RegistryRefused);
    let none = of(&[]);
    refuses(none.manifest(&repository, &manifest_digest(), soon()).await, Reason::RegistryUnreachable);
}

#[tokio::test]
async fn plain_http_is_for_hosts_that_say_so() {
    let double = Double::plain(honest).await;
    reads(Reader::plain(&double).manifest().await, MANIFEST);
    assert!(Reader::plain(&double).registries.warning(&host(&double)).is_some());
    let https = HostConfig { insecure: false, ..plain(&double) };
    let reader =
        Reader::with(&double, vec![https], Limits { connect: Duration::from_millis(200), ..Limits::default() });
    assert_eq!(reader.registries.warning(&host(&double)), None);
    refuses(reader.manifest().await, Reason::RegistryUnreachable);
    assert_eq!(double.seen().len(), 1, "nothing was asked in the clear");
}

#[tokio::test]
async fn credentials_and_plain_http_are_refused_together() {
    let double = Double::plain(honest).await;
    let config = docker_config(&[&host(&double)]);
    let load = |rules: HostConfig, shared: bool| {
        let shared = shared.then(|| config.path());
        Registries::with(vec![rules], shared, Limits::default(), lookup()).map(drop)
    };
    let own = HostConfig { docker_config: Some(config.path().to_owned()), ..plain(&double) };
    for (rules, shared) in [(own.clone(), false), (plain(&double), true)] {
        let error = load(rules, shared).unwrap_err().to_string();
        assert!(error.contains("insecure"), "{error}");
    }
    load(plain(&double), false).unwrap();
    load(HostConfig { insecure: false, ..own }, false).unwrap();
}

#[tokio::test]
async fn a_configuration_that_cannot_be_honoured_is_an_error() {
    let rules = HostConfig { host: "r.test".into(), ..HostConfig::default() };
    let load = |hosts: Vec<HostConfig>| Registries::with(hosts, None, Limits::default(), lookup()).map(drop);
    load(vec![rules.clone()]).unwrap();
    assert!(load(vec![rules.clone(), rules.clone()]).is_err(), "one host twice");
    assert!(load(vec![HostConfig { host: "a/b".into(), ..rules.clone() }]).is_err(), "no host");
    assert!(load(vec![HostConfig { ca_bundle: Some("x".into()), ..rules.clone() }]).is_err(), "no CA");
    let elsewhere = docker_config(&["other.test"]);
    assert!(
        load(vec![HostConfig { docker_config: Some(elsewhere.path().into()), ..rules }]).is_err(),
        "no credentials"
    );
}
