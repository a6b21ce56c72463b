#!/usr/bin/env bash
# A Grid Engine of one node on this machine, for tests: queues "cpu" and "gpu" with a made-up GPU.
# Needs root and Debian's gridengine-master, gridengine-exec and gridengine-client.
#
#   sge_cluster.sh start DIR    writes everything below DIR; the variables that clients need are
#                               in DIR/environment, a NAME=VALUE a line
#   sge_cluster.sh stop DIR
set -euo pipefail

action="${1:?usage: sge_cluster.sh start|stop DIR}"
dir="$(realpath -m "${2:?usage: sge_cluster.sh start|stop DIR}")"
programs=/usr/lib/gridengine
shared=/usr/share/gridengine
host="$(hostname)"
port="${AF3_TEST_SGE_PORT:-16444}"

export SGE_ROOT="$dir/root" SGE_CELL=default
SGE_ARCH="$("$shared/util/arch")"
export SGE_ARCH SGE_QMASTER_PORT="$port" SGE_EXECD_PORT="$((port + 1))"

# set_values FILE NAME VALUE...: changes lines "NAME VALUE" of a configuration.
set_values() {
  local file="$1"
  shift
  while (($#)); do
    sed -i "s|^$1 .*|$1 $2|" "$file"
    shift 2
  done
}

write_configuration() {
  local common="$SGE_ROOT/default/common" folder
  mkdir -p "$common" "$dir"/{qmaster/job_scripts,spooldb,execd}
  # Daemons and jobs look for programs and libraries below SGE_ROOT.
  for folder in bin lib utilbin; do
    mkdir -p "$SGE_ROOT/$folder"
    ln -sfn "$programs" "$SGE_ROOT/$folder/$SGE_ARCH"
  done
  ln -sfn "$shared/util" "$SGE_ROOT/util"
  echo "$host" >"$common/act_qmaster"
  # The address may have several names, and all daemons must use the same.
  echo "$host $(getent hosts 127.0.0.1 | cut -d' ' -f2-)" >"$common/host_aliases"
  cp "$shared/default-bootstrap" "$common/bootstrap"
  set_values "$common/bootstrap" admin_user none spooling_params "$dir/spooldb" \
    qmaster_spool_dir "$dir/qmaster"
  cp "$shared/default-configuration" "$dir/configuration"
  set_values "$dir/configuration" execd_spool_dir "$dir/execd" min_uid 0 min_gid 0 \
    load_report_time 00:00:01
  "$programs/spoolinit" berkeleydb libspoolb "$dir/spooldb" init
  "$programs/spooldefaults" configuration "$dir/configuration"
  "$programs/spooldefaults" complexes "$shared/util/resources/centry"
  "$programs/spooldefaults" usersets "$shared/util/resources/usersets"
  "$programs/spooldefaults" managers root
  printf '%s\n' "SGE_ROOT=$SGE_ROOT" "SGE_CELL=$SGE_CELL" "SGE_ARCH=$SGE_ARCH" \
    "SGE_QMASTER_PORT=$SGE_QMASTER_PORT" "SGE_EXECD_PORT=$SGE_EXECD_PORT" >"$dir/environment"
}

# An empty parallel environment, host or queue has many lines; these differ from the usual ones.
write_objects() {
  cat >"$dir/pe" <<PE
pe_name            smp
slots              999
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    \$pe_slots
control_slaves     FALSE
job_is_first_task  TRUE
urgency_slots      min
accounting_summary FALSE
qsort_args         NONE
PE
  cat >"$dir/host" <<HOST
hostname           $host
load_scaling       NONE
complex_values     gpu=4
user_lists         NONE
xuser_lists        NONE
projects           NONE
xprojects          NONE
usage_scaling      NONE
report_variables   NONE
HOST
  qconf -sc >"$dir/complexes"
  echo "gpu gpu INT <= YES YES 0 0" >>"$dir/complexes"
  qconf -ssconf >"$dir/scheduler"
  # Not at once when a task ends: one that is to run again would reach its host before the host
  # has forgotten the last time, and Grid Engine tries the next time after five minutes.
  set_values "$dir/scheduler" schedule_interval 0:0:4 flush_submit_sec 1 flush_finish_sec 0 \
    job_load_adjustments NONE
  local name limits=""
  for name in rt cpu fsize data stack core rss vmem; do
    limits+="s_$name INFINITY"$'\n'"h_$name INFINITY"$'\n'
  done
  for name in cpu gpu; do
    cat >"$dir/queue.$name" <<QUEUE
qname $name
hostlist $host
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list smp
rerun TRUE
slots 4
tmpdir /tmp
shell /bin/bash
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:10
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
${limits%$'\n'}
QUEUE
  done
}

# until_it COMMAND...: waits until a command succeeds.
until_it() {
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then
      return
    fi
    sleep 0.2
  done
  echo "sge_cluster.sh: $* does not succeed; see $dir/qmaster/messages" >&2
  exit 1
}

host_reports() { qhost -h "$host" | awk 'NR > 3 && $7 != "-" { found = 1 } END { exit !found }'; }

start() {
  write_configuration
  "$programs/sge_qmaster"
  until_it qconf -sm
  qconf -as "$host"
  "$programs/sge_execd"
  until_it qconf -se "$host"
  write_objects
  qconf -Mc "$dir/complexes"
  qconf -Me "$dir/host"
  qconf -Ap "$dir/pe"
  qconf -Msconf "$dir/scheduler"
  qconf -Aq "$dir/queue.cpu"
  qconf -Aq "$dir/queue.gpu"
  until_it host_reports
}

stop() {
  qdel -f -u '*' >/dev/null 2>&1 || true
  local file pid
  for file in "$dir"/execd/*/execd.pid "$dir/qmaster/qmaster.pid"; do
    if [[ -s "$file" ]]; then
      pid="$(cat "$file")"
      kill "$pid" 2>/dev/null || true
      until_it is_gone "$pid"
    fi
  done
}

is_gone() { ! kill -0 "$1" 2>/dev/null || [[ "$(ps -o stat= -p "$1")" == Z* ]]; }

case "$action" in
  start) start >&2 ;;
  stop) stop ;;
  *) echo "sge_cluster.sh: unknown action $action" >&2 && exit 2 ;;
esac
