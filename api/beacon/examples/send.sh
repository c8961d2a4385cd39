#!/bin/sh
# Send one event with curl. THRONG_EVENTS is the address of POST /v1/events, THRONG_KEY a key; the argument is the user.
# Run again with the same source, the same event still counts once: that is how a retry is told from a second event.
set -eu
now=$(($(date +%s) * 1000))
source=${THRONG_SOURCE:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
curl --fail-with-body --silent --show-error --retry 5 --retry-connrefused \
    --header "Authorization: Bearer $THRONG_KEY" --header 'Content-Type: application/json' \
    --data "{\"sent_at\":$now,\"source\":\"$source\",\"events\":[
        {\"name\":\"signup\",\"ts\":$now,\"user\":\"$1\",\"seq\":0,\"props\":{\"method\":\"email\"}}]}" \
    "$THRONG_EVENTS"
