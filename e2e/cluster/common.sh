# What up and down share: names, addresses, and where things lie. Sourced with the run's directory in $dir.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 1 ] || { echo "usage: $(basename "$0") DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# One cluster at a time: iptables and the names below are the machine's.
node=node0 link=tw0 bridge=twbr0
node_ip=10.99.0.1 services=10.97.0.0/16 kubernetes_ip=10.97.0.1 pods=10.98.0.0/24
say() { echo "cluster: $*" >&2; }

# ended FILE: ends the process whose pid the file holds, and waits for it.
ended() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  if kill -TERM "$pid" 2>/dev/null; then
    # Nothing of a run outlives it: who takes longer than this to say goodbye is not waited for.
    for _ in $(seq 30); do
      grep -qsv '^State:.Z' <(grep '^State' "/proc/$pid/status" 2>/dev/null) || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$1"
}
