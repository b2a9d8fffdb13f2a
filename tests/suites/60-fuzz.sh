#!/usr/bin/env bash
# A short pass of every fuzz target. Findings of longer ones (scripts/fuzz 3600) belong into fuzz/seeds.
exec "$(dirname "$0")/../../scripts/fuzz" 10
