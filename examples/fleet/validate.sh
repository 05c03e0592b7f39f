#!/bin/sh
# Checks every pair of this repository, and all pairs together. For any CI: it needs a checkout and the program hagit.
# It changes nothing, needs no root and no network, and ends with 1 if a controller would refuse the commit.
set -eu
cd "$(dirname "$0")"
exec hagit validate --all . "$@"
