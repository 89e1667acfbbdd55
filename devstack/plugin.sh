#!/bin/bash
# The phases of DevStack; what each does is in lib/ceilometer-paas.

source "$CEILOMETER_PAAS_DIR/devstack/lib/ceilometer-paas"

if is_service_enabled ceilometer-apaas; then
    case "$1 ${2:-}" in
        "stack install")
            install_ceilometer_paas
            ;;
        "stack post-config")
            configure_ceilometer_paas
            ;;
        "stack extra")
            start_ceilometer_paas
            ;;
        "unstack ")
            stop_ceilometer_paas
            ;;
        "clean ")
            cleanup_ceilometer_paas
            ;;
    esac
fi
