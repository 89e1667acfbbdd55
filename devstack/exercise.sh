#!/bin/bash
# Whether a running DevStack meters: a usage record, sent to its bus as a service sends one, comes out as a published
# sample, and the ledger knows the life of what it speaks of. Nobody but ceilometer_paas hears of it.
#
# usage: exercise.sh     as the user who ran stack.sh
# Exit status: 0 if so; 1 if not, with the reason; 55 if ceilometer_paas is not configured here.

set -o errexit
set -o xtrace

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck source=/dev/null
source "${DEVSTACK_DIR:-$HOME/devstack}/openrc" admin admin

CONF=${CEILOMETER_CONF:-/etc/ceilometer/ceilometer.conf}
BIN_DIR=$(get_python_exec_prefix)
SECONDS_TO_WAIT=${CEILOMETER_PAAS_EXERCISE_TIMEOUT:-60}

function ceilometer_paas {
    "$BIN_DIR/ceilometer-paas" --config-file "$CONF" "$@"
}

# wait_until WHAT COMMAND...
function wait_until {
    local what=$1 end
    shift
    end=$((SECONDS + SECONDS_TO_WAIT))
    until "$@"; do
        if [[ $SECONDS -ge $end ]]; then
            echo "FAILED, not within $SECONDS_TO_WAIT s: $what" >&2
            ceilometer_paas check --connect >&2 || true
            ceilometer_paas quarantine list >&2 || true
            exit 1
        fi
        sleep 1
    done
}

function is_published {
    grep --no-messages --quiet "\"resource_id\": \"$RESOURCE\"" "$SAMPLES"
}

function is_known {
    ceilometer_paas resource list --resource-type exercise --state active -f value | grep --quiet "^$RESOURCE "
}

if [[ ! -r "$CONF" ]] || ! ini_has_option "$CONF" paas sources_file; then
    exit 55
fi
SAMPLES=$(iniget "$CONF" paas state_path)/samples
RESOURCE=exercise-$(date +%s%N)

"$BIN_DIR/python3" "$HERE/send_usage.py" "$CONF" exercise.exists "$RESOURCE"
wait_until "the usage record is a published sample" is_published
wait_until "the ledger knows the resource" is_known
"$BIN_DIR/python3" "$HERE/send_usage.py" "$CONF" exercise.delete "$RESOURCE"

set +o xtrace
echo "SUCCESS: ceilometer_paas meters"
