//! Which addresses we connect to (security §2.D1–D3). Names are looked up once a connection, by us, and what is checked is the address
//! that is then connected to; text is never trusted, because `0x7f.1` and `①27.0.0.1` are loopback too.

use crate::reason::{Fault, Reason};
use futures::future::BoxFuture;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use url::{Host, Url};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Out on the internet.
    Public,
    /// Only for a registry whose RegistryConfig says `allowPrivate`.
    Private(&'static str),
    /// No registry lives there, and what does should never hear from us: not even with `allowPrivate`.
    Never(&'static str),
}

/// Sorts an address by the special-purpose registries of IANA and the well-known metadata services.
pub fn space(address: IpAddr) -> Space {
    match address {
        IpAddr::V4(address) => space_v4(address),
        IpAddr::V6(address) => space_v6(address),
    }
}

fn space_v4(address: Ipv4Addr) -> Space {
    match address.octets() {
        [0, ..] => Space::Never("unspecified"),
        [169, 254, ..] => Space::Never("link-local"),
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Space::Never("a cloud's metadata service"),
        [255, 255, 255, 255] => Space::Never("broadcast"),
        [224..=239, ..] => Space::Never("multicast"),
        [127, ..] => Space::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Space::Private("private"),
        [100, 64..=127, ..] => Space::Private("shared (carrier-grade NAT)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Space::Private("for documentation"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => Space::Private("reserved"),
        _ => Space::Public,
    }
}

fn space_v6(address: Ipv6Addr) -> Space {
    let s = address.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Space::Never("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Space::Private("loopback"),
        [0, 0, 0, 0, 0, 0xffff, high, low] => carrier("IPv4-mapped", high, low),
        [0, 0, 0, 0, 0, 0, high, low] => carrier("IPv4-compatible", high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carrier("NAT64", high, low),
        [0x64, 0xff9b, 1, _, _, _, high, low] => carrier("NAT64", high, low),
        [0x2002, high, low, ..] => carrier("6to4", high, low),
        // RFC 4380: a Teredo client's address stands inverted in the last 32 bits.
        [0x2001, 0, _, _, _, _, high, low] => carrier("Teredo", !high, !low),
        [0xfd00, 0x0ec2, ..] => Space::Never("a cloud's metadata service"),
        [0xff00..=0xffff, ..] => Space::Never("multicast"),
        [0xfe80..=0xfebf, ..] => Space::Never("link-local"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Space::Private("unique local"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Space::Private("for documentation"),
        [0x2001, 0..=0x01ff, ..] => Space::Private("reserved"),
        [0x2000..=0x3fff, ..] => Space::Public,
        _ => Space::Private("reserved"),
    }
}

/// An IPv6 form that carries an IPv4 address is never public, and never better than what it carries.
fn carrier(form: &'static str, high: u16, low: u16) -> Space {
    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
    match space_v4(Ipv4Addr::new(a, b, c, d)) {
        Space::Never(kind) => Space::Never(kind),
        Space::Private(_) | Space::Public => Space::Private(form),
    }
}

/// The kind of place, if a registry with these rules may not be reached there.
fn refusal(address: IpAddr, allow_private: bool) -> Option<&'static str> {
    match space(address) {
        Space::Public => None,
        Space::Private(_) if allow_private => None,
        Space::Private(kind) | Space::Never(kind) => Some(kind),
    }
}

/// Checks a URL whose host is an address already: the connector does not ask the resolver about such. The URL parser has by now turned
/// every odd spelling into the address it means.
pub fn check_literal(url: &Url, allow_private: bool) -> Result<(), Fault> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Fault::new(Reason::RegistryRefused, "a registry's address has no host")),
    };
    match refusal(address, allow_private) {
        None => Ok(()),
        Some(kind) => Err(refused(&address.to_string(), kind)),
    }
}

fn refused(what: &str, kind: &str) -> Fault {
    Fault::new(Reason::RegistryRefused, format!("{what} is a {kind} address, and no RegistryConfig allows one for it"))
}

/// How names become addresses; the system's own way but for tests.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>);

impl Lookup {
    /// `getaddrinfo`, on a thread of its own.
    pub fn system() -> Self {
        Lookup::new(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
        })
    }
    pub fn new(lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static) -> Self {
        Lookup(Arc::new(lookup))
    }
}

/// Every address of a name was refused. Travels through the HTTP client as an error's source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub Fault);

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The resolver of one host's client: one lookup a connection, and only addresses that its rules allow are handed on.
pub struct Guard {
    pub lookup: Lookup,
    pub allow_private: bool,
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (lookup, allow_private) = (self.lookup.clone(), self.allow_private);
        Box::pin(async move {
            let found = (lookup.0)(name.as_str().to_owned()).await?;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|address| refusal(**address, allow_private).is_none())
                .map(|address| SocketAddr::new(*address, 0))
                .take(ADDRESSES_MAX)
                .collect();
            match (allowed.is_empty(), found.iter().find_map(|address| refusal(*address, allow_private))) {
                (true, Some(kind)) => Err(Refused(refused(&format!("{:?}", name.as_str()), kind)).into()),
                (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
                (false, _) => Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Space {
        space(address.parse().unwrap())
    }

    #[test]
    fn what_is_out_on_the_internet_is_public() {
        for address in
            ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "11.0.0.1", "169.253.1.1"]
        {
            assert_eq!(kind(address), Space::Public, "{address}");
        }
        for address in ["2606:4700::1111", "2a00::1", "2001:200::1", "2003::1"] {
            assert_eq!(kind(address), Space::Public, "{address}");
        }
    }

    #[test]
    fn what_is_inside_needs_allow_private() {
        for address in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "198.18.0.1",
            "240.0.0.1",
            "192.0.0.8",
            "::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "2001:db8::1",
            "3fff::1",
            "2001:20::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1.2.3.4",
            "2002:808:808::1",
            "2001:0:1::f7f7:f7f7",
            "4000::1",
            "100::1",
        ] {
            assert!(matches!(kind(address), Space::Private(_)), "{address} {:?}", kind(address));
            assert!(refusal(address.parse().unwrap(), false).is_some(), "{address}");
            assert!(refusal(address.parse().unwrap(), true).is_none(), "{address}");
        }
    }

    #[test]
    fn metadata_services_and_link_local_are_never_reached() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1::5601:5601",
        ] {
            assert!(matches!(kind(address), Space::Never(_)), "{address} {:?}", kind(address));
            assert!(refusal(address.parse().unwrap(), true).is_some(), "{address}");
        }
    }

    #[test]
    fn odd_literals_mean_the_address_they_mean() {
        // security §2.D2: what the URL parser makes of them is what would be connected to.
        for host in [
            "0x7f.1",
            "2130706433",
            "017700000001",
            "127.1",
            "①27.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            let url = Url::parse(&format!("https://{host}/v2/")).unwrap();
            assert_eq!(check_literal(&url, false).unwrap_err().reason, Reason::RegistryRefused, "{host}");
            assert_eq!(check_literal(&url, true), Ok(()), "{host}");
        }
        for host in ["0xa9fea9fe", "[::ffff:a9fe:a9fe]", "169.254.169.254"] {
            let url = Url::parse(&format!("https://{host}/v2/")).unwrap();
            assert_eq!(check_literal(&url, true).unwrap_err().reason, Reason::RegistryRefused, "{host}");
        }
        assert_eq!(check_literal(&Url::parse("https://registry.example.com/").unwrap(), false), Ok(()));
    }
}
