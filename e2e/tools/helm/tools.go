//go:build tools

// Package tools names the programs that go.mod and go.sum pin.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
