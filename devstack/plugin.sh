#!/bin/bash
# The phases of DevStack, which sources this file in each of them; what is done is in lib/ceilometer-paas.

# shellcheck source=devstack/lib/ceilometer-paas
source "$CEILOMETER_PAAS_DIR/devstack/lib/ceilometer-paas"

case "$1 ${2:-}" in
    "stack pre-install")
        check_ceilometer_paas_settings
        ;;
    "stack install")
        if is_ceilometer_paas_enabled; then
            echo_summary "Installing ceilometer_paas"
            install_ceilometer_paas
        fi
        ;;
    "stack post-config")
        # Nova starts after this phase, the services with a plug-in in the next one.
        configure_ceilometer_paas_services
        if is_ceilometer_paas_enabled; then
            echo_summary "Configuring ceilometer_paas"
            configure_ceilometer_paas
            create_ceilometer_paas_ledger
        fi
        ;;
    "stack extra")
        # A plug-in that comes after this one has written its service's file since, and starts the service after this.
        configure_ceilometer_paas_services
        if is_ceilometer_paas_enabled; then
            echo_summary "Starting ceilometer_paas"
            init_ceilometer_paas
            start_ceilometer_paas
        fi
        ;;
    "unstack ")
        if is_ceilometer_paas_enabled; then
            stop_ceilometer_paas
        fi
        ;;
    "clean ")
        cleanup_ceilometer_paas
        ;;
esac
