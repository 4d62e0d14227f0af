#!/bin/sh
# The first process of the virtual machine.
export PATH=/bin TRIGON_EBPF_OBJECT=/trigon
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up
vm-smoke --guest
# Only if it could not end the machine itself.
poweroff -f
