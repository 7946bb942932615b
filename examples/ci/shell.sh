#!/bin/sh
# A release by hand, or by a CI system that is not known: who and where is said by variables.
set -eu
: "${TIDEWAITER_STORE:=https://store.example.com}"
: "${TIDEWAITER_KEY:=ci.pem}"
: "${TIDEWAITER_STORE_TOKEN_FILE:=token}"
: "${TIDEWAITER_RUN:=$(hostname)-$$}"
export TIDEWAITER_STORE TIDEWAITER_KEY TIDEWAITER_STORE_TOKEN_FILE TIDEWAITER_RUN

tidewaiter run --step test -m src Makefile -p report.xml -- make test
tidewaiter run --step build -m src Makefile -p dist -- make
tidewaiter push --wait 30s
