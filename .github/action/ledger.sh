#!/usr/bin/env bash
# The ledger of a repository, on a branch of its own or in a ledger store: take it, lend it to this job, give it back.
#
#   .github/action/ledger.sh take    fetch it and import it; what there is to do without one is said
#   .github/action/ledger.sh lend    say there that this job goes on with it, before anything is paid
#   .github/action/ledger.sh save    put the ledger there as it is now, unless nothing has changed
#
# Every push goes forward from what was fetched, and a store takes one lock, so of two jobs that start at once only one
# gets to run. A job that dies between paying and saving leaves the ledger lent, and no run uses a lent ledger: a person
# looks first.
#
# Environment: WANRUN (the program), WORK (a folder for this job), LEDGER_STORE (true: that of wanrun.toml, in place of
# the branch), LEDGER_BRANCH, COMMAND (plan or apply), FIRST_RUN (true: begin a ledger where there is none), TOKEN (may
# push; empty: git's own credentials), GITHUB_* as on a runner.
set -euo pipefail

REF=refs/wanrun/ledger # what was fetched, or pushed last
FILE=ledger.jsonl      # its name on the branch
KEPT=.wanrun/ledger.jsonl # while it is not given back; has no links, unlike ledger.db, so others may read it
WAITS="${WAITS-5 30 120}" # seconds between tries of a push that must not fail

who() {
  echo "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID, attempt $GITHUB_RUN_ATTEMPT"
}

authorise() { # in the environment, where no list of processes shows it
  [ -n "${TOKEN-}" ] || return 0
  local basic
  basic=$(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')
  echo "::add-mask::$basic"
  # The empty one comes first: of a checkout that has kept its token there would be two, and GitHub answers with 400.
  export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0="http.$GITHUB_SERVER_URL/.extraheader" GIT_CONFIG_VALUE_0=
  export GIT_CONFIG_KEY_1="$GIT_CONFIG_KEY_0" GIT_CONFIG_VALUE_1="Authorization: basic $basic"
}

take() {
  local found=0
  git check-ref-format "refs/heads/$LEDGER_BRANCH"
  git update-ref -d "$REF"
  git ls-remote --exit-code origin "refs/heads/$LEDGER_BRANCH" >/dev/null || found=$?
  case $found in
  0)
    git fetch --quiet --no-tags --depth=1 origin "+refs/heads/$LEDGER_BRANCH:$REF"
    git cat-file blob "$REF:$FILE" >"$WORK/taken"
    "$WANRUN" ledger import "$WORK/taken"
    [ "$FIRST_RUN" != true ] || echo "::warning::the ledger is there; first-run is no longer needed"
    ;;
  2)
    if [ "$COMMAND" = plan ]; then
      echo "there is no branch $LEDGER_BRANCH yet: every job is planned as new"
    elif [ "$FIRST_RUN" = true ]; then
      "$WANRUN" ledger new
    else
      echo "::error::there is no branch $LEDGER_BRANCH. If nothing has ever been applied, run once with first-run: true;" \
        "else bring the branch back, since without it every job looks new and is paid for again"
      return 2
    fi
    ;;
  *)
    echo "::error::the branches of the repository cannot be listed (git ls-remote: $found)"
    return 1
    ;;
  esac
}

lend() {
  local to
  to=$(who)
  "$WANRUN" ledger export "$WORK/lent" --lent-to "$to" --force
  if ! push "$WORK/lent" "Lent to $to"; then
    echo "::error::the branch $LEDGER_BRANCH has moved on, or cannot be written; nothing was submitted"
    return 1
  fi
  touch "$WORK/is-lent"
}

save() {
  local wait
  "$WANRUN" ledger export "$KEPT" --force
  # What was taken can be imported over the ledger only if it knows all that the ledger knows.
  if [ ! -e "$WORK/is-lent" ] && [ -e "$WORK/taken" ] && "$WANRUN" ledger import "$WORK/taken" >/dev/null 2>&1; then
    echo "nothing was paid for or delivered; the ledger stays as it is"
    rm -f "$KEPT"
    return 0
  fi
  for wait in $WAITS end; do
    if push "$KEPT" "As $(who) left it"; then
      rm -f "$WORK/is-lent" "$KEPT"
      return 0
    fi
    [ "$wait" = end ] || sleep "$wait"
  done
  echo "::error::the ledger could not be saved. Keep $KEPT of this job, or look at wanrun tasks before the" \
    "next run: docs/ci/github.md says how"
  return 1
}

push() { # one commit with one file; refused when the branch is no longer where it was fetched
  local blob tree commit parent branch="refs/heads/$LEDGER_BRANCH"
  # `set -e` does not hold in a function whose success is asked for, so each step asks.
  blob=$(git hash-object -w --no-filters "$1") || return 1
  tree=$(printf '100644 blob %s\t%s\n' "$blob" "$FILE" | git mktree) || return 1
  parent=$(git rev-parse --quiet --verify "$REF^{commit}" || true)
  commit=$(GIT_AUTHOR_NAME=wanrun GIT_AUTHOR_EMAIL=wanrun@users.noreply.github.com \
    GIT_COMMITTER_NAME=wanrun GIT_COMMITTER_EMAIL=wanrun@users.noreply.github.com \
    git commit-tree "$tree" ${parent:+-p "$parent"} -m "$2") || return 1
  # A push whose answer was lost has been made all the same.
  git push --quiet origin "$commit:$branch" || [ "$(git ls-remote origin "$branch" | cut -f1)" = "$commit" ] || return 1
  git update-ref "$REF" "$commit"
}

# In a ledger store

take_stored() { # to look at it
  local code=0
  patiently "$WANRUN" ledger import --store 2>"$WORK/said" || code=$?
  cat "$WORK/said" >&2
  if [ "$code" = 0 ]; then
    [ "$FIRST_RUN" != true ] || echo "::warning::the ledger is there; first-run is no longer needed"
  elif ! grep -q "has no ledger yet" "$WORK/said"; then
    return "$code"
  elif [ "$COMMAND" = plan ]; then
    echo "the ledger store has no ledger yet: every job is planned as new"
  elif [ "$FIRST_RUN" = true ]; then
    "$WANRUN" ledger new
    patiently "$WANRUN" ledger export --store
    patiently "$WANRUN" ledger import --store
  else
    echo "::error::the ledger store has no ledger. If nothing has ever been applied, run once with first-run: true;" \
      "else bring the ledger back, since without it every job looks new and is paid for again"
    return 2
  fi
}

lend_stored() {
  patiently "$WANRUN" ledger import --store --lend-to "$(who)"
  touch "$WORK/is-lent"
}

save_stored() {
  if [ ! -e "$WORK/is-lent" ]; then
    echo "nothing was paid for or delivered; the ledger stays as it is"
    return 0
  fi
  "$WANRUN" ledger export "$KEPT" --force
  if patiently "$WANRUN" ledger export --store; then
    rm -f "$WORK/is-lent" "$KEPT"
    return 0
  fi
  echo "::error::the ledger could not be given back. Keep $KEPT of this job, or look at wanrun tasks before" \
    "the next run: docs/ci/github.md says how"
  return 1
}

patiently() { # what was begun before is gone on with, so the same words again do no harm
  local wait code
  for wait in $WAITS end; do
    code=0
    "$@" || code=$?
    [ "$code" = 3 ] && [ "$wait" != end ] || return "$code" # 3 passes
    sleep "$wait"
  done
}

suffix=
if [ "${LEDGER_STORE-}" = true ]; then
  suffix=_stored
else
  authorise
fi
case ${1-} in
take | lend | save) "$1$suffix" ;;
*)
  echo "usage: .github/action/ledger.sh take|lend|save" >&2
  exit 2
  ;;
esac
