#!/bin/bash
# Plays stack.sh, unstack.sh or clean.sh: local.conf, the plug-ins' settings, and the plug-ins in each phase, in order.
#
# usage: run.sh stack|unstack|clean [LAST PHASE]
# Of the test: $LOCALRC, a file that sets variables; $DEST, where the plug-ins are.

set -o xtrace

TOP_DIR=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/functional/devstack/functions
source "$TOP_DIR/functions"
# shellcheck source=/dev/null
source "$LOCALRC"

# In a function, as in DevStack: what a plug-in declares without -g does not outlast the phase.
function run_plugins {
    local plugin
    for plugin in ${DEVSTACK_PLUGINS//,/ }; do
        # shellcheck source=/dev/null
        source "$DEST/$plugin/devstack/plugin.sh" "$@"
    done
}

function load_plugin_settings {
    local plugin
    for plugin in ${DEVSTACK_PLUGINS//,/ }; do
        if [[ -e "$DEST/$plugin/devstack/settings" ]]; then
            # shellcheck source=/dev/null
            source "$DEST/$plugin/devstack/settings"
        fi
    done
}

if [[ "$1" != stack ]]; then
    load_plugin_settings
    run_plugins "$1"
    exit 0
fi

set -o errexit
load_plugin_settings
for phase in pre-install install post-config extra test-config; do
    run_plugins stack $phase
    if [[ $phase == post-config && -n "$NOVA_CONF" ]]; then
        # stack.sh starts Nova here.
        for conf in "${NOVA_CONF%/*}"/nova*.conf; do
            cp "$conf" "$conf.started"
        done
    fi
    if [[ $phase == "${2:-}" ]]; then
        break
    fi
done
