#!/bin/sh
# Has a broker dead-letter what oslo.messaging rejects from our queues (a body that is not JSON, an unknown envelope) to
# the exchange that sources.yaml names as dead_letter_exchange; without it the broker forgets such messages.
# A queue has one policy at a time: if yours needs limits as well, put them into this one. Queues with other names (an own
# topic's, such as metering.info) need the like for their names.
#
# usage: rabbitmq_policy.sh [VHOST]     (on the broker's host, as a user that may run rabbitmqctl)
set -eu
rabbitmqctl set_policy --vhost "${1:-/}" --apply-to queues --priority 10 \
    ceilometer-paas '^ceilometer-paas\.(?!dead$)' '{"dead-letter-exchange": "ceilometer-paas.dead"}'
