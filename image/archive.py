"""The OCI archive of our image: archive.py ROOT BINARY REPOSITORY VERSION OUT. Two layers, so that an update is the program alone.

Refused: a program that asks for a newer C library than the one that goes with it, which would not start."""

import glob, gzip, hashlib, io, json, os, platform, re, subprocess, sys, tarfile

root, binary, repository, version, out = sys.argv[1:]
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
LIBRARIES = f"{root}/lib/x86_64-linux-gnu"


def layer(files):
    """A gzipped tar of {path: (mode, content)}, and the digest of what is in it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, EPOCH
            archive.addfile(info)
        for path, (mode, content) in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.mode, info.size, info.mtime = mode, len(content), EPOCH
            archive.addfile(info, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=6) as file:
        file.write(raw.getvalue())
    return packed.getvalue(), hashlib.sha256(raw.getvalue()).hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def needed(program):
    """Names of the shared libraries that a program asks for."""
    text = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)


def glibc(program, part):
    """The versions of the C library that a program needs (.gnu.version_r) or a library offers (.gnu.version_d)."""
    text = subprocess.run(["readelf", "-V", "-W", program], check=True, capture_output=True, text=True).stdout
    sections = re.split(r"(?m)^Version \w+ section ", text)
    return set(re.findall(r"\bGLIBC_[\w.]+", "".join(it for it in sections if it.startswith(f"'{part}'"))))


if platform.machine() != "x86_64":
    sys.exit(f"image: this machine is {platform.machine()}, and the image is of x86_64 alone")
libraries, wanted = {}, needed(binary)
while wanted:
    name = wanted.pop()
    if name not in libraries:
        libraries[name] = f"{LIBRARIES}/{name}"
        wanted += needed(libraries[name])
offered = set().union(*(glibc(path, ".gnu.version_d") for path in libraries.values()))
if too_new := sorted(glibc(binary, ".gnu.version_r") - offered):
    sys.exit(f"image: the program needs {', '.join(too_new)}, and the image's C library has no such version: build it on Debian bookworm")
loader = "ld-linux-x86-64.so.2"
libraries.pop(loader, None)
certificates = sorted(glob.glob(f"{root}/usr/share/ca-certificates/mozilla/*.crt"))
base = {f"lib/x86_64-linux-gnu/{name}": (0o755, read(path)) for name, path in libraries.items()}
base[f"lib64/{loader}"] = (0o755, read(f"{LIBRARIES}/{loader}"))
base["etc/ssl/certs/ca-certificates.crt"] = (0o644, b"".join(map(read, certificates)))
base["etc/passwd"] = (0o644, b"root:x:0:0:root:/:/nologin\nnonroot:x:65532:65532:nonroot:/:/nologin\n")
base["etc/group"] = (0o644, b"root:x:0:\nnonroot:x:65532:\n")
base["etc/nsswitch.conf"] = (0o644, b"hosts: files dns\n")

blobs = {}


def blob(content, media_type):
    digest = hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def document(value, media_type):
    return blob(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), media_type)


layers = [layer(base), layer({"usr/bin/tidewaiter": (0o755, read(binary))})]
labels = {
    "org.opencontainers.image.title": "tidewaiter",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": "Apache-2.0",
}
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"User": "65532:65532", "Entrypoint": ["/usr/bin/tidewaiter"], "WorkingDir": "/", "Labels": labels},
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{inner}" for _, inner in layers]},
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
manifest = document(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": document(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip") for packed, _ in layers],
        "annotations": labels,
    },
    MANIFEST,
)
# What containerd calls it after an import, and no part of the digest: the name that the chart asks for.
manifest["annotations"] = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"{repository}:{version}"}
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index, sort_keys=True).encode()}
files |= {f"blobs/sha256/{digest}": content for digest, content in blobs.items()}
with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
    for path, content in sorted(files.items()):
        info = tarfile.TarInfo(path)
        info.mode, info.size, info.mtime = 0o644, len(content), EPOCH
        archive.addfile(info, io.BytesIO(content))
print(manifest["digest"], f"{sum(len(packed) for packed, _ in layers) / 1e6:.1f} MB")
