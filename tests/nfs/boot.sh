#!/bin/bash
# First process of the Linux in user mode: mounts one NFS export twice, and runs what $LOOPS_NB_TEST_COMMANDS names.
# The root is the machine's own, for reading only; whatever is written is in memory.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
for folder in /run /var/lib/nfs /mnt; do mount -t tmpfs none $folder; done
mkdir -p /var/lib/nfs/{v4recovery,rpc_pipefs,sm,sm.bak} /mnt/{served,one,other,tmp}
touch /var/lib/nfs/{etab,rmtab,state,xtab}
ip link set lo up
for module in nfsd nfsv4; do modprobe -d "$LOOPS_NB_TEST_MODULES" $module; done
mount -t tmpfs -o size=200m none /mnt/served
mount -t nfsd nfsd /proc/fs/nfsd
exportfs -o rw,sync,no_root_squash,fsid=0,insecure,no_subtree_check '*:/mnt/served'
# Ten seconds of grace, so that a server that starts again is soon ready.
rpc.nfsd -G 10 -L 10 -N 3 -V 4 -U 4 8
rpc.mountd -N 2 -N 3
# Two versions are two clients, as two machines are; the same one would share its delegations, and not its cache.
mount -t nfs4 -o vers=4.1,nosharecache 127.0.0.1:/ /mnt/one
mount -t nfs4 -o vers=4.2,nosharecache 127.0.0.1:/ /mnt/other
export LOOPS_NB_TEST_MOUNTS=/mnt/one:/mnt/other TMPDIR=/mnt/tmp
echo BOOTED
bash "$LOOPS_NB_TEST_COMMANDS"
echo "RESULT $?"
echo o > /proc/sysrq-trigger
sleep 5
