#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: two partitions, "cpu" and "gpu", of which the
# second has a made-up GPU. Needs root and Debian's slurmctld, slurmd, slurm-client and munge.
#
#   slurm_cluster.sh start DIR    writes everything below DIR; afterwards export SLURM_CONF=DIR/slurm.conf
#   slurm_cluster.sh stop DIR
set -euo pipefail

action="${1:?usage: slurm_cluster.sh start|stop DIR}"
dir="$(realpath -m "${2:?usage: slurm_cluster.sh start|stop DIR}")"
host="$(hostname -s)"
PATH="$PATH:/usr/sbin:/sbin"

start_munge() {
  if [[ -S /run/munge/munge.socket.2 ]] && munge -n >/dev/null 2>&1; then
    return
  fi
  if [[ ! -s /etc/munge/munge.key ]]; then
    mkdir -p /etc/munge
    dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=8 status=none
  fi
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
  install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
  runuser -u munge -- /usr/sbin/munged
}

write_configuration() {
  local cpus memory
  cpus="$(nproc)"
  memory="$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)"
  mkdir -p "$dir"/{state,spool,log}
  cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
# A job that is put back waits as long as a credential lives: two minutes by default.
AuthInfo=cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${AF3_TEST_SLURM_PORT:-16817}
SlurmdPort=$((${AF3_TEST_SLURM_PORT:-16817} + 1))
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
GresTypes=gpu
KillWait=5
MinJobAge=3600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONF
  # A GPU whose device file is another: enough for scheduling.
  echo "NodeName=$host Name=gpu File=/dev/null" >"$dir/gres.conf"
  echo "CgroupAutomount=no" >"$dir/cgroup.conf"
}

start() {
  start_munge
  write_configuration
  export SLURM_CONF="$dir/slurm.conf"
  slurmctld -c
  slurmd -c
  for _ in $(seq 100); do
    if sinfo --noheader --format=%t 2>/dev/null | grep -qE '^(idle|mix)'; then
      return
    fi
    sleep 0.2
  done
  echo "slurm_cluster.sh: the node did not come up; see $dir/log" >&2
  tail -n 5 "$dir"/log/*.log >&2
  exit 1
}

stop() {
  export SLURM_CONF="$dir/slurm.conf"
  scancel --full --signal=KILL --user="$(id -un)" 2>/dev/null || true
  for daemon in slurmd slurmctld; do
    if [[ -s "$dir/$daemon.pid" ]]; then
      kill "$(cat "$dir/$daemon.pid")" 2>/dev/null || true
    fi
  done
}

case "$action" in
  start) start ;;
  stop) stop ;;
  *) echo "slurm_cluster.sh: unknown action $action" >&2 && exit 2 ;;
esac
