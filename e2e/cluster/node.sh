# The node: its address, containerd, kubelet, kube-proxy. Sourced by up.

# What a kubelet, a proxy and CNI set and never set back; down does.
sysctls="kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes vm.overcommit_memory vm.panic_on_oom
  net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.bridge.bridge-nf-call-iptables"
remember_sysctls() {
  local name
  for name in $sysctls; do
    if [ -e "/proc/sys/${name//.//}" ]; then echo "$name=$(sysctl -n "$name")"; fi
  done >"$dir/sysctls"
}

# The kubelet ends what it does not know in its part of the cgroups, so that part is not one of another kubelet.
cgroup_root() {
  local hierarchy
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$cgroup"
    return
  fi
  for hierarchy in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do mkdir -p "$hierarchy/$cgroup"; done
}

# The node's address is the run's own, so nothing depends on the machine's network. A bridge without ports: not every kernel has dummies.
# The route is for this machine's calls to Services: kube-proxy only sees what the kernel would send somewhere.
address() {
  ip link add "$link" type bridge
  ip address add "$node_ip/32" dev "$link"
  ip link set "$link" up
  ip route add "$services" dev "$link"
}

cni_config() {
  cat >"$dir/cni/10-bridge.conflist" <<JSON
{ "cniVersion": "1.0.0", "name": "$cni_network", "plugins": [
  { "type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "dataDir": "$dir/cni/state", "ranges": [[{ "subnet": "$pods" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } }] }
JSON
}

# overlayfs, where the directory's file system can carry it.
snapshotter() {
  local trial=$dir/containerd/trial
  mkdir -p "$trial"/{lower,upper,work,merged}
  if mount -t overlay -o "lowerdir=$trial/lower,upperdir=$trial/upper,workdir=$trial/work" overlay "$trial/merged" 2>/dev/null; then
    umount "$trial/merged"
    echo overlayfs
  else
    echo native
  fi
  rm -rf "$trial"
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE lowering the score is refused, and every container with it.
containerd_config() {
  cat >"$dir/containerd.toml" <<TOML
version = 3
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
  address = "$socket"
[ttrpc]
  address = "$dir/containerd/ttrpc.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "$dir/containerd/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "$(snapshotter)"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "$pause_image"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "$dir/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["$(dirname "$bin")/cni"]
    conf_dir = "$dir/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "$bin/runc"
      Root = "$dir/containerd/runc"
      SystemdCgroup = false
TOML
}

container_runtime() {
  cni_config
  containerd_config
  started containerd containerd --config "$dir/containerd.toml"
  waits containerd 60 ctr_here version
  "$here/image" "$dir" "$pause_image" "$test_image" >/dev/null
}

kubelet_config() {
  cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: "$dir/pki/ca.crt" } }
authorization: { mode: Webhook }
address: $node_ip
healthzPort: 0
port: $(port "$node_ip")
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {}
imageGCHighThresholdPercent: 100
clusterDNS: ["$node_ip"]
clusterDomain: cluster.local
podLogsDir: $dir/logs/pods
volumePluginDir: $dir/kubelet/plugins-exec
containerRuntimeEndpoint: unix://$socket
syncFrequency: 5s
nodeStatusUpdateFrequency: 5s
shutdownGracePeriod: 0s
YAML
}

kubelet_here() {
  kubelet_config
  started kubelet kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/pki/node.kubeconfig" --root-dir "$dir/kubelet" \
    --hostname-override "$node" --node-ip "$node_ip" --cert-dir "$dir/pki"
}

proxy() {
  cat >"$dir/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $pods
hostnameOverride: $node
conntrack: { maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
clientConnection: { kubeconfig: "$dir/pki/proxy.kubeconfig" }
healthzBindAddress: 127.0.0.1:$(port)
metricsBindAddress: 127.0.0.1:$(port)
iptables: { minSyncPeriod: 100ms, localhostNodePorts: false }
YAML
  started kube-proxy kube-proxy --config "$dir/proxy.yaml"
}
