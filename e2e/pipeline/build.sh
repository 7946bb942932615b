# An OCI image layout directory of src/, without a container engine: one layer, its configuration, its manifest.
# The name is in the configuration, so that two images are never the same one.
set -eu
name=$1
rm -rf root image
mkdir -p root/bin image/blobs/sha256
cp src/app.sh root/app.sh
cp src/busybox root/bin/busybox
for program in sh cat sleep wget; do ln -s busybox "root/bin/$program"; done
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf layer.tar -C root .

# blob FILE: into the layout; its descriptor's digest and size in $digest and $size.
blob() {
  digest=$(sha256sum <"$1" | cut -c1-64)
  size=$(($(wc -c <"$1")))
  cp "$1" "image/blobs/sha256/$digest"
}
blob layer.tar
layer="{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:$digest\",\"size\":$size}"
cat >config.json <<JSON
{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/sh","/app.sh"],"Env":["PATH=/bin"],"Labels":{"name":"$name"}},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]}}
JSON
blob config.json
config="{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size}"
media=application/vnd.oci.image.manifest.v1+json
echo "{\"schemaVersion\":2,\"mediaType\":\"$media\",\"config\":$config,\"layers\":[$layer]}" >manifest.json
blob manifest.json
echo '{"imageLayoutVersion":"1.0.0"}' >image/oci-layout
echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"$media\",\"digest\":\"sha256:$digest\",\"size\":$size}]}" >image/index.json
