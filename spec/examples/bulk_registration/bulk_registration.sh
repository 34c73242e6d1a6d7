#!/bin/sh
# The whole life of a bulk registration from a shell: check, start, wait, and say which devices failed, and why.
#
#   bulk_registration.sh TEMPLATE INPUT BUCKET KEY ROLE_ARN
#
# INPUT is what has been uploaded to s3://BUCKET/KEY. Exit codes: 0 all registered, 1 no, 2 wrong usage, 3 some
# were not. IOT_TASKS is the command, where it is not installed.
set -u

[ $# -eq 5 ] || { echo "usage: $0 TEMPLATE INPUT BUCKET KEY ROLE_ARN" >&2; exit 2; }
tasks=${IOT_TASKS:-iot-tasks}

# What would fail is known before anything is sent. A wrong line costs one device, a wrong template all of them.
$tasks check --template "$1" >&2 || exit 1
$tasks check --template "$1" "$2" >&2
case $? in 0 | 3) ;; *) exit 1 ;; esac

task=$($tasks start --template "$1" --bucket "$3" --key "$4" --role-arn "$5") || exit 1
$tasks wait --interval 1 "$task"
code=$?
[ $code -ne 3 ] || $tasks report "$task"
exit $code
