#!/bin/sh
# Runs in the benchmark's guest in the place of the agent. Prints `bench NAME NUMBER` lines on the console.
PATH=/bench:/usr/sbin:/usr/bin:/sbin:/bin
rounds=$(cat /bench/rounds)

say() { while read -r number; do echo "bench $1 $number" > /dev/console; done; }

# The host takes a hello a second.
fresh() {
  sleep 1
  rm -rf /run/slicer/secrets /run/slicer/secrets.agent /run/reference
  mkdir -p /run/reference
}

until [ "${ready:-}" = yes ]; do
  fresh
  reference unchanged 1 /run/reference > /dev/null 2>&1 && ready=yes || sleep 0.2
done

round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  fresh
  reference measure reference-agent /run/reference | say set-reference
  fresh
  reference measure slicer-agent secrets sync | say set-agent
done

slicer-agent run 2> /dev/null &
agent=$!
until slicer-agent secrets sync > /dev/null 2>&1; do sleep 0.2; done
round=0
while [ $round -lt 30 ]; do
  round=$((round + 1))
  slicer-agent secrets sync --json | sed 's/.*"elapsedMs":\([0-9.e+-]*\).*/\1/' | say unchanged-agent
done
reference unchanged 30 /run/slicer/secrets | say unchanged-reference
sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$agent/status | say agent-peak-kib
wakeups() { sed -n 's/^voluntary_ctxt_switches:[^0-9]*//p' /proc/$agent/status; }
sleep 2
before=$(wakeups)
sleep 20
echo $(($(wakeups) - before)) | say idle-wakeups

reference respond /run/reference/file &
reference witness /run/slicer/secrets/s0 &
echo 1 | say ready
wait
