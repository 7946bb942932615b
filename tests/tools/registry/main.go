// Registry for the tests: go-containerregistry's, behind a handler that makes it follow the distribution
// specification where the library does not: artifactType of referrers, filters, paging, OCI-Subject, the digests of
// manifests, and Location of what was pushed. With -referrers=none there is no referrers API. Basic and bearer
// authentication by flag. Every request is one line on the log: METHOD PATH STATUS.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

type options struct {
	referrers string // api | none
	page      int
	auth      string // none | basic | bearer
	user      string // name:password
	delay     time.Duration
}

type server struct {
	inner http.Handler
	opts  options
	mu    sync.Mutex
	// tokens handed out, and manifests pushed: repository → digest → bytes
	tokens    map[string]string
	manifests map[string]map[string][]byte
	log       *log.Logger
	scheme    string
}

func main() {
	var o options
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on; the one in use is printed on the first line of standard output")
	cert := flag.String("cert", "", "TLS certificate")
	key := flag.String("key", "", "TLS key")
	flag.StringVar(&o.referrers, "referrers", "api", "api or none")
	flag.IntVar(&o.page, "page", 0, "referrers in one page; 0: all")
	flag.StringVar(&o.auth, "auth", "none", "none, basic or bearer")
	flag.StringVar(&o.user, "user", "", "name:password")
	flag.DurationVar(&o.delay, "delay", 0, "added to every answer")
	flag.Parse()

	quiet := log.New(io.Discard, "", 0)
	s := &server{
		inner:     registry.New(registry.Logger(quiet)),
		opts:      o,
		tokens:    map[string]string{},
		manifests: map[string]map[string][]byte{},
		log:       log.New(os.Stderr, "", 0),
		scheme:    "http",
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().String())
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	if *cert != "" {
		s.scheme = "https"
		log.Fatal(web.ServeTLS(listener, *cert, *key))
	}
	log.Fatal(web.Serve(listener))
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.opts.delay > 0 {
		time.Sleep(s.opts.delay)
	}
	recorded := &status{ResponseWriter: w, code: 200}
	s.answer(recorded, r)
	s.log.Printf("%s %s %d", r.Method, r.URL.RequestURI(), recorded.code)
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		s.token(w, r)
		return
	}
	if !s.admitted(r) {
		s.challenge(w, r)
		return
	}
	repository, kind, name := split(r.URL.Path)
	switch {
	case kind == "referrers" && r.Method == http.MethodGet:
		s.listReferrers(w, r, repository, name)
	case kind == "manifests" && r.Method == http.MethodPut:
		s.putManifest(w, r, repository, name)
	case kind == "blobs" && r.Method == http.MethodPut:
		w.Header().Set("Location", "/v2/"+repository+"/blobs/"+r.URL.Query().Get("digest"))
		s.inner.ServeHTTP(w, r)
	default:
		s.inner.ServeHTTP(w, r)
	}
}

// split takes /v2/<repository>/<kind>/<name> apart.
func split(path string) (repository, kind, name string) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return
	}
	for _, k := range []string{"manifests", "referrers", "blobs", "tags"} {
		if i := strings.LastIndex(rest, "/"+k+"/"); i > 0 {
			return rest[:i], k, rest[i+len(k)+2:]
		}
	}
	return
}

func (s *server) admitted(r *http.Request) bool {
	switch s.opts.auth {
	case "basic":
		name, password, ok := r.BasicAuth()
		return ok && name+":"+password == s.opts.user
	case "bearer":
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return false
		}
		s.mu.Lock()
		scope, known := s.tokens[token]
		s.mu.Unlock()
		repository, _, _ := split(r.URL.Path)
		return known && (repository == "" || strings.Contains(scope, "repository:"+repository+":"))
	}
	return true
}

func (s *server) challenge(w http.ResponseWriter, r *http.Request) {
	if s.opts.auth == "basic" {
		w.Header().Set("WWW-Authenticate", `Basic realm="tests"`)
	} else {
		repository, _, _ := split(r.URL.Path)
		challenge := fmt.Sprintf(`Bearer realm="%s://%s/token",service="tests"`, s.scheme, r.Host)
		if repository != "" {
			actions := "pull"
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				actions = "pull,push"
			}
			challenge += fmt.Sprintf(`,scope="repository:%s:%s"`, repository, actions)
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	name, password, ok := r.BasicAuth()
	if !ok && r.Method == http.MethodPost && r.ParseForm() == nil {
		name, password = r.PostForm.Get("username"), r.PostForm.Get("password")
	}
	if name+":"+password != s.opts.user {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	token := hex.EncodeToString(raw)
	scopes := append([]string{}, r.URL.Query()["scope"]...)
	scopes = append(scopes, r.PostForm["scope"]...)
	s.mu.Lock()
	s.tokens[token] = strings.Join(scopes, " ")
	s.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

func (s *server) putManifest(w http.ResponseWriter, r *http.Request, repository, name string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20+1))
	if err != nil || len(body) > 4<<20 {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if strings.HasPrefix(name, "sha256:") && name != digest {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":[{"code":"DIGEST_INVALID","message":"the manifest does not have this digest"}]}`)
		return
	}
	inner := r.Clone(r.Context())
	inner.Body = io.NopCloser(bytes.NewReader(body))
	inner.ContentLength = int64(len(body))
	answer := httptest.NewRecorder()
	s.inner.ServeHTTP(answer, inner)
	if answer.Code < 300 {
		s.mu.Lock()
		if s.manifests[repository] == nil {
			s.manifests[repository] = map[string][]byte{}
		}
		s.manifests[repository][digest] = body
		s.mu.Unlock()
		var m manifest
		if s.opts.referrers == "api" && json.Unmarshal(body, &m) == nil && m.Subject != nil {
			w.Header().Set("OCI-Subject", m.Subject.Digest)
		}
	}
	if answer.Code < 300 {
		w.Header().Set("Location", "/v2/"+repository+"/manifests/"+digest)
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

func (s *server) listReferrers(w http.ResponseWriter, r *http.Request, repository, subject string) {
	if s.opts.referrers != "api" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	filter := r.URL.Query().Get("artifactType")
	found := []descriptor{}
	s.mu.Lock()
	for digest, body := range s.manifests[repository] {
		var m manifest
		if json.Unmarshal(body, &m) != nil || m.Subject == nil || m.Subject.Digest != subject {
			continue
		}
		artifact := m.ArtifactType
		if artifact == "" && m.Config != nil {
			artifact = m.Config.MediaType
		}
		if filter != "" && filter != artifact {
			continue
		}
		found = append(found, descriptor{m.MediaType, digest, len(body), artifact, m.Annotations})
	}
	s.mu.Unlock()
	sort.Slice(found, func(i, j int) bool { return found[i].Digest < found[j].Digest })
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if s.opts.page > 0 {
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		start = min(max(start, 0), len(found))
		end := min(start+s.opts.page, len(found))
		if end < len(found) {
			next := r.URL.Query()
			next.Set("start", strconv.Itoa(end))
			w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, next.Encode()))
		}
		found = found[start:end]
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	json.NewEncoder(w).Encode(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.index.v1+json",
		"manifests":     found,
	})
}
