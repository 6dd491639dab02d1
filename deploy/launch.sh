#!/bin/sh
# What systemd and the init script start, as tope-updater-launch beside the executable: one exec of the updater, or, where a
# new one has failed its probation, of the one before. POSIX sh, dash and busybox; no package replaces it.
#
# usage: tope-updater-launch ARGUMENTS OF tope-updater
#
# In its directory:
#   tope-updater            the executable that a package or an installer replaces
#   tope-updater.previous   the one before, while there is a probation
#   probation               there while a new executable has to prove itself, a text. Whoever replaces the executable makes
#                           it, with a line "update ID" where a transaction does so. Each start adds the boot id; the
#                           updater adds "committed" when it has proven itself, "ended" when it was asked to stop, and
#                           removes the file after ten minutes of uptime.
#
# A start has failed when another one followed it in the same boot: a power cut condemns nobody. After three of them, or
# ten starts whatever they were, the one before is started with TOPE_UPDATER_FALLBACK=1 and takes everything back. A
# start that adds no line for three minutes hangs and is ended. What runs before the services at boot (recover) is the
# work of the one that is proven, and no try.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
probation=$here/probation
previous=$here/tope-updater.previous
program=$here/tope-updater
TOPE_UPDATER_EXECUTABLE=$program
export TOPE_UPDATER_EXECUTABLE
unset TOPE_UPDATER_FALLBACK

# Sets failed and starts from the lines of the probation.
count() {
  failed=0 starts=0 last=
  while read -r line; do
    case $line in
      update\ * | committed) continue ;;
      ended) last= && continue ;;
    esac
    starts=$((starts + 1))
    [ "$line" != "$last" ] || failed=$((failed + 1))
    last=$line
  done <"$probation"
  [ "$last" != "$boot" ] || failed=$((failed + 1))
}

lines() { wc -l <"$probation" 2>/dev/null; }

# When the process began, in ticks since the boot: its number may have been given to another one since.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Ends this start where it adds no line. A grandchild, so that nobody has to ask how it ended.
watch() {
  mine=$(lines) since=$(born $$)
  (
    {
      exec </dev/null >/dev/null 2>&1
      sleep "${TOPE_UPDATER_PROBATION_S:-180}"
      if [ "$(lines)" = "$mine" ] && [ "$(born $$)" = "$since" ]; then kill -KILL $$; fi
    } &
  )
}

if [ -f "$probation" ] && [ -x "$previous" ]; then
  boot=$(cat "${TOPE_UPDATER_BOOT_ID:-/proc/sys/kernel/random/boot_id}")
  count
  if [ "$failed" -ge 3 ] || [ "$starts" -ge 10 ]; then
    program=$previous TOPE_UPDATER_FALLBACK=1
    export TOPE_UPDATER_FALLBACK
  elif [ "${1-}" = recover ]; then
    program=$previous
  elif [ "${1-}" = run ] && echo "$boot" >>"$probation" && { sync "$probation" 2>/dev/null || sync; }; then
    watch
  fi
elif [ ! -x "$program" ] && [ -x "$previous" ]; then
  program=$previous
fi
exec "$program" "$@"
