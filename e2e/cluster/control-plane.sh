# etcd, API server, controller-manager, scheduler and the cluster's DNS, on this machine's side. Sourced by up.

# One CA; the API server's certificate for all the names it is called by, and the one it shows to the kubelet.
pki() {
  local names="DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:$kubernetes_ip,IP:$node_ip"
  cd "$dir/pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=e2e-ca \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.crt
  issued server /CN=kube-apiserver "subjectAltName=$names" extendedKeyUsage=serverAuth
  issued kubelet-client /O=system:masters/CN=kube-apiserver extendedKeyUsage=clientAuth
  openssl genrsa -out sa.key 2048
  openssl rsa -in sa.key -pubout -out sa.pub
  cd - >/dev/null
}

# issued NAME SUBJECT EXTENSION…
issued() {
  local name=$1 subject=$2
  shift 2
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" -keyout "$name.key" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile <(printf '%s\n' "$@") -out "$name.crt"
}

# user NAME GROUP KUBECONFIG: one more row of who may come in, and the file with which to.
user() {
  local token
  token=$(openssl rand -hex 16)
  echo "$token,$1,$1,$2" >>"$dir/tokens.csv"
  cat >"$3" <<YAML
apiVersion: v1
kind: Config
clusters: [{ name: e2e, cluster: { server: "https://$node_ip:$api_port", certificate-authority: "$dir/pki/ca.crt" } }]
users: [{ name: "$1", user: { token: "$token" } }]
contexts: [{ name: e2e, context: { cluster: e2e, user: "$1" } }]
current-context: e2e
YAML
}

users() {
  : >"$dir/tokens.csv"
  user admin system:masters "$dir/kubeconfig"
  user dev developers "$dir/kubeconfig.dev"
  user security security "$dir/kubeconfig.security"
  user "system:node:$node" system:nodes "$dir/pki/node.kubeconfig"
  user system:kube-controller-manager "" "$dir/pki/controller.kubeconfig"
  user system:kube-scheduler "" "$dir/pki/scheduler.kubeconfig"
  user system:kube-proxy "" "$dir/pki/proxy.kubeconfig"
  user e2e:dns "" "$dir/pki/dns.kubeconfig"
}

# Everything but the chatter of the cluster's own parts, with the annotations that webhooks give.
audit_policy() {
  cat >"$dir/audit-policy.yaml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - { level: None, users: ["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "e2e:dns"], verbs: [get, list, watch] }
  - { level: None, userGroups: ["system:nodes"], verbs: [get, list, watch, patch, update] }
  - { level: Metadata }
YAML
}

etcd_and_api_server() {
  local etcd_port peer_port
  etcd_port=$(port) peer_port=$(port) api_port=$(port "$node_ip")
  users
  audit_policy
  started etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-cluster "default=http://127.0.0.1:$peer_port"
  waits etcd 30 curl -sSf --max-time 5 "http://127.0.0.1:$etcd_port/readyz"
  started kube-apiserver kube-apiserver --etcd-servers "http://127.0.0.1:$etcd_port" --secure-port "$api_port" --bind-address "$node_ip" \
    --advertise-address "$node_ip" --tls-cert-file "$dir/pki/server.crt" --tls-private-key-file "$dir/pki/server.key" \
    --token-auth-file "$dir/tokens.csv" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/pki/sa.pub" \
    --service-account-signing-key-file "$dir/pki/sa.key" --service-cluster-ip-range "$services" --allow-privileged \
    --audit-policy-file "$dir/audit-policy.yaml" --audit-log-path "$dir/logs/audit.log" --audit-log-mode blocking \
    --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$dir/pki/kubelet-client.crt" --kubelet-client-key "$dir/pki/kubelet-client.key"
  waits kube-apiserver 120 kube get --raw '/readyz?verbose' --request-timeout 10s
}

controllers() {
  started kube-controller-manager kube-controller-manager --kubeconfig "$dir/pki/controller.kubeconfig" --leader-elect=false \
    --service-account-private-key-file "$dir/pki/sa.key" --root-ca-file "$dir/pki/ca.crt" --bind-address 127.0.0.1 \
    --secure-port "$(port)" --use-service-account-credentials
  started kube-scheduler kube-scheduler --kubeconfig "$dir/pki/scheduler.kubeconfig" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$(port)"
  # No pod is admitted without it.
  waits kube-controller-manager 60 kube get serviceaccount default
}

# dev edits namespaces and what is in them, and no more; security is given its rights by what a test installs.
rights() {
  kube apply -f - >/dev/null <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: "e2e:namespaces" }
rules:
  - { apiGroups: [""], resources: [namespaces], verbs: [get, list, watch, create, update, patch, delete] }
  - { apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [patch, update] } # kubectl debug
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: "e2e:developers-namespaces" }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "e2e:namespaces" }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: "e2e:developers-edit" }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: "e2e:dns" }
rules:
  - { apiGroups: [""], resources: [services, namespaces], verbs: [list, watch] }
  - { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: "e2e:dns" }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "e2e:dns" }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: "e2e:dns" }]
YAML
}

# Names of Services, for pods (the kubelet writes this address into their resolv.conf). Names outside the cluster have no answer.
dns() {
  local ready
  ready=$(port)
  cat >"$dir/Corefile" <<CONF
.:53 {
  bind $node_ip
  errors
  ready 127.0.0.1:$ready
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $dir/pki/dns.kubeconfig
  }
}
CONF
  started coredns coredns -conf "$dir/Corefile"
  waits coredns 60 curl -sSf --max-time 5 "http://127.0.0.1:$ready/ready"
}
