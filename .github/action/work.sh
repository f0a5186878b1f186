#!/usr/bin/env bash
# What a job does between taking the ledger and giving it back.
#
#   .github/action/work.sh plan     write the plan as Markdown to $WORK/plan.md, and to the job's summary
#   .github/action/work.sh check    find out whether an apply would do anything: writes work=true or work=false to the outputs
#   .github/action/work.sh apply    carry the specs out
#
# Environment: WANRUN (the program), WORK (a folder for this job), SPECS and OPTIONS (one a line: a path or pattern; a
# word for the command line), LEDGER_STORE (true: the ledger is in a ledger store), MAX_WAIT (for apply), GITHUB_* as
# on a runner.
set -euo pipefail
IFS= # a pattern is filled in, and never split at blanks

specs=() options=()
while read -r pattern; do
  [ -z "$pattern" ] || specs+=($pattern)
done <<<"$SPECS"
while read -r word; do
  [ -z "$word" ] || options+=("$word")
done <<<"${OPTIONS-}"
[ "${#specs[@]}" -gt 0 ] || {
  echo "::error::no specs are named"
  exit 2
}

plan() {
  local code=0
  "$WANRUN" validate --format github -- "${specs[@]}" || code=$? # marks each problem at its line
  if [ "$code" = 0 ]; then
    "$WANRUN" plan --format markdown "${options[@]}" -- "${specs[@]}" >"$WORK/plan.md" 2>"$WORK/said" || code=$?
    cat "$WORK/said" >&2
  else
    : >"$WORK/plan.md"
    "$WANRUN" validate -- "${specs[@]}" 2>"$WORK/said" || true
  fi
  if [ ! -s "$WORK/plan.md" ]; then
    { # four blanks, since what a spec says may hold any fence
      echo "## wanrun cannot plan this"
      echo
      sed 's/^/    /' "$WORK/said"
    } >"$WORK/plan.md"
  fi
  cat "$WORK/plan.md" >>"$GITHUB_STEP_SUMMARY"
  finish "$code"
}

check() {
  local code=0
  if [ "${#options[@]}" -gt 0 ]; then # what they ask for may cost money though the plan is empty, such as --again
    echo "work=true" >>"$GITHUB_OUTPUT"
    return 0
  fi
  "$WANRUN" plan --exit-code --require-ledger -- "${specs[@]}" || code=$?
  case $code in
  0) # of a store there is only a copy to look at, which no run uses, not even to say how all jobs stand
    [ "${LEDGER_STORE-}" = true ] && echo "work=true" >>"$GITHUB_OUTPUT" || echo "work=false" >>"$GITHUB_OUTPUT"
    ;;
  6) echo "work=true" >>"$GITHUB_OUTPUT" ;;
  *) # 3 too: nobody knows whether there is anything to do, so nothing may be paid for
    echo "exit-code=$code" >>"$GITHUB_OUTPUT"
    exit "$code"
    ;;
  esac
}

apply() {
  local code=0 again
  "$WANRUN" run --require-ledger --max-wait "$MAX_WAIT" "${options[@]}" -- "${specs[@]}" &
  child=$! stopped=
  trap 'stopped=true; kill -TERM "$child" 2>/dev/null || true' INT TERM # a job that is cancelled ends its run well
  wait "$child" || code=$?
  while [ -n "$stopped" ]; do # a signal has ended the waiting, not the run
    stopped= again=0
    wait "$child" || again=$?
    [ "$again" = 127 ] || code=$again
  done
  finish "$code"
}

finish() { # 3 is no failure: the next run goes on
  echo "exit-code=$1" >>"$GITHUB_OUTPUT"
  [ "$1" != 3 ] || {
    echo "::notice::not finished (exit code 3); the next run goes on"
    exit 0
  }
  exit "$1"
}

case ${1-} in
plan | check | apply) "$1" ;;
*)
  echo "usage: .github/action/work.sh plan|check|apply" >&2
  exit 2
  ;;
esac
