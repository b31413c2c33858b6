#!/bin/sh
# Install the system packages that the tests use, where that is possible.
#
# Without them the test suite still runs: tests that need a missing program are
# reported as skipped.  So this script always succeeds.

# One line for each: Debian package, program it provides, why the tests need it.
needed='
curl curl a widely used HTTP client, in tests/clients
openssl openssl a TLS client that shows every detail, in tests/clients
sslscan sslscan lists the protocols and ciphers that a server accepts, in tests/clients
postgresql initdb a database, for Django and its connections, in tests/apps
nginx nginx a proxy, in tests/proxies
libnginx-mod-stream /usr/lib/nginx/modules/ngx_stream_module.so its PROXY protocol, in tests/proxies
chromium chromium a browser, for WebSocket from a page, in tests/clients
gcc gcc a C compiler, for the compiled modules
python3-dev python3-config the headers of Python, for the compiled modules
'

# Debian keeps the programs of PostgreSQL out of PATH.
postgresql=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
PATH="$PATH${postgresql:+:$postgresql}"

missing_packages=''
missing_lines=''
while read -r package program reason; do
    if [ -n "$package" ] && ! command -v "$program" >/dev/null 2>&1; then
        missing_packages="$missing_packages $package"
        missing_lines="$missing_lines
  $program (package $package): $reason"
    fi
done <<EOL
$needed
EOL

if [ -z "$missing_packages" ]; then
    echo 'Every system package that the tests use is installed.'
    exit 0
fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing:$missing_packages"
    export DEBIAN_FRONTEND=noninteractive
    # The list is split into words on purpose.
    # shellcheck disable=SC2086
    if { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing_packages; } \
        >/dev/null; then
        exit 0
    fi
    echo 'apt-get failed.'
fi

echo "Missing programs; the tests that need them will be reported as not run:$missing_lines"
exit 0
