#!/bin/sh
# Install what some tests need beside Python, where this is Debian and we are root: Chromium for the
# station's pages, PostgreSQL and mosquitto for its database and messages. The tests start them.
# Elsewhere those tests skip, saying so. `make test` calls this; it does nothing if all is there.
set -u

missing=""
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v mosquitto >/dev/null || ls /usr/sbin/mosquitto >/dev/null 2>&1 || missing="$missing mosquitto"
command -v mosquitto_sub >/dev/null || missing="$missing mosquitto-clients"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed:$missing. The tests that need them are skipped; on Debian, as root: apt-get install$missing"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >/tmp/flawmap-services.log 2>&1 ||
    echo "apt-get could not install$missing (/tmp/flawmap-services.log): the tests that need them are skipped."
exit 0
