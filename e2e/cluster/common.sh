# What the scripts here share: names, addresses, who owns them, and where things lie. Sourced with the run's directory as $1.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 1 ] || { sed -n '2,/^\. /{/^# /s/^# //p;}' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
say() { echo "cluster: $*" >&2; }
[ "$(id -u)" = 0 ] || { say "needs root: a kubelet mounts and a proxy writes iptables"; exit 2; }

# One cluster at a time: iptables, and the names and addresses below are the machine's. Whose they are stands in $claim.
claim=/run/tidewaiter-cluster/owner
node=node0 link=tw0 bridge=twbr0 cni_network=tidewaiter-e2e
node_ip=10.99.0.1 services=10.97.0.0/16 kubernetes_ip=10.97.0.1 pods=10.98.0.0/24
cgroup=tidewaiter-e2e-$(sha256sum <<<"$dir" | cut -c1-8)
socket=$dir/containerd/containerd.sock
test_image=docker.io/tidewaiter/busybox:e2e pause_image=docker.io/tidewaiter/pause:e2e

owner() { cat "$claim" 2>/dev/null || true; }

# programs: puts the pinned ones first, and $bin is where they are.
programs() {
  bin=${TIDEWAITER_CLUSTER_TOOLS_DIR:-$("$here/../tools/install")}
  export PATH=$bin:$PATH
}

ctr_here() { ctr --address "$socket" -n k8s.io "$@"; }

# imported ARCHIVE: its images into the node.
imported() {
  ctr_here images import "$1" >"$dir/logs/import.log" 2>&1 || { cat "$dir/logs/import.log" >&2; return 1; }
}

# What the kubelet, kube-proxy and CNI write into iptables, by the names of their chains.
chains='(KUBE|CNI)-'
foreign_chains() { { iptables-save; ip6tables-save; } 2>/dev/null | grep -E "^:$chains" | sort -u; }

# The cgroups of this cluster, in each hierarchy that has them.
cgroup_roots() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$cgroup"; }
