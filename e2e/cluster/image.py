"""An OCI archive with busybox as its only program: image.py BUSYBOX NAME OUT [COMMAND…]. The same input gives the same bytes."""

import hashlib, io, json, sys, tarfile

busybox, name, out, *command = sys.argv[1:]
APPLETS = ["sh", "sleep", "cat", "ls", "wget", "nc", "httpd", "echo", "true", "false", "id", "nslookup", "touch"]


def tar(files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content, link in files:
            info = tarfile.TarInfo(path)
            info.mode = 0o755
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


blobs = {}


def blob(content, media_type):
    digest = hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def document(value, media_type):
    return blob(json.dumps(value, sort_keys=True).encode(), media_type)


with open(busybox, "rb") as file:
    layer = tar([("bin/busybox", file.read(), "")] + [(f"bin/{applet}", b"", "busybox") for applet in APPLETS])
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Entrypoint": command or ["/bin/sleep", "infinity"], "Env": ["PATH=/bin"], "Labels": {"name": name}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
}
manifest = document(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": document(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(layer, "application/vnd.oci.image.layer.v1.tar")],
    },
    "application/vnd.oci.image.manifest.v1+json",
)
manifest["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[-1]}
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
files = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', ""), ("index.json", json.dumps(index).encode(), "")]
files += [(f"blobs/sha256/{digest}", content, "") for digest, content in sorted(blobs.items())]
with open(out, "wb") as file:
    file.write(tar(files))
print(manifest["digest"])
