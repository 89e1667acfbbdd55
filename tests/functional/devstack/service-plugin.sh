#!/bin/bash
# A service's plug-in, as those of Trove, Designate, Octavia, Manila and Magnum are: it writes its file anew in one
# phase, and starts the service in the next. The copy is what the service has read. Its directory's name is the
# service's.

name=${BASH_SOURCE[0]%/devstack/plugin.sh}
name=${name##*/}
conf=${name^^}_CONF
conf=${!conf}
case "$1 ${2:-}" in
    "stack post-config")
        mkdir -p "${conf%/*}"
        rm -f "$conf"
        printf '[DEFAULT]\ndebug = True\n# driver = \n\n[oslo_messaging_notifications]\n# driver = \n' > "$conf"
        iniset_rpc_backend "$name" "$conf"
        ;;
    "stack extra")
        cp "$conf" "$conf.started"
        ;;
esac
