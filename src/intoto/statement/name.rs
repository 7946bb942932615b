//! The one name under which an artifact of a statement goes to the rules (design §5). Each tool spells an image in its own way; a link,
//! an inspection and the layout's rules say `oci:<registry>/<repository>`.

use crate::{image::artifact_name, reference::Reference};

/// Off-spec: `file:<path>` is the path (ITE-4). witness writes its products so, and its materials as bare paths.
pub(super) fn of_file(name: &str) -> &str {
    match name.strip_prefix("file:") {
        Some(path) if !path.is_empty() && !path.starts_with('/') => path,
        _ => name,
    }
}

/// The artifact that is an image, where the name is one of an image:
///
/// * `registry.example.com/shop/api`, as cosign, Tekton Chains and GitHub name subjects, with or without tag and digest. The host must be
///   written out: `shop/api` is a path;
/// * `pkg:docker/…` and `pkg:oci/…`, the package URLs of BuildKit (`pkg:docker/` without a host is Docker Hub);
/// * `oci://registry.example.com/shop/api`, as Tekton Chains names materials.
///
/// A tag is dropped: a tag says nothing that the digest beside it does not. What cannot be read as an image keeps its name.
pub(super) fn of_image(name: &str) -> Option<String> {
    let reference = match name.strip_prefix("pkg:") {
        Some(purl) => of_package(purl)?,
        None => name.strip_prefix("oci://").unwrap_or(name).to_owned(),
    };
    let reference: Reference = has_host(&reference).then(|| reference.parse().ok())??;
    Some(artifact_name(&reference.name()))
}

/// Whether the text begins with a host as the grammar of references tells hosts from paths.
fn has_host(text: &str) -> bool {
    text.split_once('/').is_some_and(|(first, _)| first == "localhost" || first.contains(['.', ':']))
}

/// `docker/<path>@<version>?<qualifiers>#<subpath>` (the package URL specification, types docker and oci).
fn of_package(purl: &str) -> Option<String> {
    let (kind, rest) = purl.split_once('/')?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decoded(path.rsplit_once('@').map_or(path, |(path, _)| path))?;
    let repository = match qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("repository_url=")) {
        Some(url) => Some(decoded(url)?),
        None => None,
    };
    match (kind, repository) {
        ("docker", None) if has_host(&path) => Some(path),
        ("docker", None) => Some(format!("docker.io/{path}")),
        ("docker", Some(registry)) => Some(format!("{registry}/{path}")),
        ("oci", Some(repository)) => Some(repository),
        _ => None,
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_tool_calls_an_image_is_one_artifact() {
        for (name, image) in [
            ("registry.example.com/shop/api", "registry.example.com/shop/api"),
            ("registry.example.com/shop/api:v1", "registry.example.com/shop/api"),
            ("REGISTRY.example.com:443/shop/api", "registry.example.com/shop/api"),
            ("localhost:5000/api", "localhost:5000/api"),
            ("index.docker.io/library/busybox", "docker.io/library/busybox"),
            ("oci://gcr.io/tekton/git-init", "gcr.io/tekton/git-init"),
            ("pkg:docker/registry.example.com/shop/api@v1?platform=linux%2Famd64", "registry.example.com/shop/api"),
            ("pkg:docker/localhost%3A5000/api@v1", "localhost:5000/api"),
            ("pkg:docker/localhost:5000/api@v1", "localhost:5000/api"),
            ("pkg:docker/busybox@latest?platform=linux%2Famd64", "docker.io/library/busybox"),
            ("pkg:docker/cafe@v1", "docker.io/library/cafe"),
            ("pkg:docker/docker/dockerfile@1?digest=sha256:00", "docker.io/docker/dockerfile"),
            ("pkg:docker/shop/api@v1?repository_url=gcr.io", "gcr.io/shop/api"),
            ("pkg:oci/api@sha256%3A00?repository_url=ghcr.io%2Fshop%2Fapi&tag=v1", "ghcr.io/shop/api"),
        ] {
            assert_eq!(of_image(name).as_deref(), Some(format!("oci:{image}").as_str()), "{name}");
        }
    }

    #[test]
    fn everything_else_keeps_its_name() {
        for name in [
            "api",
            "shop/api",
            "api:v1",
            "_",
            "",
            "dist/api-1.0.tgz",
            ".github/workflows/x.yml",
            "v1.2/api",
            "My.app/Contents/Info.plist",
            "git+https://github.com/shop/api@refs/heads/main",
            "https://example.com/a",
            "oci:registry.example.com/shop/api",
            "oci://api",
            "pkg:npm/%40shop/api@1",
            "pkg:oci/api@sha256:00",
            "pkg:docker/",
            "pkg:docker/a%2",
            "pkg:docker/a%zz/b",
            "pkg:docker/a%ff/b",
            "pkg:docker",
            "pkg:",
        ] {
            assert_eq!(of_image(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_its_path() {
        for (name, path) in [("file:a/b", "a/b"), ("a", "a"), ("file:", "file:"), ("file:///a", "file:///a")] {
            assert_eq!(of_file(name), path);
        }
    }
}
