#!/bin/bash
# Ceilometer's plug-in, as far as it matters: the directory, ceilometer.conf, and the notification agent.

case "$1 ${2:-}" in
    "stack install")
        mkdir -p "${CEILOMETER_CONF%/*}"
        ;;
    "stack post-config")
        iniset_rpc_backend ceilometer "$CEILOMETER_CONF"
        for name in pipeline event_pipeline; do
            cat > "${CEILOMETER_CONF%/*}/$name.yaml" <<EOT
sources: [{name: all, meters: ["*"], events: ["*"], sinks: [file]}]
sinks: [{name: file, publishers: ["file://$UNITS/$name?json"]}]
EOT
        done
        ;;
    "stack extra")
        run_process ceilometer-anotification \
            "$(get_python_exec_prefix)/ceilometer-agent-notification --config-file $CEILOMETER_CONF"
        ;;
    "unstack ")
        stop_process ceilometer-anotification
        ;;
    "clean ")
        rm -f "${CEILOMETER_CONF%/*}"/*
        rmdir "${CEILOMETER_CONF%/*}"
        ;;
esac
