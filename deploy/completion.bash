# bash completion of tope-updater. Made by build/command-pages.ts from src/cli/commands.ts.
# Use: put it into /usr/share/bash-completion/completions/tope-updater, or source it.

_tope_updater() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} flags=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W 'run recover status install rollback cancel history audit fleet doctor support pack verify init --help --version' -- "$current")
    return
  fi
  case $previous in
    --dir | --allow-root | --root | --dst)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    --socket | --token-file | --gui | --trust-key | --ca-file | --cert-file | --key-file | --fleet-id-file | --fleet-token-file | --fleet-attribute | --config | --output | -o | --sign | --delta-from | --against)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    --host | --port | --report-url | --screen-actions | --log-level | --log-format | --device-type | --rate-limit | --download-deadline | --download-wait | --fleet-url | --fleet-tenant | --fleet-id | --fleet-token-kind | --fleet-soft | --fleet-confirm | --fleet-set-name | --audit-interval | --url | --release | --md5 | --sha256 | --size | --package-url | --self | --kind)
      return
      ;;
  esac
  case ${COMP_WORDS[1]} in
    run) flags='--dir --host --port --socket --token-file --report-url --allow-root --allow-http --screen-actions --gui --log-level --log-format --device-type --trust-key --ca-file --cert-file --key-file --rate-limit --download-deadline --download-wait --fleet-url --fleet-tenant --fleet-id --fleet-id-file --fleet-token-file --fleet-token-kind --fleet-attribute --fleet-soft --fleet-confirm --fleet-set-name --no-adaptive-download --keep-package --audit-interval --config' ;;
    recover) flags='--dir --host --port --socket --token-file --report-url --allow-root --allow-http --screen-actions --gui --log-level --log-format --device-type --trust-key --ca-file --cert-file --key-file --rate-limit --download-deadline --download-wait --fleet-url --fleet-tenant --fleet-id --fleet-id-file --fleet-token-file --fleet-token-kind --fleet-attribute --fleet-soft --fleet-confirm --fleet-set-name --no-adaptive-download --keep-package --audit-interval --config' ;;
    status) flags='--watch --json --url --socket --token-file --dir --config' ;;
    install) flags='--yes --root --release --allow-downgrade --md5 --sha256 --size --json --url --socket --token-file --config --dir --allow-root --device-type --trust-key --skip-commands' ;;
    rollback) flags='--yes --json --url --socket --token-file' ;;
    cancel) flags='--json --url --socket --token-file' ;;
    history) flags='--json --url --socket --token-file' ;;
    audit) flags='--repair --yes --json --url --socket --token-file' ;;
    fleet) flags='--json --url --socket --token-file' ;;
    doctor) flags='--json --url --dir --socket --token-file --report-url --allow-root --trust-key --config' ;;
    support) flags='--output --dir --token-file --config' ;;
    pack) flags='--output --sign --package-url --self --store --delta-from --allow-root' ;;
    verify) flags='--on-device --dir --config --against --trust-key --allow-root --json' ;;
    init) flags='--kind --dst' ;;
  esac
  case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags --help" -- "$current") ;;
    *)
      case ${COMP_WORDS[1]} in
        install | pack | verify | init)
          compopt -o filenames 2>/dev/null
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
          ;;
      esac
      ;;
  esac
}
complete -F _tope_updater tope-updater
